"""Time that a test owns: hours pass in milliseconds, and the same every time.

    def test_it_waits_a_minute():
        run_virtual(main)          # every sleep and every timeout within takes no real time

`VirtualTimeLoop` is an event loop whose clock jumps to the next timer as soon as nothing else is to be done. `LoopClock` follows
the loop's time; `FakeClock` is a number that a test turns by hand. `SeededIds` makes the same ids in every run.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from rightseat import clock
from rightseat.ids import SystemIds

T = TypeVar("T")
EPOCH = 1_800_000_000.0
"""What `wall()` of a test's clock shows when `now()` shows 0: 2027-01-15 08:00:00 UTC."""


class LoopClock(clock.EventLoopClock):
    """The running event loop's time, for whatever runs in virtual time.

    Args:
        epoch: what `wall` shows when the loop's time is 0.
    """

    def __init__(self, epoch: float = EPOCH) -> None:
        super().__init__(epoch)


class FakeClock:
    """A clock that a test sets. Its `sleep` moves it and returns at once.

    Args:
        at: what it shows first.

    Attributes:
        slept: every sleep, in seconds.
    """

    def __init__(self, at: float = 1000.0) -> None:
        self._at = at
        self.slept: list[float] = []

    def now(self) -> float:
        """See Clock."""
        return self._at

    def wall(self) -> float:
        """See Clock: what `now` shows, counted from `EPOCH`."""
        return EPOCH + self._at

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        self.slept.append(seconds)
        self._at += max(0.0, seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Let time pass; less than zero: the clock jumps back."""
        self._at += seconds


class SeededIds(SystemIds):
    """Ids and chance from a seed: the same in every run. Never for real secrets.

    Args:
        seed: another seed, other ids.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def entropy(self, nbytes: int) -> bytes:
        """See Ids."""
        return self._random.randbytes(nbytes)

    def chance(self) -> float:
        """See Ids."""
        return self._random.random()


class NothingLeftError(RuntimeError):
    """Everything waits, and nothing will ever happen: a deadlock."""


class _Jumping:
    """A selector that never waits: it lets the loop's time jump instead."""

    def __init__(self, inner: selectors.BaseSelector) -> None:
        self._inner = inner
        self.jump: Callable[[float], None] = lambda _: None

    def select(self, timeout: float | None = None) -> Any:
        """See selectors."""
        ready = self._inner.select(0)
        if not ready:
            if timeout is None:
                raise NothingLeftError("deadlock: every task waits, and no timer is set")
            if timeout > 0:
                self.jump(timeout)
        return ready

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time. No threads, no sockets to others: what is not in this loop does not happen."""

    def __init__(self) -> None:
        self._virtual_now = 0.0
        self._virtual_end = float("inf")
        selector: Any = _Jumping(selectors.DefaultSelector())
        selector.jump = self._jump
        super().__init__(selector)

    def time(self) -> float:
        """Virtual seconds."""
        return self._virtual_now

    def stand_still(self, seconds: float) -> None:
        """Time passes in which nothing runs, as under a callback that takes so long."""
        self._jump(seconds)

    def _jump(self, seconds: float) -> None:
        self._virtual_now += seconds
        if self._virtual_now > self._virtual_end:
            raise NothingLeftError(f"not done within {self._virtual_end:g} virtual seconds")


def run_virtual(main: Callable[[], Awaitable[T]], *, within: float = 1e7) -> T:
    """Run a coroutine function in virtual time.

    Args:
        main: the function.
        within: virtual seconds it may take.

    Raises:
        NothingLeftError: it waits for something that will never happen, or takes longer than `within`.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:

        async def run() -> T:
            asyncio.get_running_loop()._virtual_end = within  # type: ignore[attr-defined]  # it is ours
            return await main()

        return runner.run(run())
