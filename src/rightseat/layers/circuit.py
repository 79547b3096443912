"""The circuits of a breaker: state machines without a clock and without a loop. Who calls tells the time, and asks before each call.

    closed --(too many failed or were slow)--> open --(open_seconds)--> half-open --(probes well)--> closed
                                                 ^                          |
                                                 +------(probes not)--------+

States and rules are those of resilience4j; its defaults are in a test. A call that was let in under an older state says nothing about the
present one. `SharedCircuit` is the same for several callers, none of whom can open it, or keep it open, for the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from rightseat.layers.checks import number

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"


class BreakerPolicy(Struct, frozen=True, kw_only=True):
    """When to stop asking, and when to begin again.

    Attributes:
        window: how many calls are looked back at.
        window_seconds: older calls are not looked at; None: however old.
        min_calls: fewer tell nothing.
        failure_rate: from 0 to 1; so many failures open the circuit.
        slow_seconds: a call without the head of an answer for so long is slow.
        slow_rate: so many slow calls open it too.
        open_seconds: how long nothing is asked.
        probes: how many calls are let through then, to see.
    """

    window: int = 100
    window_seconds: float | None = 60.0
    min_calls: int = 10
    failure_rate: float = 0.5
    slow_seconds: float = 60.0
    slow_rate: float = 1.0
    open_seconds: float = 4.0
    probes: int = 3

    def __post_init__(self) -> None:
        number("window", self.window, least=1, whole=True)
        if self.window_seconds is not None:
            number("window_seconds", self.window_seconds, above=0)
        number("min_calls", self.min_calls, least=1, most=self.window, whole=True)
        number("failure_rate", self.failure_rate, above=0, most=1)
        number("slow_seconds", self.slow_seconds, above=0)
        number("slow_rate", self.slow_rate, above=0, most=1)
        number("open_seconds", self.open_seconds, above=0)
        number("probes", self.probes, least=1, whole=True)


class Circuit:
    """One circuit. Pure: who calls tells the time, in seconds that may stand still but count for nothing when they go back.

    Attributes:
        state: "closed", "open" or "half_open", as of the last call.
    """

    def __init__(self, policy: BreakerPolicy, on_change: Callable[[str, str], None] | None = None) -> None:
        self.policy = policy
        self.state = CLOSED
        self._on_change = on_change
        self._age = 0  # grows with each change of state: what began before says nothing any more
        self._calls: deque[tuple[float, bool, bool]] = deque()  # (when, failed, slow), oldest first
        self._failed = 0
        self._slow = 0
        self._opened_at = 0.0
        self._probing = 0  # probes that were let in

    def ask(self, now: float) -> int | None:
        """May a call be made? A ticket to come back with, or None: not now."""
        if self.state == OPEN and now - self._opened_at >= self.policy.open_seconds:
            self._change(HALF_OPEN)
        if self.state == OPEN:
            return None
        if self.state == HALF_OPEN:
            if self._probing >= self.policy.probes:
                return None
            self._probing += 1
        return self._age

    def wait(self, now: float) -> float:
        """Seconds until it is worth asking again."""
        if self.state != OPEN:
            return 1.0 if self.state == HALF_OPEN else 0.0
        return max(0.0, self._opened_at + self.policy.open_seconds - now)

    def forget(self, ticket: int) -> None:
        """The call ended without telling anything: it was cancelled, or the caller was wrong."""
        if ticket == self._age and self.state == HALF_OPEN:
            self._probing -= 1

    def record(self, ticket: int, now: float, *, failed: bool, slow: bool = False) -> None:
        """The call has ended."""
        if ticket != self._age:
            return
        self._calls.append((now, failed, slow))
        self._failed += failed
        self._slow += slow
        policy = self.policy
        oldest = now - policy.window_seconds if policy.window_seconds is not None else None
        while len(self._calls) > policy.window or (oldest is not None and self._calls[0][0] <= oldest):
            _, was_failed, was_slow = self._calls.popleft()
            self._failed -= was_failed
            self._slow -= was_slow
        if not failed and not slow and self.state == CLOSED:
            return
        calls = len(self._calls)
        if calls < (policy.probes if self.state == HALF_OPEN else policy.min_calls):
            return
        if self._failed >= policy.failure_rate * calls or self._slow >= policy.slow_rate * calls:
            self._opened_at = now
            self._change(OPEN)
        elif self.state == HALF_OPEN:
            self._change(CLOSED)

    def _change(self, state: str) -> None:
        before, self.state = self.state, state
        self._age += 1
        self._calls.clear()
        self._failed = self._slow = self._probing = 0
        if self._on_change is not None:
            self._on_change(before, state)


class SharedCircuit:
    """A circuit for all callers of something. Pure, as `Circuit` is.

    It opens when the calls of the others, whichever one caller is left out, say so too: failures that one caller provokes are that
    caller's. Half open, each caller has one probe; one that goes well closes it, and it takes two callers' to open it again.

    Attributes:
        state: "closed", "open" or "half_open", as of the last call.
    """

    def __init__(self, policy: BreakerPolicy, on_change: Callable[[str, str], None] | None = None) -> None:
        self.policy = policy
        self.state = CLOSED
        self._on_change = on_change
        self._age = 0
        self._calls: deque[tuple[float, bool, bool, str]] = deque()  # (when, failed, slow, caller), oldest first
        self._tallies: dict[str, list[int]] = {}  # caller -> how many of its calls are there, failed, were slow
        self._opened_at = 0.0
        self._probed: dict[str, float] = {}  # caller -> when its probe was let in
        self._failing: set[str] = set()  # callers whose probes did not go well

    def ask(self, now: float, caller: str) -> int | None:
        """May a caller make a call? A ticket to come back with, or None: not now."""
        if self.state == CLOSED:
            return self._age
        if self.state == OPEN:
            if now - self._opened_at < self.policy.open_seconds:
                return None
            self._change(HALF_OPEN)
        oldest = now - self.policy.open_seconds
        self._probed = {one: when for one, when in self._probed.items() if when > oldest}
        if caller in self._probed or len(self._probed) >= self.policy.probes:
            return None
        self._probed[caller] = now
        return self._age

    def wait(self, now: float) -> float:
        """Seconds until it is worth asking again."""
        if self.state != OPEN:
            return 1.0 if self.state == HALF_OPEN else 0.0
        return max(0.0, self._opened_at + self.policy.open_seconds - now)

    def forget(self, ticket: int, caller: str) -> None:
        """The call ended without telling anything: it was cancelled, or the caller was wrong."""
        if ticket == self._age:
            self._probed.pop(caller, None)

    def record(self, ticket: int, caller: str, now: float, *, failed: bool, slow: bool = False) -> None:
        """The call of a caller has ended."""
        if ticket != self._age:
            return
        if self.state == HALF_OPEN:
            self._probe_ended(caller, now, well=not failed and not slow)
            return
        self._calls.append((now, failed, slow, caller))
        self._tally(caller, 1, failed, slow)
        policy = self.policy
        oldest = now - policy.window_seconds if policy.window_seconds is not None else None
        while len(self._calls) > policy.window or (oldest is not None and self._calls[0][0] <= oldest):
            _, was_failed, was_slow, who = self._calls.popleft()
            self._tally(who, -1, was_failed, was_slow)
        if (failed and self._says_open(1, policy.failure_rate)) or (slow and self._says_open(2, policy.slow_rate)):
            self._opened_at = now
            self._change(OPEN)

    def _says_open(self, kind: int, rate: float) -> bool:
        """Whether the calls say so, and still do without those of any one caller."""
        calls = len(self._calls)
        least = (self.policy.min_calls + 1) // 2  # calls of the others
        bad = sum(tally[kind] for tally in self._tallies.values())
        if calls < self.policy.min_calls or bad < rate * calls:
            return False
        return all(
            calls - tally[0] >= least and bad - tally[kind] >= max(1, rate * (calls - tally[0]))
            for tally in self._tallies.values()
        )

    def _tally(self, caller: str, by: int, failed: bool, slow: bool) -> None:
        tally = self._tallies.setdefault(caller, [0, 0, 0])
        tally[0] += by
        tally[1] += by * failed
        tally[2] += by * slow
        if not tally[0]:
            del self._tallies[caller]

    def _probe_ended(self, caller: str, now: float, *, well: bool) -> None:
        if well:
            self._change(CLOSED)
            return
        self._failing.add(caller)
        if len(self._failing) > 1:
            self._opened_at = now
            self._change(OPEN)

    def _change(self, state: str) -> None:
        before, self.state = self.state, state
        self._age += 1
        self._calls.clear()
        self._tallies.clear()
        self._probed.clear()
        self._failing.clear()
        if self._on_change is not None:
            self._on_change(before, state)
