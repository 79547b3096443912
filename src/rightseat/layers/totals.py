"""Counting calls: how many there were, how many failed, and how many a rate limit held up or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from rightseat.errors import RateLimitedError, UpstreamError
from rightseat.layers.functions import CallLayer, P, R, when_over
from rightseat.layers.rate import Limits

_TOO_MANY = 429


class Counted(Protocol):
    """Whatever counts: the layers, and the state of all of them together."""

    @property
    def counts(self) -> Mapping[str, int]:
        """What -> how often, since the beginning. Numbers never get smaller."""
        ...


class Totals(CallLayer):
    """The layer. Outside of all others it counts what the caller sees.

    Args:
        limits: calls that waited for these count as held up, too.

    Attributes:
        requests: calls.
        errors: of those, the ones that failed, before their answer or in it. Cancelled ones are none.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.requests = 0
        self.errors = 0
        self._refused = 0
        self._limits = limits

    @property
    def rate_limited(self) -> int:
        """Calls that waited for a rate limit, or were refused for one, here (`RateLimitedError`) or upstream (429)."""
        return self._refused + (self._limits.waited if self._limits is not None else 0)

    @property
    def counts(self) -> Mapping[str, int]:
        """See Counted."""
        return {"requests": self.requests, "errors": self.errors, "rate_limited": self.rate_limited}

    async def call(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See CallLayer."""
        self.requests += 1
        try:
            result = await func(*args, **kwargs)
        except BaseException as e:
            self._over(e)
            raise
        when_over(result, self._over)
        return result

    def _over(self, error: BaseException | None) -> None:
        if error is None or isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            return
        self.errors += 1
        self._refused += isinstance(error, RateLimitedError) or (
            isinstance(error, UpstreamError) and error.status == _TOO_MANY
        )
