"""Work that is done once, however many wait for it, and a value that is served while a newer one is fetched.

Does not know what the work and the value are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import RightseatError

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Work that is under way at most once. It belongs to no caller: if one is cancelled, the others still get the result.

    Args:
        work: does it.
    """

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self.task: asyncio.Task[T] | None = None

    def start(self) -> asyncio.Task[T]:
        """The work under way; begun if it is not."""
        if self.task is None:
            self.task = asyncio.ensure_future(self._run())
            self.task.add_done_callback(self._done)
        return self.task

    async def __call__(self) -> T:
        """The result of the work under way. Raises what it raises."""
        return await asyncio.shield(self.start())

    async def aclose(self) -> None:
        """Stop what is under way."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def _run(self) -> T:
        return await self._work()

    def _done(self, task: asyncio.Task[T]) -> None:
        self.task = None
        if not task.cancelled():
            task.exception()  # the waiting callers have seen it, if there are any


class Cached(Generic[T]):
    """One value.

    Args:
        fetch: gets a new one.
        seconds: how long it is fresh. Older ones are served too, while one fetch runs in the background.
        retry_seconds: after a failed fetch, the next one in the background.
        on_fetched: told of each new value.
        on_failed: told of each failure.
        clock: time.

    Attributes:
        value: the last one that was got; None: none yet.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[T]],
        *,
        seconds: float,
        retry_seconds: float = 30.0,
        on_fetched: Callable[[T], None] | None = None,
        on_failed: Callable[[RightseatError], None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._fetch = fetch
        self._seconds = seconds
        self._retry_seconds = retry_seconds
        self._on_fetched = on_fetched
        self._on_failed = on_failed
        self._clock = clock
        self._due = float("-inf")  # when the next fetch may begin
        self._flight = SingleFlight(self._renew)
        self.value: T | None = None

    async def get(self) -> T:
        """The value: at once where there is one, else as soon as it is there. Raises what the fetch raises."""
        self.refresh()
        return self.value if self.value is not None else await self._flight()

    def refresh(self) -> asyncio.Task[T] | None:
        """Begin to fetch a new one, if the time has come. Gives the fetch under way."""
        if self.value is None or self._clock.now() >= self._due:
            return self._flight.start()
        return self._flight.task

    async def aclose(self) -> None:
        """Stop the fetch under way."""
        await self._flight.aclose()

    async def _renew(self) -> T:
        self._due = self._clock.now() + self._retry_seconds
        try:
            value = await self._fetch()
        except RightseatError as e:
            if self._on_failed is not None:
                self._on_failed(e)
            raise
        self.value = value
        self._due = self._clock.now() + self._seconds
        if self._on_fetched is not None:
            self._on_fetched(value)
        return value
