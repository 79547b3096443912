"""Now, sleep and chance: the only doors for time and randomness in what must be repeatable."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Time as somebody sees it."""

    def now(self) -> float:
        """Seconds, always growing."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        """See Clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
