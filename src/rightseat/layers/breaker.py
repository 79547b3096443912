"""A circuit breaker: when too many calls fail, stop calling for some time, then try a few, then all again.

The machines are in `circuit`. Each caller has a circuit of its own for each key, and all share one: a caller whose requests fail is
stopped by its own, and the others only when they fail too. This module does not know what a call is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import CircuitOpenError
from rightseat.layers.circuit import CLOSED, BreakerPolicy, Circuit, SharedCircuit
from rightseat.layers.functions import CallLayer, On, P, R, caller_of, counting, model_of, when_over
from rightseat.layers.transient import is_failure

__all__ = ["Breaker", "BreakerPolicy", "Circuit", "Circuits"]

KEYS = 1000  # circuits that are remembered: shared ones, and callers' own


class Pass(NamedTuple):
    """A call that was let in, until it is over."""

    own: Circuit
    shared: SharedCircuit
    caller: str
    own_ticket: int
    shared_ticket: int

    def forget(self) -> None:
        """It ended without telling anything."""
        self.own.forget(self.own_ticket)
        self.shared.forget(self.shared_ticket, self.caller)

    def record(self, now: float, *, failed: bool, slow: bool = False) -> None:
        """It has ended."""
        self.own.record(self.own_ticket, now, failed=failed, slow=slow)
        self.shared.record(self.shared_ticket, self.caller, now, failed=failed, slow=slow)


class Circuits:
    """The circuits of all keys and callers; may be shared by many handlers.

    Args:
        policy: of all of them.
        on_change: told of each change, of a shared circuit or of a caller's own: (key, state before, state after).
    """

    def __init__(
        self, policy: BreakerPolicy | None = None, on_change: Callable[[str, str, str], None] | None = None
    ) -> None:
        self.policy = policy or BreakerPolicy()
        self._on_change = on_change
        self._shared: OrderedDict[str, SharedCircuit] = OrderedDict()
        self._own: OrderedDict[tuple[str, str], Circuit] = OrderedDict()

    def enter(self, key: str, caller: str, now: float) -> Pass:
        """Let a call in.

        Raises:
            CircuitOpenError: not now.
        """
        own, shared = self._circuits(key, caller)
        own_ticket = own.ask(now)
        if own_ticket is None:
            raise CircuitOpenError(key, own.wait(now))
        shared_ticket = shared.ask(now, caller)
        if shared_ticket is None:
            own.forget(own_ticket)
            raise CircuitOpenError(key, shared.wait(now))
        return Pass(own, shared, caller, own_ticket, shared_ticket)

    def broke(self, key: str, caller: str, now: float) -> None:
        """An answer broke in the middle: one more failure, of the time when it broke."""
        own, shared = self._circuits(key, caller)
        if own.state == shared.state == CLOSED:
            self.enter(key, caller, now).record(now, failed=True)

    def states(self) -> dict[str, str]:
        """Key -> state, for people: the shared circuit's; while that is closed, the one that all callers' own are in."""
        own: dict[str, set[str]] = {}
        for (key, _), circuit in self._own.items():
            own.setdefault(key, set()).add(circuit.state)
        return {
            key: next(iter(own[key])) if circuit.state == CLOSED and len(own.get(key, ())) == 1 else circuit.state
            for key, circuit in self._shared.items()
        }

    def _circuits(self, key: str, caller: str) -> tuple[Circuit, SharedCircuit]:
        own = self._own.get((key, caller))
        if own is None:
            own = self._own[key, caller] = Circuit(self.policy, self._teller(key))
            if len(self._own) > KEYS:
                self._own.popitem(last=False)
        else:
            self._own.move_to_end((key, caller))
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = SharedCircuit(self.policy, self._teller(key))
            if len(self._shared) > KEYS:
                self._shared.popitem(last=False)
        return own, shared

    def _teller(self, key: str) -> Callable[[str, str], None] | None:
        tell = self._on_change
        return None if tell is None else lambda before, after: tell(key, before, after)


class Breaker(CallLayer):
    """The layer.

        breaker = Breaker(policy=BreakerPolicy(min_calls=5))
        answer = await breaker.call(fetch, url)      # or: @breaker

    Args:
        policy: when to stop asking.
        circuits: shared with others; None: circuits of its own.
        key: (the arguments of the call) -> whose circuit; by default a request's model, and one circuit for all plain functions.
        caller: (the arguments) -> who asks; one caller's failures do not stop the others.
        on: which errors tell that the other side is in trouble: types, or a function; by default OSError, TimeoutError, and ours that do.
        clock: time.

    Attributes:
        circuits: see above; `circuits.states()` shows them.
    """

    def __init__(
        self,
        *,
        policy: BreakerPolicy | None = None,
        circuits: Circuits | None = None,
        key: Callable[..., str] = model_of,
        caller: Callable[..., str] = caller_of,
        on: On = is_failure,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.circuits = circuits or Circuits(policy)
        self._key, self._caller = key, caller
        self._on = counting(on)
        self._now = clock.now

    async def call(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See CallLayer.

        Raises:
            CircuitOpenError: too many calls failed lately; the function was not called.
        """
        key, caller = self._key(*args, **kwargs), self._caller(*args, **kwargs)
        begun = self._now()
        let_in = self.circuits.enter(key, caller, begun)
        try:
            result = await func(*args, **kwargs)
        except BaseException as e:
            if isinstance(e, Exception) and self._on(e):
                let_in.record(self._now(), failed=True)
            else:
                let_in.forget()
            raise
        ended = self._now()
        let_in.record(ended, failed=False, slow=ended - begun >= self.circuits.policy.slow_seconds)

        def over(error: BaseException | None) -> None:
            if isinstance(error, Exception) and self._on(error):
                self.circuits.broke(key, caller, self._now())

        when_over(result, over)
        return result
