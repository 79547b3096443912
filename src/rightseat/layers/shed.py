"""Load shedding: when the other side refuses, ask less, and leave the room to what is urgent.

The rule is that of adaptive throttling (Beyer et al., "Site Reliability Engineering", chapter 21): over the last two minutes, a call is
declined with the probability max(0, (asked - k x accepted) / (asked + 1)). With k = 2 about half of what is asked may be refused
before anything is declined here; each step of priority above the usual doubles k, each below halves what is above 1.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from msgspec import Struct

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import OverloadedError
from rightseat.handler import A, Q, Service
from rightseat.layers.checks import number
from rightseat.layers.faults import is_refusal

_SLOTS = 24


class ShedPolicy(Struct, frozen=True, kw_only=True):
    """When to decline.

    Attributes:
        k: so many times of what is accepted may be asked.
        window_seconds: how far is looked back.
    """

    k: float = 2.0
    window_seconds: float = 120.0

    def __post_init__(self) -> None:
        number("k", self.k, least=1)
        number("window_seconds", self.window_seconds, above=0)


class Throttle:
    """What was asked and what was accepted lately. May be shared by many handlers. Pure but for being told the time."""

    def __init__(self, policy: ShedPolicy | None = None) -> None:
        self.policy = policy or ShedPolicy()
        self._slot = self.policy.window_seconds / _SLOTS
        self._counts: list[list[int]] = [[0, 0] for _ in range(_SLOTS)]  # asked, accepted
        self._asked = self._accepted = 0
        self._at: int | None = None

    def chance(self, priority: int, now: float) -> float:
        """The probability with which a call is declined now."""
        self._turn(now)
        k = self.policy.k * 2.0**priority if priority >= 0 else 1 + (self.policy.k - 1) * 2.0**priority
        return max(0.0, (self._asked - k * self._accepted) / (self._asked + 1))

    def asked(self, now: float, *, accepted: bool) -> None:
        """A call was made, or declined here."""
        self._turn(now)
        assert self._at is not None
        count = self._counts[self._at % _SLOTS]
        count[0] += 1
        count[1] += accepted
        self._asked += 1
        self._accepted += accepted

    def _turn(self, now: float) -> None:
        at = int(now / self._slot)
        if self._at is None:
            self._at = at
        for i in range(self._at + 1, min(at, self._at + _SLOTS) + 1):
            count = self._counts[i % _SLOTS]
            self._asked -= count[0]
            self._accepted -= count[1]
            count[0] = count[1] = 0
        self._at = max(self._at, at)


class Shed(Struct, frozen=True, kw_only=True):
    """The layer.

    Attributes:
        throttle: shared with others; None: one of its own for each handler that is wrapped.
        policy: of that.
        is_refusal: whether an error tells that the other side has too much to do.
        clock: time.
        chance: random numbers from 0 to 1.
    """

    policy: ShedPolicy = ShedPolicy()
    throttle: Throttle | None = None
    is_refusal: Callable[[BaseException], bool] = is_refusal
    clock: Clock = SYSTEM_CLOCK
    chance: Callable[[], float] = random.random

    def __call__(self, inner: Service[Q, A]) -> Service[Q, A]:
        """See Layer."""
        throttle = self.throttle or Throttle(self.policy)
        now = self.clock.now

        async def handler(request: Q) -> A:
            begun = now()
            refused = throttle.chance(request.meta.priority, begun)
            if refused and self.chance() < refused:
                throttle.asked(begun, accepted=False)
                raise OverloadedError(
                    f"{request.model}: refused so often lately that this call is not worth a try", 1.0
                )
            try:
                answer = await inner(request)
            except BaseException as e:
                throttle.asked(now(), accepted=not self.is_refusal(e))
                raise
            throttle.asked(now(), accepted=True)
            return answer

        return handler
