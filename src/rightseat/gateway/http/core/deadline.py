"""The one deadline of a connection: moved as often as need be, with a timer that is not. Does not know what it is for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class ConnectionDeadline:
    """A deadline, and what it is for.

    Args:
        loop: the event loop.
        late: called with what it is for when it has passed.

    Attributes:
        what: it is for; "" for nothing.
        seconds, unsent: as they were set.
    """

    __slots__ = ("_at", "_late", "_loop", "_timer", "seconds", "unsent", "what")

    def __init__(self, loop: asyncio.AbstractEventLoop, late: Callable[[str], None]) -> None:
        self._loop, self._late = loop, late
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.what = ""
        self.seconds, self.unsent = 0.0, 0

    def set(self, seconds: float, what: str, unsent: int = 0) -> None:
        """Something is to happen within some seconds; 0: at any time. `unsent`: the bytes that wait for the client now."""
        self.what = what if seconds else ""
        self.seconds, self.unsent = seconds, unsent
        if not seconds:
            return
        self._at = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._at, self._look)

    def end(self) -> None:
        """No timer is left."""
        self.what = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if not self.what:
            return
        if self._loop.time() < self._at:
            self._timer = self._loop.call_at(self._at, self._look)
        else:
            what, self.what = self.what, ""
            self._late(what)
