"""Rate limits: requests and tokens a minute, with a burst; first come, first served.

`Limits` are the live buckets (see `rightseat.state.buckets`) of one subject, with a queue of waiting calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from rightseat.chat import Answer, Usage
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import RateLimitedError
from rightseat.handler import A, Q, Service
from rightseat.layers.checks import number
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
        self._buckets = [Bucket(limit.size, clock.now()) for limit in self._limits]
        self._max_wait = max_wait
        self._clock = clock
        self._line = asyncio.Lock()  # fair: first come, first served
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
            async with self._line:
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


class RateLimiter(Struct, frozen=True, kw_only=True):
    """The layer.

    Attributes:
        limits: shared with others, or None.
        requests: without `limits`: so many calls; each handler that is wrapped has its own.
        tokens: without `limits`: so many tokens.
        max_wait: see Limits.
        estimate: request -> tokens it will use, about. The answer's own usage settles it.
        clock: time.
    """

    limits: Limits | None = None
    requests: Limit | None = None
    tokens: Limit | None = None
    max_wait: float | None = 60.0
    estimate: Callable[[Any], float] = lambda _: 0.0
    clock: Clock = SYSTEM_CLOCK

    def __call__(self, inner: Service[Q, A]) -> Service[Q, A]:
        """See Layer."""
        limits = self.limits or Limits(self.requests, self.tokens, max_wait=self.max_wait, clock=self.clock)
        counts = limits.counts_tokens

        async def handler(request: Q) -> A:
            estimated = self.estimate(request) if counts else 0.0
            await limits.acquire(estimated)
            answer = await inner(request)
            if counts:
                _settle_by_usage(answer, limits, estimated)
            return answer

        return handler


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
