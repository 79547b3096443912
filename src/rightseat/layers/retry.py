"""Trying again: exponential back-off with full jitter, the server's own wish, and a budget for the whole.

A count of tries alone is the wrong knob: when an upstream is down, three tries a call are three times the traffic at the worst
moment. So tries are paid from a budget that calls fill: in quiet times it is never noticed, in an outage it bounds the extra traffic.
The loop below knows nothing of streams: an answer that has begun is never asked for again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.ids import SYSTEM_IDS
from rightseat.layers.checks import number
from rightseat.layers.functions import CallLayer, On, P, R, counting, meta_of, model_of, retry_after_of
from rightseat.layers.transient import is_transient

_CALLERS = 1000  # whose budgets are kept


class Backoff(Struct, frozen=True, kw_only=True):
    """How long to wait before the next try. Pure.

    Attributes:
        attempts: tries in all, the first one included; 1: never again.
        base: seconds before the second try, at most.
        factor: each wait may be so many times the one before.
        cap: seconds; no wait is longer.
        patience: seconds; a server that asks for a longer wait is not asked again.
    """

    attempts: int = 3
    base: float = 0.5
    factor: float = 2.0
    cap: float = 20.0
    patience: float = 30.0

    def __post_init__(self) -> None:
        number("attempts", self.attempts, least=1, whole=True)
        number("base", self.base, above=0)
        number("factor", self.factor, least=1)
        number("cap", self.cap, least=self.base)
        number("patience", self.patience)

    def wait(self, tries: int, retry_after: float | None, chance: float) -> float | None:
        """Seconds until the next try, or None: no more.

        Args:
            tries: how many there were.
            retry_after: what the server asked for, in seconds.
            chance: a number from 0 to 1, for the jitter. All of the wait is left to it ("full jitter"), so that callers who
                failed together do not come back together; what the server asked for is always kept.
        """
        if tries >= self.attempts:
            return None
        most = self.cap
        if tries < 64:  # beyond, the power is larger than any cap
            most = min(self.cap, self.base * self.factor ** (tries - 1))
        if retry_after is None:
            return chance * most
        return None if retry_after > self.patience else retry_after + chance * most / 10


class Budget:
    """What may be spent on tries: each call puts a little in, each further try takes one out. May be shared by many handlers.

    Args:
        ratio: put in by each call: 0.1 allows one more try for ten calls.
        reserve: in it at the beginning, and never more than this; lets few callers try again at all.

    Attributes:
        refused: how many tries it did not allow.
    """

    def __init__(self, ratio: float = 0.1, reserve: float = 10) -> None:
        number("ratio", ratio)
        number("reserve", reserve)
        self._ratio = ratio
        self._most = float(reserve)
        self.left = float(reserve)
        self.refused = 0

    def deposit(self) -> None:
        """A call begins."""
        self.left = min(self._most, self.left + self._ratio)

    def withdraw(self) -> bool:
        """Another try, if there is enough for it."""
        if self.left < 1:
            self.refused += 1
            return False
        self.left -= 1
        return True


class CallerBudgets:
    """A budget for each caller: a caller whose calls fail uses up its own tries only.

    Args:
        ratio, reserve: of each, see Budget.
    """

    def __init__(self, ratio: float = 0.1, reserve: float = 10) -> None:
        self._ratio, self._reserve = ratio, reserve
        self._budgets: OrderedDict[str, Budget] = OrderedDict()

    def of(self, caller: str) -> Budget:
        """The budget of a caller; "" for unknown. The last 1000 are kept."""
        budget = self._budgets.get(caller)
        if budget is None:
            budget = self._budgets[caller] = Budget(self._ratio, self._reserve)
            if len(self._budgets) > _CALLERS:
                self._budgets.popitem(last=False)
        else:
            self._budgets.move_to_end(caller)
        return budget


class Retried(Struct, frozen=True):
    """A try that failed and is made again.

    Attributes:
        model: what was asked.
        tries: how many there were.
        wait: seconds until the next.
        error: what was wrong.
    """

    model: str
    tries: int
    wait: float
    error: Exception


class Retry(CallLayer):
    """The layer.

        @Retry(on=httpx.TransportError)
        async def fetch(url): ...

    Args:
        backoff: how long to wait, and how often.
        budget: what may be spent, by all callers or by each; None: by each, of its own for this layer.
        on: for which errors another try may help: types, or a function; by default OSError, TimeoutError, and ours that pass.
        on_retry: told of each.
        clock: time.
        chance: random numbers from 0 to 1.

    Attributes:
        budget: see above.
        retries: tries that were made again.
    """

    def __init__(
        self,
        *,
        backoff: Backoff | None = None,
        budget: Budget | CallerBudgets | None = None,
        on: On = is_transient,
        on_retry: Callable[[Retried], None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        chance: Callable[[], float] = SYSTEM_IDS.chance,
    ) -> None:
        self.backoff = backoff or Backoff()
        self.budget = budget or CallerBudgets()
        self.retries = 0
        self._on = counting(on)
        self._on_retry = on_retry
        self._clock = clock
        self._chance = chance

    @property
    def counts(self) -> Mapping[str, int]:
        """See `totals.Counted`."""
        return {"retries": self.retries}

    async def call(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See CallLayer."""
        meta = meta_of(args)
        budget = self.budget if isinstance(self.budget, Budget) else self.budget.of(meta.caller)
        budget.deposit()
        tries = 0
        while True:
            try:
                return await func(*args, **kwargs)
            except Exception as e:
                tries += 1
                wait = self._wait(e, tries, meta.deadline)
                if wait is None or not budget.withdraw():
                    raise
                self.retries += 1
                if self._on_retry is not None:
                    self._on_retry(Retried(model_of(*args), tries, wait, e))
            await self._clock.sleep(wait)

    def _wait(self, error: Exception, tries: int, deadline: float | None) -> float | None:
        """Seconds until the next try, or None: it would not help, or come too late."""
        if not self._on(error):
            return None
        wait = self.backoff.wait(tries, retry_after_of(error), self._chance())
        if wait is None or (deadline is not None and self._clock.now() + wait >= deadline):
            return None
        return wait
