"""The guide's error recovery: a circuit breaker that counts failures in a row, and retries for one call."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import CircuitOpenError
from rightseat.ids import SYSTEM_IDS
from rightseat.layers import Backoff, Breaker, BreakerPolicy, Budget, Retry
from rightseat.layers.functions import ANY, On, counting

P = ParamSpec("P")
R = TypeVar("R")
State: TypeAlias = Literal["closed", "open", "half-open"]
_STATES: dict[str, State] = {"open": "open", "half_open": "half-open"}
_AT_ONCE = 1e-6  # seconds: a wait that is none


class CircuitBreaker:
    """A breaker that opens after so many failures in a row, and lets one call try when some time has passed.

        breaker = CircuitBreaker(failure_threshold=5, recovery_timeout=60.0)
        answer = await breaker.call(lambda: session.chat(prompt))

    Args:
        failure_threshold: failures in a row that open it.
        recovery_timeout: seconds until one call may try.
        expected_exception: which errors are failures: a type, several, or a function. What a layer has declined is none.
        clock: time.

    Attributes:
        failure_count: failures in a row, so far.
        last_failure_time: of the last one, on the clock; None: none yet.
    """

    def __init__(
        self,
        failure_threshold: int = 5,
        recovery_timeout: float = 60.0,
        expected_exception: On = Exception,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.failure_threshold = failure_threshold
        self.recovery_timeout = recovery_timeout
        self.expected_exception = expected_exception
        policy = BreakerPolicy(
            window=failure_threshold,
            window_seconds=None,
            min_calls=failure_threshold,
            failure_rate=1.0,
            slow_seconds=math.inf,
            open_seconds=recovery_timeout,
            probes=1,
        )
        self.failure_count = 0
        self.last_failure_time: float | None = None
        self._clock = clock
        self._counts = counting(expected_exception)
        self._breaker = Breaker(policy=policy, on=self._failed, clock=clock)

    @property
    def state(self) -> State:
        """As of the last call."""
        return _STATES.get(self._breaker.circuits.states().get(ANY, ""), "closed")

    async def call(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function.

        Raises:
            CircuitOpenError: "Circuit breaker is OPEN": the function was not called. `retry_after` has the seconds until a call may try.
        """
        called = False

        async def observed(*args: P.args, **kwargs: P.kwargs) -> R:
            nonlocal called
            called = True
            return await func(*args, **kwargs)

        try:
            result = await self._breaker.call(observed, *args, **kwargs)
        except CircuitOpenError as e:
            if called:  # a breaker within the function
                raise
            raise CircuitOpenError(e.key, e.retry_after or 0.0, "Circuit breaker is OPEN") from None
        self.failure_count = 0
        return result

    def _failed(self, error: BaseException) -> bool:
        if not self._counts(error):
            return False
        self.failure_count += 1
        self.last_failure_time = self._clock.now()
        return True


async def retry_with_backoff(
    func: Callable[[], Awaitable[R]],
    max_retries: int = 3,
    base_delay: float = 1.0,
    max_delay: float = 60.0,
    exponential_base: float = 2.0,
    *,
    on: On = Exception,
    clock: Clock = SYSTEM_CLOCK,
    chance: Callable[[], float] = SYSTEM_IDS.chance,
) -> R:
    """Call a function until it succeeds, with longer and longer waits between.

    Args:
        func: called without arguments.
        max_retries: calls in all, the first one included.
        base_delay: seconds of the first wait, less up to half of it by chance.
        max_delay: seconds of the longest. An error that asks for a longer one (`retry_after`) ends it.
        exponential_base: each wait is so many times the one before.
        on: for which errors another try is made. What a layer has declined, such as an open circuit, is not tried again.
        clock: time.
        chance: random numbers from 0 to 1.

    Raises:
        InvalidOptionError: a number that makes no sense. What the last call raised is raised as it is.
    """
    first = max(base_delay, _AT_ONCE)
    backoff = Backoff(
        attempts=max_retries,
        base=min(first, max(max_delay, _AT_ONCE)),
        factor=exponential_base,
        cap=max(max_delay, _AT_ONCE),
        patience=max_delay,
    )
    retry = Retry(backoff=backoff, budget=Budget(1, max_retries), on=on, clock=clock, chance=lambda: 0.5 + chance() / 2)
    return await retry.call(func)


def measure_time(func: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Log how long each call of a function took, to the logger of the function's module."""
    log = logging.getLogger(func.__module__)
    name = getattr(func, "__name__", ANY)

    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        begun = SYSTEM_CLOCK.now()
        try:
            return await func(*args, **kwargs)
        finally:
            log.info("%s took %.2fs", name, SYSTEM_CLOCK.now() - begun)

    return functools.update_wrapper(wrapper, func, updated=())
