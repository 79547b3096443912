"""Models and sessions whose answers a test writes down: canned by pattern, in chosen pieces, failing on cue, with all calls kept.

`ScriptedHandler` stands where an upstream would, below the layers; `ScriptedSession` where a chat session would, for code that only
uses `chat` and `stream`. `Played` is an upstream whose calls the test answers one by one.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from rightseat.chat import (
    ChatRequest,
    Finish,
    ModelEvent,
    Reply,
    TextDelta,
    ToolCallEvent,
    Usage,
)
from rightseat.errors import InvalidOptionError
from rightseat.handler import events_of

# Text, an error to raise, a tool call, events, or a list of these; an error within a list breaks the answer there.
Canned: TypeAlias = Any
_Cutter: TypeAlias = Callable[[str], Sequence[str]]
_Pause: TypeAlias = float | Callable[[], float]


class ScriptedHandler:
    """A handler with canned answers.

    handler = ScriptedHandler({"python": "A language.", "error": UpstreamError(500, "down")}, default="Well.")

    Args:
        answers: pattern -> answer. A pattern is found in the prompt without regard to case; a compiled one as it is; the first that
            fits counts. An answer is text, an error, a tool call, a list of these and of chat events, or a function of the request
            that gives one.
        default: the answer when no pattern fits.
        sequence: answers to the first calls, whatever they ask; used up before `answers` are looked at.
        pieces: how text is cut: a function, or so many characters each; None: words.
        pause: seconds before each piece; a function gives each.

    Attributes:
        calls: every request, oldest first.
        open: answers that have begun and are not over.
    """

    def __init__(
        self,
        answers: Mapping[str | re.Pattern[str], Canned] | None = None,
        *,
        default: Canned = "Default mock response",
        sequence: Iterable[Canned] = (),
        pieces: int | _Cutter | None = None,
        pause: _Pause = 0.0,
    ) -> None:
        self._answers = dict(answers or {})
        self._default = default
        self._sequence = deque(sequence)
        self._cut = _cutter(pieces)
        self._pause = pause
        self.calls: list[ChatRequest] = []
        self.open = 0

    async def __call__(self, request: ChatRequest) -> Reply:
        """See Handler."""
        self.calls.append(request)
        answer = self._answer_to(request)
        items = list(answer) if isinstance(answer, (list, tuple)) else [answer]
        await _wait(self._pause)
        if items and isinstance(items[0], BaseException):
            raise items[0]
        reply = Reply(_say(request, items, self._cut, self._pause))
        self.open += 1
        reply.on_close(lambda _: setattr(self, "open", self.open - 1))
        return reply

    @property
    def prompts(self) -> list[str]:
        """The last user message of each call."""
        return [request.last_user_text for request in self.calls]

    def _answer_to(self, request: ChatRequest) -> Canned:
        answer = self._default
        if self._sequence:
            answer = self._sequence.popleft()
        else:
            prompt = request.last_user_text
            for pattern, canned in self._answers.items():
                found = pattern.search(prompt) if isinstance(pattern, re.Pattern) else pattern.lower() in prompt.lower()
                if found:
                    answer = canned
                    break
        if callable(answer) and not isinstance(answer, type):
            answer = answer(request)
        return answer


async def _say(request: ChatRequest, items: Sequence[object], cut: _Cutter, pause: _Pause) -> AsyncIterator[ModelEvent]:
    said = 0
    called = finished = used = False
    for item in items:
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, str):
            for piece in cut(item):
                await _wait(pause)
                said += len(piece)
                yield TextDelta(piece)
            continue
        for event in events_of(item):
            called |= isinstance(event, ToolCallEvent)
            used |= isinstance(event, Usage)
            finished |= isinstance(event, Finish)
            yield event
    if not used:
        asked = sum(len(message.content) for message in request.messages)
        yield Usage(max(1, asked // 4), max(1, said // 4))
    if not finished:
        yield Finish("tool_calls" if called else "stop")


async def _wait(pause: _Pause) -> None:
    seconds = pause() if callable(pause) else pause
    if seconds:
        await asyncio.sleep(seconds)


def _cutter(pieces: int | _Cutter | None) -> _Cutter:
    if pieces is None:
        return lambda text: re.findall(r"\S+\s*|\s+", text)
    if callable(pieces):
        return pieces
    if pieces < 1:
        raise InvalidOptionError(f"pieces: must be at least 1, not {pieces}")
    return lambda text: [text[i : i + pieces] for i in range(0, len(text), pieces)]


class PendingCall(Struct, frozen=True):
    """A call that waits for the test to answer it.

    Attributes:
        request: what was asked.
    """

    request: ChatRequest
    _future: asyncio.Future[Reply]

    def answer(self, *items: Canned) -> None:
        """Answer with text, events or tool calls; an error among them breaks the answer there."""
        if not self._future.done():
            self._future.set_result(Reply(_say(self.request, items, _cutter(None), 0.0)))

    def refuse(self, error: BaseException) -> None:
        """Answer with an error."""
        if not self._future.done():
            self._future.set_exception(error)

    @property
    def left(self) -> bool:
        """The caller has gone away."""
        return self._future.cancelled()


class Played:
    """An upstream that the test plays.

    upstream = Played()
    task = asyncio.ensure_future(Retry()(upstream)(request))
    call = await upstream.next()
    call.refuse(UpstreamError(503, "busy"))
    (await upstream.next()).answer("hello")
    """

    def __init__(self) -> None:
        self._calls: asyncio.Queue[PendingCall] = asyncio.Queue()

    async def __call__(self, request: ChatRequest) -> Reply:
        """See Handler."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._calls.put_nowait(PendingCall(request, future))
        return await future

    async def next(self, seconds: float = 5.0) -> PendingCall:
        """The next call.

        Raises:
            TimeoutError: there was none within `seconds`.
        """
        async with asyncio.timeout(seconds):
            return await self._calls.get()

    @property
    def waiting(self) -> int:
        """Calls that were not looked at yet."""
        return self._calls.qsize()
