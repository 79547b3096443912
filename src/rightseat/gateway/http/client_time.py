"""Time that a client has for something, in which a loop that stands still does not count. Refuses to know what it is for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_STEPS = 10  # turns of the loop, at least: what is to be written first takes a few


class ClientTime:
    """A timer for what a client is to take. On a busy machine the loop may stand still for seconds, in which nothing is written to anybody.

    Args:
        seconds: that the client has.
        late: called once they are over.
    """

    __slots__ = ("_late", "_left", "_step", "_timer")

    def __init__(self, seconds: float, late: Callable[[], None]) -> None:
        self._step, self._late = seconds / _STEPS, late
        self._left = _STEPS
        self._timer = asyncio.get_running_loop().call_later(self._step, self._look)

    def cancel(self) -> None:
        """It is not waited for any more."""
        self._timer.cancel()

    def _look(self) -> None:
        self._left -= 1
        if self._left:
            self._timer = asyncio.get_running_loop().call_later(self._step, self._look)
        else:
            self._late()
