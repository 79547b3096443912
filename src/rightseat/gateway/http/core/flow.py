"""WriteFlow control of what is written: who pushes is told to wait, who pulls waits. Does not know what flows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator

from rightseat.gateway.http.exchange import Pausable


class Done:
    """An awaitable that waits for nothing, and costs nothing."""

    def __await__(self) -> Generator[None, None, None]:
        """See the language."""
        return
        yield


DONE = Done()


class WriteFlow:
    """Whether there is room for more.

    Attributes:
        is_full: there is none.
    """

    __slots__ = ("_event", "_source", "is_full")

    def __init__(self) -> None:
        self.is_full = False
        self._source: Pausable | None = None
        self._event: asyncio.Event | None = None

    def stop(self) -> None:
        """There is no room any more."""
        self.is_full = True
        if self._source is not None:
            self._source.pause()

    def go_on(self) -> None:
        """There is room again, or nobody is there to take anything."""
        self.is_full = False
        if self._event is not None:
            self._event.set()
        if self._source is not None:
            self._source.resume()

    def end(self) -> None:
        """Nothing is written any more, and nobody waits."""
        self._source = None
        self.go_on()

    def bind(self, source: Pausable | None) -> None:
        """Who pushes from now on; None: nobody."""
        self._source = source
        if source is not None and self.is_full:
            source.pause()

    def room(self) -> Awaitable[None]:
        """Until there is room."""
        return self._room() if self.is_full else DONE

    async def _room(self) -> None:
        if self._event is None:
            self._event = asyncio.Event()
        while self.is_full:
            self._event.clear()
            await self._event.wait()
