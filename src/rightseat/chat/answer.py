"""An answer that may still be coming. The only thing in this package that is alive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Generic, Protocol, Self, TypeAlias, TypeVar

from rightseat.chat.event import ModelEvent, Usage

T = TypeVar("T")
OnClose: TypeAlias = Callable[[BaseException | None], None]


class Guard(Protocol):
    """An object that may end an answer while its next piece is awaited."""

    def waiting(self) -> None:
        """The next piece is waited for from now on. May raise, which ends the answer."""

    def came(self) -> None:
        """It has come, or there is none any more."""

    def passed(self) -> None:
        """It has come, and the next one is awaited: of a source that pushes."""

    def error(self, e: BaseException) -> BaseException:
        """What ended the answer, as it shall be told."""


class Answer(Generic[T]):
    """What comes piece by piece: iterate over it, and close it.

        async with await handler(request) as answer:
            async for piece in answer:
                ...

    Leaving the block closes the source at once, also after a `break`. Without the block, an answer that is read to its end
    or its error closes itself. Within it, it is over when the block is left: until then, who reads it may note what it told.

    It can also be pushed: `await answer.into(write)`.

    Args:
        pieces: the source. Asked for its `aclose`, if it has one, when the answer is closed.
        close: called after that, once, also for an answer that was never read.

    Attributes:
        account: the account that answers, for logs; "" if there is none.
        usage: tokens, as far as the answer has told.
        is_final: `usage` is the last word: the answer was complete when it was told.
        limit: tokens that were reserved for it; its reader ends it when it surely has more. None: as many as it likes.
        received: tokens that the answer had so far, estimated from its size by its reader; for answers that break off before they report usage.
        least: tokens that it surely had, one for each piece of text; for answers whose last word on usage cannot be true.
        hold: told by who reads an answer whole how many more bytes of it are kept; may raise, which ends the answer. None: nobody counts.
    """

    _find: Callable[[], tuple[str, ...]] | None = None

    def __init__(self, pieces: AsyncIterator[T], close: Callable[[], Awaitable[None]] | None = None) -> None:
        self.account = ""
        self.usage: Usage | None = None
        self.is_final = False
        self.limit: int | None = None
        self.received = 0
        self.least = 0
        self.hold: Callable[[int], None] | None = None
        self._close = close
        self._sources = [pieces]  # the last one is read; each reads the one before it
        self._on_close: list[OnClose] = []
        self._guard: Guard | None = None
        self._tracked: AsyncIterator[T] | None = None
        self._entered = self._is_pushed = (
            False  # what is pushed is not read from its sources, and they are not to be closed
        )
        self._error: BaseException | None = None

    def __aiter__(self) -> AsyncIterator[T]:
        if not self._on_close and self._guard is None:
            return self._sources[-1]
        if self._tracked is None:
            self._tracked = self._track()
        return self._tracked

    async def __aenter__(self) -> Self:
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    def through(self, change: Callable[[AsyncIterator[T]], AsyncIterator[T]]) -> None:
        """Let the pieces run through something. For layers, before anybody reads."""
        self._sources.append(change(self._sources[-1]))

    def on_close(self, callback: OnClose) -> None:
        """Call when the answer is over, once: with None, or with the error that broke it. The last one added is called first.

        For layers that hold something as long as the answer lasts, before anybody reads.
        """
        self._on_close.append(callback)

    def guard(self, guard: Guard) -> None:
        """Add a watcher of the waiting. For layers, before the answer is read; the first one is the innermost."""
        if self._guard is not None:
            inner = self._guard
            self.through(lambda pieces: _guarded(pieces, inner))
        self._guard = guard

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was asked for and not done, or done otherwise: a sentence each, which begins with the option's name."""
        return self._find() if self._find is not None else ()

    def warns(self, find: Callable[[], tuple[str, ...]]) -> None:
        """Say how `warnings` are found. They are looked for when somebody asks: most callers never do."""
        self._find = find

    async def aclose(self) -> None:
        """Stop the source. May be called twice, and while a reader waits for the next piece; the reader then gets an error or the end."""
        try:
            for source in () if self._is_pushed else (self._tracked, *reversed(self._sources)):
                close = getattr(source, "aclose", None)
                if close is not None and not getattr(source, "ag_running", False):  # else `_close` ends the wait
                    await close()
        finally:
            try:
                if (last := self._close) is not None:
                    self._close = None
                    await last()
            finally:
                self._over(self._error)

    async def into(self, write: Callable[[T], Awaitable[None]]) -> None:
        """Push every piece, one after another, and close. What `write` raises ends the answer."""
        async with self:
            async for piece in self:
                await write(piece)

    @property
    def can_be_pushed(self) -> bool:
        """The pieces run through nothing: their source may push them. See `watch`."""
        return len(self._sources) == 1

    def passed(self) -> None:
        """A piece was pushed."""
        if self._guard is not None:
            self._guard.passed()

    async def watch(self, end: Awaitable[None]) -> None:
        """Wait until a source has pushed everything, as long as whoever guards the answer lets it. Raises what `end` does, or the guard."""
        guard = self._guard
        self._is_pushed = True
        try:
            if guard is not None:
                guard.waiting()
            await end
            if guard is not None:
                guard.came()
        except BaseException as e:
            self._error = guard.error(e) if guard is not None else e
            if self._error is e:
                raise
            raise self._error from None

    async def _track(self) -> AsyncIterator[T]:
        """All pieces, watched over, and what is to be done at the end. One generator, however many layers: each costs every piece."""
        error: BaseException | None = None
        source, guard = self._sources[-1], self._guard
        try:
            if guard is None:
                async for piece in source:
                    yield piece
            else:
                guard.waiting()
                async for piece in source:
                    guard.came()
                    yield piece
                    guard.waiting()
                guard.came()  # the end: what is done after it is not waited for here
        except GeneratorExit:
            raise
        except BaseException as e:
            error = guard.error(e) if guard is not None else e
            if error is e:
                raise
            raise error from None
        finally:
            if self._entered:
                self._error = error
            else:
                self._over(error)

    def _over(self, error: BaseException | None) -> None:
        while self._on_close:
            self._on_close.pop()(error)


async def _guarded(pieces: AsyncIterator[T], guard: Guard) -> AsyncIterator[T]:
    guard.waiting()
    try:
        async for piece in pieces:
            guard.came()
            yield piece
            guard.waiting()
        guard.came()
    except GeneratorExit:
        raise
    except BaseException as e:
        error = guard.error(e)
        if error is e:
            raise
        raise error from None


class Reply(Answer[ModelEvent]):
    """A model's answer, event by event."""
