"""Load shedding: when the other side refuses, ask less, and leave the room to what is urgent.

The rule is that of adaptive throttling (Beyer et al., "Site Reliability Engineering", chapter 21): by what happened lately, a call is
declined with the probability max(0, (asked - k x accepted) / (asked + 1)), but never with certainty: some go and see. With k = 2 about half of what is asked may be refused
before anything is declined here; each step of priority above the usual doubles k, each below halves what is above 1. Each priority
is counted apart, so that what is urgent does not pay for the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import OverloadedError
from rightseat.ids import SYSTEM_IDS
from rightseat.layers.checks import number
from rightseat.layers.functions import CallLayer, On, P, R, counting, meta_of, model_of
from rightseat.layers.transient import is_refusal

_SLOTS = 24
_MOST = 0.95  # probability of declining: one of twenty goes and sees
_STEPS = 4  # of priority, up and down, that are distinguished


class ShedPolicy(Struct, frozen=True, kw_only=True):
    """When to decline.

    Attributes:
        k: so many times of what is accepted may be asked.
        window_seconds: how far is looked back.
        min_calls: fewer calls within it tell nothing.
    """

    k: float = 2.0
    window_seconds: float = 30.0
    min_calls: int = 20

    def __post_init__(self) -> None:
        number("k", self.k, least=1)
        number("window_seconds", self.window_seconds, above=0)
        number("min_calls", self.min_calls, least=1, whole=True)


class _Counts:
    """What was asked and accepted over the window, in slots of time."""

    __slots__ = ("_at", "_slots", "accepted", "asked")

    def __init__(self) -> None:
        self.asked = self.accepted = 0
        self._at: int | None = None
        self._slots = [[0, 0] for _ in range(_SLOTS)]

    def turn(self, at: int) -> None:
        """Time has come to this slot; what is older than the window is forgotten."""
        if self._at is None:
            self._at = at
        for i in range(self._at + 1, min(at, self._at + _SLOTS) + 1):
            slot = self._slots[i % _SLOTS]
            self.asked -= slot[0]
            self.accepted -= slot[1]
            slot[0] = slot[1] = 0
        self._at = max(self._at, at)

    def add(self, *, accepted: bool) -> None:
        """One more call."""
        assert self._at is not None
        slot = self._slots[self._at % _SLOTS]
        slot[0] += 1
        slot[1] += accepted
        self.asked += 1
        self.accepted += accepted


class Throttle:
    """What was asked and what was accepted lately. May be shared by many handlers. Pure but for being told the time."""

    def __init__(self, policy: ShedPolicy | None = None) -> None:
        self.policy = policy or ShedPolicy()
        self._slot = self.policy.window_seconds / _SLOTS
        self._counts: dict[int, _Counts] = {}

    def chance(self, priority: int, now: float) -> float:
        """The probability with which a call is declined now."""
        priority = max(-_STEPS, min(_STEPS, priority))
        counts = self._of(priority, now)
        if counts.asked < self.policy.min_calls:
            return 0.0
        k = self.policy.k * 2.0**priority if priority >= 0 else 1 + (self.policy.k - 1) * 2.0**priority
        return max(0.0, min(_MOST, (counts.asked - k * counts.accepted) / (counts.asked + 1)))

    def asked(self, priority: int, now: float, *, accepted: bool) -> None:
        """A call was made, or declined here."""
        self._of(max(-_STEPS, min(_STEPS, priority)), now).add(accepted=accepted)

    def _of(self, priority: int, now: float) -> _Counts:
        counts = self._counts.get(priority)
        if counts is None:
            counts = self._counts[priority] = _Counts()
        counts.turn(int(now / self._slot))
        return counts


class Shed(CallLayer):
    """The layer.

    Args:
        policy: when to decline.
        throttle: shared with others; None: one of its own.
        on: which errors tell that the other side has too much to do: types, or a function.
        clock: time.
        chance: random numbers from 0 to 1.
    """

    def __init__(
        self,
        *,
        policy: ShedPolicy | None = None,
        throttle: Throttle | None = None,
        on: On = is_refusal,
        clock: Clock = SYSTEM_CLOCK,
        chance: Callable[[], float] = SYSTEM_IDS.chance,
    ) -> None:
        self.throttle = throttle or Throttle(policy)
        self._on = counting(on)
        self._now = clock.now
        self._chance = chance

    async def call(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See CallLayer.

        Raises:
            OverloadedError: recent calls were refused; the function was not called.
        """
        throttle, begun, priority = self.throttle, self._now(), meta_of(args).priority
        refused = throttle.chance(priority, begun)
        if refused and self._chance() < refused:
            throttle.asked(priority, begun, accepted=False)
            raise OverloadedError(f"{model_of(*args)}: recent calls were refused, so this one is not sent", 1.0)
        try:
            result = await func(*args, **kwargs)
        except BaseException as e:
            throttle.asked(priority, self._now(), accepted=not (isinstance(e, Exception) and self._on(e)))
            raise
        throttle.asked(priority, self._now(), accepted=True)
        return result
