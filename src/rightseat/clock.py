"""Time: what the clock shows and how to wait. The only module that reads the machine's clock.

Code that needs the time takes a `Clock`, by default `SYSTEM_CLOCK`, so that tests can own it: `rightseat.testing`
has `FakeClock`, turned by hand, and a `LoopClock` for virtual time. What sets timers of the event loop takes its time from `LOOP_CLOCK`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Time as one part of a program sees it."""

    def now(self) -> float:
        """Monotonic seconds: for durations and deadlines. On a running event loop, comparable with `loop.time()`."""
        ...

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC: for dates that others see. It may jump."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        """See Clock."""
        return time.monotonic()

    def wall(self) -> float:
        """See Clock."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(seconds)


class EventLoopClock:
    """The running event loop's time: for whatever sets the loop's timers, and for virtual time, where the loop's time is no machine's.

    Args:
        epoch: what `wall` shows when `now` shows 0; None: the machine's date.
    """

    def __init__(self, epoch: float | None = None) -> None:
        self._epoch = epoch

    def now(self) -> float:
        """See Clock."""
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        """See Clock."""
        return time.time() if self._epoch is None else self._epoch + self.now()

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(seconds)


SYSTEM_CLOCK: Clock = SystemClock()
LOOP_CLOCK: Clock = EventLoopClock()


def pause(seconds: float) -> None:
    """Block this thread. For processes without an event loop."""
    time.sleep(seconds)
