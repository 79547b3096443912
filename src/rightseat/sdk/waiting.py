"""Waiting for the answer to one message: whole, or piece by piece.

Both begin to listen before the message is sent, and stop when the turn has ended, time is up, or nobody waits any more. What
ends a turn is decided by `Turn`; this module refuses to know.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rightseat.errors import TurnTimeoutError
from rightseat.sdk.turn import Turn
from rightseat.wire.events import SessionEvent
from rightseat.wire.session_events import SessionEventType as T

if TYPE_CHECKING:
    from rightseat.sdk.session import CopilotSession


class Waiting:
    """Somebody waits for a turn: registered before the message is sent, gone when the block ends."""

    def __init__(self, session: CopilotSession) -> None:
        self.turn = Turn(session.session_id)
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._sent_at = self._loop.time()
        self._done = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._session._turns[self.turn] = self._done.set
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._session._turns.pop(self.turn, None)

    async def wait(self, total: float | None, inactivity: float | None) -> None:
        """Return when the turn has ended well; raise what ended it otherwise."""
        while not self.turn.done:
            deadline, kind = self._deadline(total, inactivity)
            try:
                async with asyncio.timeout_at(deadline):
                    await self._done.wait()
            except TimeoutError:
                if (
                    not self.turn.done and self._deadline(total, inactivity)[0] == deadline
                ):  # no event moved it meanwhile
                    raise self._timed_out(kind, (total if kind == "total" else inactivity) or 0) from None
        if self.turn.error is not None:
            raise self.turn.error

    def _deadline(self, total: float | None, inactivity: float | None) -> tuple[float | None, str]:
        end = None if total is None else self._sent_at + total
        if inactivity is not None:
            last = max(self._sent_at, self._session._activity.last_at or 0)
            if end is None or last + inactivity < end:
                return last + inactivity, "inactivity"
        return end, "total"

    def _timed_out(self, kind: str, limit: float) -> TurnTimeoutError:
        activity, now = self._session._activity, self._loop.time()
        return TurnTimeoutError(
            session_id=self._session.session_id,
            kind=kind,
            limit=limit,
            waited=now - self._sent_at,
            last_event=activity.last_event.raw_type if activity.last_event else None,
            last_event_age=None if activity.last_at is None else now - activity.last_at,
            pending_tools=tuple(activity.tools.values()),
            pending_permissions=tuple(activity.permissions.values()),
        )


class TextStream:
    """The text of one answer as it comes. Made by `CopilotSession.stream`; an async iterator and a context manager.

    Attributes:
        reply: the last assistant message, once the turn has ended.
    """

    def __init__(
        self,
        session: CopilotSession,
        prompt: str | Mapping[str, Any],
        options: Mapping[str, Any],
        timeout: float | None,
        inactivity_timeout: float | None,
    ) -> None:
        self._session = session
        self._prompt = prompt
        self._options = options
        self._limits = (timeout, inactivity_timeout)
        self._waiting: Waiting | None = None
        self._end: asyncio.Task[None] | None = None
        self._remove: Callable[[], None] | None = None
        self._pieces: list[str] = []
        self._streamed: set[str] = set()  # messages of which deltas have come
        self._came = asyncio.Event()
        self._finished = False

    @property
    def reply(self) -> SessionEvent | None:
        """See the class."""
        return self._waiting.turn.reply if self._waiting else None

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> TextStream:
        return self

    async def __anext__(self) -> str:
        await self._start()
        while not self._pieces:
            if self._finished:
                raise StopAsyncIteration
            assert self._end is not None
            if self._end.done():
                self._finished = True
                await self._finish()
                self._end.result()
                continue
            self._came.clear()
            await self._came.wait()
        text, self._pieces = "".join(self._pieces), []
        return text

    async def aclose(self) -> None:
        """Listen no more. A turn that still runs is aborted."""
        unfinished = self._end is not None and not self._end.done()
        self._finished = True
        await self._finish()
        if unfinished and not self._session.closed:
            await self._session.abort()

    async def _start(self) -> None:
        if self._waiting is not None or self._finished:
            return
        waiting = self._waiting = await Waiting(self._session).__aenter__()
        me = weakref.ref(self)  # the session must not keep a stream alive that nobody reads any more

        def take(event: SessionEvent) -> None:
            if (stream := me()) is not None:
                stream._take(event)

        def ended(_: asyncio.Task[None]) -> None:
            if (stream := me()) is not None:
                stream._came.set()

        self._remove = self._session.on(take, T.ASSISTANT_MESSAGE_DELTA, T.ASSISTANT_MESSAGE)
        try:
            waiting.turn.admit(await self._session.send(self._prompt, **self._options) or None)
        except BaseException:
            self._finished = True
            await self._finish()
            raise
        self._end = asyncio.ensure_future(waiting.wait(*self._limits))
        self._end.add_done_callback(ended)
        weakref.finalize(self, _drop, self._session, waiting, self._remove, self._end)

    async def _finish(self) -> None:
        if self._remove is not None:
            self._remove()
        if self._end is not None and not self._end.done():
            self._end.cancel()
        if self._waiting is not None:
            await self._waiting.__aexit__(None, None, None)

    def _take(self, event: SessionEvent) -> None:
        data = event.data
        if event.agent_id or not (text := getattr(data, "delta_content", None) or self._whole(event)):
            return
        self._streamed.add(getattr(data, "message_id", ""))
        self._pieces.append(text)
        self._came.set()

    def _whole(self, event: SessionEvent) -> str:
        """The text of a message of which no delta came."""
        if event.type is not T.ASSISTANT_MESSAGE or getattr(event.data, "message_id", "") in self._streamed:
            return ""
        return str(getattr(event.data, "content", "") or "")


def _drop(session: CopilotSession, waiting: Waiting, remove: Callable[[], None], end: asyncio.Task[None]) -> None:
    """A TextStream is gone, perhaps by a `break`: do what leaving its block would have done."""
    remove()
    session._turns.pop(waiting.turn, None)
    if not end.done():
        end.cancel()
        session.abort_soon()
