"""A session of the Copilot CLI as a handler: the last message of the user goes in, what the agent says comes out.

The CLI keeps the conversation and runs the tools; the messages before the last one are not sent again. What an answer shall look like is
told in words, images are attached, and what cannot be told to the CLI (a temperature, say) is refused rather than ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

from rightseat.chat import ChatRequest, Finish, Image, ModelEvent, ReasoningDelta, Reply, TextDelta, Usage
from rightseat.chat.structured import in_words
from rightseat.errors import AnswerTooLongError, InvalidOptionError
from rightseat.sdk.options import SendOptions
from rightseat.sdk.session import CopilotSession
from rightseat.sdk.turns import PendingTurn
from rightseat.sdk.unread import MAX_UNREAD, Unread
from rightseat.wire.events import SessionEvent
from rightseat.wire.session_events import SessionEventType as T

_WANTED = (T.ASSISTANT_MESSAGE_DELTA, T.ASSISTANT_REASONING_DELTA, T.ASSISTANT_USAGE)
_IGNORED = frozenset({"stream", "stream_options", "user", "response_format"})


class SessionHandler:
    """The handler.

    Args:
        session: an open session, with `streaming=True` if the answer shall come in pieces.
        timeout: seconds for a whole turn; None: no limit.
        inactivity_timeout: seconds without any event; None: no limit.
    """

    def __init__(
        self, session: CopilotSession, *, timeout: float | None = None, inactivity_timeout: float | None = None
    ) -> None:
        self._session = session
        self._timeout = timeout
        self._inactivity = inactivity_timeout

    async def __call__(self, request: ChatRequest) -> Reply:
        """See Handler.

        Raises:
            InvalidOptionError: it asks for something that a session has no way to do.
            RightseatError: see CopilotSession.send_and_wait.
        """
        unknown = [name for name, value in request.extra.items() if name not in _IGNORED and value is not None]
        if unknown:
            raise InvalidOptionError(f"{unknown[0]}: the Copilot CLI has no such option for a message")
        params = self._session.send_params(_prompt(request), **_attached(request))
        turn = _CliTurn(self._session)
        await turn.begin(params, self._timeout, self._inactivity)
        return Reply(turn.events(), close=turn.aclose)


class _CliTurn:
    """One message and its answer, as chat events."""

    def __init__(self, session: CopilotSession) -> None:
        self._session = session
        self._pending: PendingTurn | None = None
        self._unread: Unread[type[TextDelta | ReasoningDelta]] = Unread()
        self._came = asyncio.Event()
        self._said = False
        self._usage: Usage | None = None  # of all calls of models in the turn

    async def begin(
        self,
        params: Mapping[str, object],
        timeout: float | None,  # noqa: ASYNC109
        inactivity: float | None,
    ) -> None:
        """Send the message."""
        self._pending = pending = self._session.pending_turn(
            timeout, inactivity, sink=self._see, wanted=_WANTED, wake=self._came.set
        )
        try:
            await pending.begin(params)
        except asyncio.CancelledError:
            pending.drop()  # the message may have arrived: abort its turn
            raise
        except BaseException:
            pending.close()
            raise

    async def events(self) -> AsyncGenerator[ModelEvent, None]:
        """The answer, as it comes."""
        pending = self._pending
        assert pending is not None
        try:
            while self._unread or not pending.turn.done:
                self._came.clear()
                for kind, text in self._unread.take():
                    yield kind(text)
                if not pending.turn.done and not self._unread:
                    await self._came.wait()
            reply = await pending.end()
            if not self._said and reply is not None and (text := getattr(reply.data, "content", "")):
                yield TextDelta(text)
            if self._usage is not None:
                yield self._usage
            yield Finish()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Stop listening, and abort the turn if it still runs."""
        if self._pending is not None:
            await self._pending.leave()

    def _see(self, event: SessionEvent) -> None:
        if event.type is T.ASSISTANT_USAGE:
            used = _usage(event.data)
            self._usage = used if self._usage is None else self._usage + used
            return
        kind = TextDelta if event.type is T.ASSISTANT_MESSAGE_DELTA else ReasoningDelta
        self._said = self._said or kind is TextDelta
        if self._unread.put(kind, str(getattr(event.data, "delta_content", ""))):
            self._came.set()
        elif self._pending is not None:
            self._pending.give_up(AnswerTooLongError(MAX_UNREAD))


def _prompt(request: ChatRequest) -> str:
    words = in_words(request.extra.get("response_format"))
    return f"{request.last_user_text}\n\n{words}" if words else request.last_user_text


def _attached(request: ChatRequest) -> SendOptions:
    """The images of the last message of the user."""
    last = next((m for m in reversed(request.messages) if m.role == "user"), None)
    images = [part for part in last.parts if isinstance(part, Image)] if last is not None else []
    return {"attachments": [_attachment(i, image) for i, image in enumerate(images)]} if images else {}


def _attachment(i: int, image: Image) -> dict[str, object]:
    head, comma, data = image.url.partition(",")
    if not comma or not head.startswith("data:"):
        raise InvalidOptionError(f"images[{i}]: the Copilot CLI takes paths and bytes, and no addresses")
    kind = head.removeprefix("data:").partition(";")[0]
    name = f"image{i + 1}.{kind.rpartition('/')[2]}"
    return {"type": "blob", "data": data, "mimeType": kind, "displayName": name}


def _usage(data: object) -> Usage:
    """What an `assistant.usage` tells. Its `cost` is the multiplier of a premium request, and no money."""

    def number(name: str, of: object = data) -> int:
        value = getattr(of, name, None)
        return int(value) if isinstance(value, (int, float)) else 0

    told = getattr(data, "copilot_usage", None)
    return Usage(
        number("input_tokens"),
        number("output_tokens"),
        number("cache_read_tokens"),
        number("cache_write_tokens"),
        number("reasoning_tokens"),
        number("total_nano_aiu", told) if getattr(told, "total_nano_aiu", None) is not None else None,
    )
