"""A session of the Copilot CLI as a handler: the last message of the user goes in, what the agent says comes out.

The CLI keeps the conversation and runs the tools; the messages before the last one are not sent again. What cannot be told to it
(a temperature, say) is refused rather than ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from rightseat.chat import ChatRequest, Finish, ModelEvent, ReasoningDelta, Reply, TextDelta, Usage
from rightseat.errors import AnswerTooLongError, InvalidOptionError
from rightseat.sdk.session import CopilotSession
from rightseat.sdk.turns import PendingTurn
from rightseat.sdk.unread import MAX_UNREAD, Unread
from rightseat.wire.events import SessionEvent
from rightseat.wire.session_events import SessionEventType as T

_WANTED = (T.ASSISTANT_MESSAGE_DELTA, T.ASSISTANT_REASONING_DELTA, T.ASSISTANT_USAGE)
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
            RightseatError: see CopilotSession.send_and_wait.
        """
        unknown = [name for name, value in request.extra.items() if name not in _IGNORED and value is not None]
        if unknown:
            raise InvalidOptionError(f"{unknown[0]}: the Copilot CLI has no such option for a message")
        turn = _CliTurn(self._session)
        await turn.begin(request.last_user_text, self._timeout, self._inactivity)
        return Reply(turn.events(), close=turn.aclose)


class _CliTurn:
    """One message and its answer, as chat events."""

    def __init__(self, session: CopilotSession) -> None:
        self._session = session
        self._pending: PendingTurn | None = None
        self._unread: Unread[type[TextDelta | ReasoningDelta]] = Unread()
        self._came = asyncio.Event()
        self._said = False
        self._usage: list[Usage] = []

    async def begin(self, prompt: str, timeout: float | None, inactivity: float | None) -> None:  # noqa: ASYNC109
        """Send the message."""
        self._pending = pending = self._session.pending_turn(
            timeout, inactivity, sink=self._see, wanted=_WANTED, wake=self._came.set
        )
        try:
            await pending.begin(self._session.send_params(prompt))
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
            if self._usage:
                counts = [(u.input_tokens, u.output_tokens, u.cached_tokens) for u in self._usage]
                yield Usage(*(sum(column) for column in zip(*counts, strict=True)))
            yield Finish()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Stop listening, and abort the turn if it still runs."""
        if self._pending is not None:
            await self._pending.leave()

    def _see(self, event: SessionEvent) -> None:
        if event.type is T.ASSISTANT_USAGE:
            tokens = [
                getattr(event.data, name, None) for name in ("input_tokens", "output_tokens", "cache_read_tokens")
            ]
            self._usage.append(Usage(*(int(n or 0) for n in tokens)))
            return
        kind = TextDelta if event.type is T.ASSISTANT_MESSAGE_DELTA else ReasoningDelta
        self._said = self._said or kind is TextDelta
        if self._unread.put(kind, event.data.delta_content):
            self._came.set()
        elif self._pending is not None:
            self._pending.give_up(AnswerTooLongError(MAX_UNREAD))
