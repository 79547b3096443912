"""A session of the Copilot CLI as a handler: the last message of the user goes in, what the agent says comes out.

The CLI keeps the conversation and runs the tools; the messages before the last one are not sent again. What cannot be told to it
(a temperature, say) is refused rather than ignored.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from rightseat.chat import ChatRequest, Finish, ModelEvent, ReasoningDelta, Reply, TextDelta, Usage
from rightseat.errors import InvalidOptionError, RightseatError
from rightseat.sdk.session import CopilotSession
from rightseat.sdk.waiting import Waiting
from rightseat.wire.events import SessionEvent
from rightseat.wire.session_events import SessionEventType as T

_IGNORED = frozenset({"stream", "stream_options", "user"})


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
            RightseatError: see CopilotSession.send.
        """
        unknown = [name for name, value in request.extra.items() if name not in _IGNORED and value is not None]
        if unknown:
            raise InvalidOptionError(f"{unknown[0]}: the Copilot CLI has no such option for a message")
        turn = _Turn(self._session, self._timeout, self._inactivity)
        await turn.begin(request.last_user_text)
        source: Any = turn
        reply = Reply(source)
        reply.through(lambda _: turn.events())
        return reply


class _Turn:
    """One message and its answer, as chat events."""

    def __init__(self, session: CopilotSession, total: float | None, inactivity: float | None) -> None:
        self._session = session
        self._limits = (total, inactivity)
        self._waiting = Waiting(session)
        self._news: asyncio.Queue[ModelEvent | None] = asyncio.Queue()
        self._said = False
        self._usage: list[Usage] = []
        self._stop: Callable[[], None] | None = None
        self._end: asyncio.Task[None] | None = None

    async def begin(self, prompt: str) -> None:
        """Send the message."""
        await self._waiting.__aenter__()
        kinds = (T.ASSISTANT_MESSAGE_DELTA, T.ASSISTANT_REASONING_DELTA, T.ASSISTANT_USAGE)
        self._stop = self._session.on(self._see, *kinds)
        try:
            self._waiting.turn.admit(await self._session.send(prompt) or None)
        except BaseException:
            await self.aclose()
            raise
        self._end = asyncio.ensure_future(self._waiting.wait(*self._limits))
        self._end.add_done_callback(lambda _: self._news.put_nowait(None))

    async def events(self) -> AsyncIterator[ModelEvent]:
        """The answer, as it comes."""
        assert self._end is not None
        try:
            while (event := await self._news.get()) is not None:
                yield event
            await self._end
            reply = self._waiting.turn.reply
            if not self._said and reply is not None and (text := getattr(reply.data, "content", "")):
                yield TextDelta(text)
            if self._usage:
                counts = [(u.input_tokens, u.output_tokens, u.cached_tokens) for u in self._usage]
                yield Usage(*(sum(column) for column in zip(*counts, strict=True)))
            yield Finish()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Listen no more. A turn that still runs is aborted: nobody wants the rest."""
        if self._stop is not None:
            self._stop()
            self._stop = None
        await self._waiting.__aexit__(None, None, None)
        if self._end is not None and not self._end.done():
            self._end.cancel()
            if not self._waiting.turn.done and not self._session.closed:
                with contextlib.suppress(RightseatError):  # the connection is gone, and the turn with it
                    await self._session.abort()

    def _see(self, event: SessionEvent) -> None:
        if event.agent_id or not self._waiting.turn.started:  # of a sub-agent, or of a turn before that was aborted
            return
        data = event.data
        if event.type is T.ASSISTANT_MESSAGE_DELTA:
            self._said = True
            self._news.put_nowait(TextDelta(data.delta_content))
        elif event.type is T.ASSISTANT_REASONING_DELTA:
            self._news.put_nowait(ReasoningDelta(data.delta_content))
        elif event.type is T.ASSISTANT_USAGE:
            tokens = [getattr(data, name, None) for name in ("input_tokens", "output_tokens", "cache_read_tokens")]
            self._usage.append(Usage(*(int(n or 0) for n in tokens)))
