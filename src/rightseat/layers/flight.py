"""One call that is under way, and all who want its answer: each gets all of it, from the first piece on. Does not know what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from rightseat.chat import Answer
from rightseat.errors import RightseatError


class AnswerKind(NamedTuple):
    """What is kept: chat, or the one value of a function.

    Attributes:
        answer: makes an answer of its pieces.
        size: bytes of a piece, about.
        is_whole: whether the answer is whole after a piece; None: the piece does not tell.
    """

    answer: Callable[[AsyncIterator[Any]], Answer[Any]]
    size: Callable[[Any], int]
    is_whole: Callable[[Any], bool | None]


class Flight:
    """One call that is under way, and all who want its answer."""

    def __init__(self, call: Awaitable[Answer[Any]], most: int, kind: AnswerKind) -> None:
        self.events: list[Any] = []
        self.warnings: tuple[str, ...] = ()
        self.size = 0
        self.whole = False
        self.given_up = False
        self._most = most
        self._kind = kind
        self._readers = 0
        self._error: BaseException | None = None
        self._over = False
        self._head = asyncio.get_running_loop().create_future()
        self._news: asyncio.Future[None] | None = None
        self.task = asyncio.ensure_future(self._run(call))

    async def join(self) -> Answer[Any]:
        """One more reader. Returns when the head is known."""
        self._readers += 1
        try:
            await asyncio.shield(self._head)
        except BaseException:
            self._leave()
            raise
        answer = self._kind.answer(self._read())
        answer.warns(lambda: self.warnings)
        answer.on_close(lambda _: self._leave())
        return answer

    def _leave(self) -> None:
        self._readers -= 1
        if not self._readers and not self._over:
            self.given_up = True
            self.task.cancel()

    async def _run(self, call: Awaitable[Answer[Any]]) -> None:
        kind, whole = self._kind, False
        try:
            reply = await call
            self.warnings = reply.warnings
            if not self._head.done():
                self._head.set_result(None)
            async with reply:
                async for event in reply:
                    self.events.append(event)
                    self.size += kind.size(event)
                    if (ends := kind.is_whole(event)) is not None:
                        whole = ends
                    self._tell()
            self.whole = whole and self.size <= self._most
        except asyncio.CancelledError:
            self._error = RightseatError("the call was cancelled, because no caller is waiting for its answer")
            raise
        except BaseException as e:
            self._error = e
        finally:
            self._over = True
            if not self._head.done():
                if self._error is None:
                    self._head.set_result(None)
                else:
                    self._head.set_exception(self._error)
                    self._head.exception()  # there may be no caller left
            self._tell()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
        self._news = None

    async def _read(self) -> AsyncIterator[Any]:
        at = 0
        while True:
            while at < len(self.events):
                yield self.events[at]
                at += 1
            if self._over:
                if self._error is not None:
                    raise self._error
                return
            if self._news is None:
                self._news = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._news)
