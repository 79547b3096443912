"""An answer that may still be coming. The only thing in this package that is alive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from rightseat.chat.event import ModelEvent


class Reply:
    """An answer: iterate over its events, and close it.

        async with await handler(request) as reply:
            async for event in reply:
                ...

    Leaving the block closes the source at once, also after a `break`.
    """

    def __init__(self, events: AsyncIterator[ModelEvent]) -> None:
        self._events = events

    def __aiter__(self) -> AsyncIterator[ModelEvent]:
        return self._events

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop the source. May be called twice."""
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()
