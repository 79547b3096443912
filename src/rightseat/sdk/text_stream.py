"""The text of one answer as it comes. How a turn is waited for is for `turns`; this module knows what text is."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from rightseat.chat import MAX_ANSWER_CHARS
from rightseat.errors import AnswerTooLongError, InvalidOptionError
from rightseat.sdk.turns import PendingTurn, Turns
from rightseat.sdk.unread import MAX_UNREAD, Unread
from rightseat.wire.events import AssistantMessageEvent, SessionEvent
from rightseat.wire.session_events import SessionEventType as T

_TEXT = (T.ASSISTANT_MESSAGE_DELTA, T.ASSISTANT_MESSAGE)


class TextStream:
    """The text of one answer as it comes. Made by `CopilotSession.stream`; an async iterator and a context manager.

    Attributes:
        reply: the last assistant message, once the turn has ended.
    """

    def __init__(
        self,
        turns: Turns,
        params: Callable[[], Mapping[str, object]],
        timeout: float | None,
        inactivity_timeout: float | None,
        max_answer_chars: int | None = MAX_ANSWER_CHARS,
    ) -> None:
        if max_answer_chars is not None and (not isinstance(max_answer_chars, int) or max_answer_chars < 1):
            raise InvalidOptionError(f"max_answer_chars: must be at least 1, or None, not {max_answer_chars!r}")
        self._turns = turns
        self._most = max_answer_chars
        self._size = 0  # characters so far
        self._params = params
        self._limits = (timeout, inactivity_timeout)
        self._pending: PendingTurn | None = None
        self._unread: Unread[None] = Unread()
        self._streamed: set[str] = set()  # messages of which deltas have come
        self._came = asyncio.Event()
        self._finished = False

    @property
    def reply(self) -> AssistantMessageEvent | None:
        """See the class."""
        return self._pending.turn.reply if self._pending else None

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
        pending = await self._start()
        while not self._unread:
            if self._finished or pending is None:
                raise StopAsyncIteration
            if pending.turn.done:
                self._finished = True
                await pending.end()
                continue
            self._came.clear()
            await self._came.wait()
        return "".join(text for _, text in self._unread.take())

    async def aclose(self) -> None:
        """Listen no more. A turn that still runs is aborted, which takes two seconds at most."""
        self._finished = True
        self._came.set()  # a reader that waits for the next piece is at the end
        if self._pending is not None:
            await self._pending.leave()

    async def _start(self) -> PendingTurn | None:
        if self._pending is not None or self._finished:
            return self._pending
        params = self._params()
        me = weakref.ref(self)  # the session must not keep a stream alive that is no longer read

        def take(event: SessionEvent) -> None:
            if (stream := me()) is not None:
                stream._take(event)

        def ended() -> None:
            if (stream := me()) is not None:
                stream._came.set()

        pending = self._pending = PendingTurn(self._turns, *self._limits, sink=take, wanted=_TEXT, wake=ended)
        try:
            await pending.begin(params)
        except BaseException as e:
            self._finished = True
            if isinstance(e, asyncio.CancelledError):
                pending.drop()  # the message may have arrived: abort its turn
            else:
                pending.close()
            raise
        weakref.finalize(self, pending.drop)
        return pending

    def _take(self, event: SessionEvent) -> None:
        data = event.data
        text = getattr(data, "delta_content", None)
        if text:
            self._streamed.add(getattr(data, "message_id", ""))
        elif not (text := self._whole(event)):
            return
        self._size += len(text)
        if self._most is not None and self._size > self._most and self._pending is not None:
            self._pending.give_up(AnswerTooLongError(self._most, "max_answer_chars"))
        elif self._unread.put(None, text):
            self._came.set()
        elif self._pending is not None:
            self._pending.give_up(AnswerTooLongError(MAX_UNREAD))

    def _whole(self, event: SessionEvent) -> str:
        """The text of a message of which no delta came."""
        if event.type is not T.ASSISTANT_MESSAGE:
            return ""
        message = getattr(event.data, "message_id", "")
        if message in self._streamed:
            self._streamed.discard(message)  # it is whole: nothing more comes of it
            return ""
        return str(getattr(event.data, "content", "") or "")
