"""Rate limits: requests and tokens a minute, with a burst; first come, first served.

`Limits` are the live buckets (see `rightseat.state.buckets`) of one subject, with a queue of waiting calls.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rightseat.chat import Answer, Usage
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import InvalidOptionError, RateLimitedError
from rightseat.layers.checks import number
from rightseat.layers.functions import CallLayer, P, R
from rightseat.state.buckets import Bucket, Limit


class Limits:
    """The live limits of one subject: an account, a caller, a model. May be shared by many handlers of one event loop.

    Args:
        requests: of calls.
        tokens: of tokens, read and written.
        max_wait: seconds; a call that would have to wait longer is declined. None: it waits.
        clock: time.

    Attributes:
        waited: calls that had to wait.
        declined: calls that were declined.
        waiting: calls that wait now.
    """

    def __init__(
        self,
        requests: Limit | None = None,
        tokens: Limit | None = None,
        *,
        max_wait: float | None = 60.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if max_wait is not None:
            number("max_wait", max_wait)
        self._limits = [limit for limit in (requests, tokens) if limit is not None]
        self._tokens = tokens
        self._buckets = [
            Bucket(limit.size, -math.inf) for limit in self._limits
        ]  # full; a loop's clock may not run yet
        self._max_wait = max_wait
        self._clock = clock
        self._line = asyncio.Lock()  # fair: first come, first served
        self._loop: asyncio.AbstractEventLoop | None = None  # whose lock it is
        self.waiting = 0
        self.waited = 0
        self.declined = 0

    @property
    def counts_tokens(self) -> bool:
        """There is a limit of tokens."""
        return self._tokens is not None

    async def acquire(self, tokens: float = 0) -> None:
        """One call, with about so many tokens. Waits until it may be made; may be cancelled.

        Raises:
            RateLimitedError: the wait would be longer than `max_wait`.
        """
        if not self.waiting and not self._take(tokens):
            return
        self._decline_if_long(tokens)
        self.waiting += 1
        self.waited += 1
        try:
            async with self._line_here():
                while wait := self._take(tokens):
                    await self._clock.sleep(wait)
        finally:
            self.waiting -= 1

    def settle(self, estimated: float, used: float) -> None:
        """A call has used another number of tokens than was thought. What is owed is waited for by the next ones."""
        if self._tokens is None:
            return
        bucket = self._buckets[-1].filled(self._tokens, self._clock.now())
        estimated = min(estimated, self._tokens.size)
        level = min(self._tokens.size, bucket.level + estimated - used)
        self._buckets[-1] = Bucket(level, bucket.at)

    def _line_here(self) -> asyncio.Lock:
        """The line of this event loop: a program may run one after another with the same limits."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._line, self._loop = asyncio.Lock(), loop
        return self._line

    def _take(self, tokens: float) -> float:
        """Take from all buckets, or from none: the seconds to wait."""
        now = self._clock.now()
        amounts = [tokens if limit is self._tokens else 1.0 for limit in self._limits]
        taken = [b.take(n, now, amount) for b, n, amount in zip(self._buckets, self._limits, amounts, strict=True)]
        wait = max((wait for _, wait in taken), default=0.0)
        if not wait:
            self._buckets = [bucket for bucket, _ in taken]
        return wait

    def _decline_if_long(self, tokens: float) -> None:
        if self._max_wait is None:
            return
        now = self._clock.now()
        wait = 0.0
        for bucket, limit in zip(self._buckets, self._limits, strict=True):
            # Waiting calls take about as much as this call.
            amount = (tokens if limit is self._tokens else 1.0) * (self.waiting + 1)
            missing = min(amount, limit.size * (self.waiting + 1)) - bucket.filled(limit, now).level
            wait = max(wait, missing * 60 / limit.per_minute)
        if wait > self._max_wait:
            self.declined += 1
            raise RateLimitedError(f"the rate limit would make this call wait {wait:.1f} s", wait)


class RateLimiter(CallLayer):
    """The layer.

        limiter = RateLimiter(requests=Limit(60, burst=10))
        await limiter.acquire()          # or: await limiter.call(fetch, url), or: @limiter

    Args:
        limits: shared with others; None: limits of its own, made of the rest.
        requests: so many calls a minute, or a Limit.
        tokens: so many tokens a minute, or a Limit.
        max_wait: see Limits.
        estimate: (the arguments of the call) -> tokens it will use, about. An answer's own usage settles it.
        clock: time.

    Attributes:
        limits: see above; it counts what waited and what was declined.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        requests: float | Limit | None = None,
        tokens: float | Limit | None = None,
        max_wait: float | None = 60.0,
        estimate: Callable[..., float] = lambda *_, **__: 0.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if limits is not None and not (requests is tokens is None):
            raise InvalidOptionError("limits: they have all of it; give them without requests and tokens")
        self.limits = limits or Limits(
            limit_of("requests", requests), limit_of("tokens", tokens), max_wait=max_wait, clock=clock
        )
        self._estimate = estimate

    @property
    def counts(self) -> Mapping[str, int]:
        """See `totals.Counted`."""
        return {"waited": self.limits.waited, "declined": self.limits.declined}

    async def acquire(self, tokens: float = 0) -> None:
        """Wait until a call may be made, with about so many tokens. Raises RateLimitedError: see `max_wait`."""
        await self.limits.acquire(tokens)

    async def call(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See CallLayer.

        Raises:
            RateLimitedError: the wait would be longer than `max_wait`; the function was not called.
        """
        limits = self.limits
        estimated = self._estimate(*args, **kwargs) if limits.counts_tokens else 0.0
        await limits.acquire(estimated)
        result = await func(*args, **kwargs)
        if limits.counts_tokens and isinstance(result, Answer):
            _settle_by_usage(result, limits, estimated)
        return result


def limit_of(name: str, given: float | Limit | None) -> Limit | None:
    """A limit from how it may be given. Raises InvalidOptionError, which names it."""
    if given is None or isinstance(given, Limit):
        return given
    number(name, given, above=0)
    return Limit(given)


def _settle_by_usage(answer: Answer[Any], limits: Limits, estimated: float) -> None:
    """When the answer is over, what it says of its tokens counts."""
    usage: list[Usage] = []

    async def see(pieces: Any) -> Any:
        async for piece in pieces:
            if type(piece) is Usage:
                usage.append(piece)
            yield piece

    answer.through(see)
    answer.on_close(
        lambda _: limits.settle(estimated, usage[-1].input_tokens + usage[-1].output_tokens) if usage else None
    )
