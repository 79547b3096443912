"""The guide's limits and its cache: a limiter by the minute, a queue that counts, and one answer for equal requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypedDict, TypeVar

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.layers import Cache, CachePolicy, Limit, Queue, QueuePolicy, RateLimiter, Totals
from rightseat.layers.checks import number

P = ParamSpec("P")
R = TypeVar("R")
_WAITING = 1_000_000  # calls that may wait in a queue


class MinuteLimiter(RateLimiter):
    """A RateLimiter by requests a minute, which waits however long: `RateLimiter` of `github_copilot_sdk`.

        limiter = MinuteLimiter(requests_per_minute=60, burst_size=10)
        await limiter.acquire()

    Args:
        requests_per_minute: how many may pass.
        burst_size: how many at once.
        clock: time.
    """

    def __init__(self, requests_per_minute: float = 60, burst_size: float = 10, *, clock: Clock = SYSTEM_CLOCK) -> None:
        number("requests_per_minute", requests_per_minute, above=0)
        number("burst_size", burst_size, least=1)
        self.rate = requests_per_minute / 60.0
        self.burst_size = burst_size
        super().__init__(requests=Limit(requests_per_minute, burst_size), max_wait=None, clock=clock)


class QueueMetrics(TypedDict):
    """What a RequestQueue counts: calls, those that waited for the limiter, and those that failed."""

    total_requests: int
    rate_limited: int
    errors: int


class RequestQueue:
    """So many calls at once, and no more than a limiter lets through. Whoever waits longest goes first.

        queue = RequestQueue(limiter, max_concurrent=5)
        answers = await asyncio.gather(*(queue.execute(session.chat, prompt) for prompt in prompts))

    Args:
        rate_limiter: may be shared with others.
        max_concurrent: calls at once.
    """

    def __init__(self, rate_limiter: RateLimiter, max_concurrent: int = 5) -> None:
        self.rate_limiter = rate_limiter
        self._totals = Totals(rate_limiter.limits)
        policy = QueuePolicy(concurrency=max_concurrent, length=_WAITING, wait_seconds=None)
        self._queue = Queue(policy=policy)

    async def execute(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function when it is its turn. What it raises is counted and raised."""
        limited: Any = self.rate_limiter.call
        result: R = await self._totals.call(self._queue.execute, limited, func, *args, **kwargs)
        return result

    @property
    def metrics(self) -> QueueMetrics:
        """What was counted so far."""
        totals = self._totals
        return {"total_requests": totals.requests, "rate_limited": totals.rate_limited, "errors": totals.errors}


class RequestCache:
    """One answer for equal requests, for a while.

        cache = RequestCache(ttl=300)
        answer = await cache.get_or_compute(prompt, lambda: session.chat(prompt))

    Args:
        ttl: seconds.
        clock: time.
    """

    def __init__(self, ttl: float = 300, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.ttl = ttl
        self._cache = Cache(policy=CachePolicy(seconds=ttl), clock=clock)

    async def get_or_compute(self, key: str, func: Callable[[], Awaitable[R]]) -> R:
        """See `Cache.get_or_compute`."""
        return await self._cache.get_or_compute(key, func)
