"""A circuit breaker: when too many calls fail, ask no more for a while, then a few, then all again.

    closed --(too many failed or were slow)--> open --(open_seconds)--> half-open --(probes well)--> closed
                                                 ^                          |
                                                 +------(probes not)--------+

States and rules are those of resilience4j; its defaults are in a test. `Circuit` is the machine: pure, told the time, and asked before
each call. A call that was let in under an older state says nothing about the present one.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import CircuitOpenError
from rightseat.handler import A, Q, Service
from rightseat.layers.checks import number
from rightseat.layers.faults import is_failure

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"
KEYS = 1000  # circuits that are remembered


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


class Circuits:
    """The circuits of all keys; may be shared by many handlers.

    Args:
        policy: of all of them.
        on_change: told of each change: (key, state before, state after).
    """

    def __init__(
        self, policy: BreakerPolicy | None = None, on_change: Callable[[str, str, str], None] | None = None
    ) -> None:
        self.policy = policy or BreakerPolicy()
        self._on_change = on_change
        self._circuits: OrderedDict[str, Circuit] = OrderedDict()

    def of(self, key: str) -> Circuit:
        """The circuit of a key."""
        circuit = self._circuits.get(key)
        if circuit is None:
            circuit = self._circuits[key] = Circuit(self.policy, self._teller(key))
            if len(self._circuits) > KEYS:
                self._circuits.popitem(last=False)
        return circuit

    def states(self) -> dict[str, str]:
        """Key -> state, for people."""
        return {key: circuit.state for key, circuit in self._circuits.items()}

    def _teller(self, key: str) -> Callable[[str, str], None] | None:
        tell = self._on_change
        return None if tell is None else lambda before, after: tell(key, before, after)


def by_model(request: Any) -> str:
    """The usual key."""
    return str(request.model)


class Breaker(Struct, frozen=True, kw_only=True):
    """The layer.

    Attributes:
        circuits: shared with others; None: circuits of its own for each handler that is wrapped.
        policy: of those.
        key: request -> whose circuit.
        is_failure: whether an error tells that the other side is in trouble.
        clock: time.
    """

    policy: BreakerPolicy = BreakerPolicy()
    circuits: Circuits | None = None
    key: Callable[[Any], str] = by_model
    is_failure: Callable[[BaseException], bool] = is_failure
    clock: Clock = SYSTEM_CLOCK

    def __call__(self, inner: Service[Q, A]) -> Service[Q, A]:
        """See Layer."""
        circuits = self.circuits or Circuits(self.policy)
        slow_seconds = circuits.policy.slow_seconds
        now = self.clock.now

        async def handler(request: Q) -> A:
            circuit = circuits.of(self.key(request))
            begun = now()
            ticket = circuit.ask(begun)
            if ticket is None:
                raise CircuitOpenError(self.key(request), circuit.wait(begun))
            try:
                answer = await inner(request)
            except BaseException as e:
                if self.is_failure(e):
                    circuit.record(ticket, now(), failed=True)
                else:
                    circuit.forget(ticket)
                raise
            ended = now()
            circuit.record(ticket, ended, failed=False, slow=ended - begun >= slow_seconds)
            answer.on_close(lambda e: self._over(circuit, e))
            return answer

        return handler

    def _over(self, circuit: Circuit, error: BaseException | None) -> None:
        """An answer that broke in the middle counts as one more failure, of the time when it broke."""
        if error is not None and self.is_failure(error) and circuit.state == CLOSED:
            now = self.clock.now()
            ticket = circuit.ask(now)
            if ticket is not None:
                circuit.record(ticket, now, failed=True)
