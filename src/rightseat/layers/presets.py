"""The only place where layers are assembled: their order, from the outermost in, and what each option means.

`Resilience` holds the options, as a value; `Layers` are built from it, with state that all handlers they wrap share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import InvalidOptionError
from rightseat.handler import Layer
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.json_types import JsonObject
from rightseat.layers import (
    Backoff,
    Breaker,
    BreakerPolicy,
    Cache,
    CachePolicy,
    Circuits,
    Deadline,
    Fallback,
    Limit,
    Limits,
    Queue,
    QueuePolicy,
    RateLimiter,
    Retry,
    WaitQueue,
    Window,
    extract,
)
from rightseat.layers.admit import Admit, Desk
from rightseat.layers.checks import number
from rightseat.layers.functions import On
from rightseat.layers.observe import Observe, Observer, retried
from rightseat.layers.rate import limit_of
from rightseat.layers.retry import CallerBudgets
from rightseat.layers.totals import Totals
from rightseat.layers.transient import is_transient
from rightseat.layers.window import Summariser

# Layers that count, and what their counts begin with.
_COUNTED: dict[type, str] = {Retry: "", Queue: "queue_", RateLimiter: "rate_", Cache: "cache_"}
_FOREVER = 10 * 365 * 86_400.0  # seconds


class Resilience(Struct, frozen=True, kw_only=True):
    """What surrounds every call. None, or False, turns a layer off; True is its default.

    Attributes:
        timeout: seconds for a whole call, tries included.
        silence: seconds without a piece of the answer.
        retry: a Backoff.
        retry_on: for which errors another try may help: types, or a function.
        breaker: a BreakerPolicy.
        concurrency: answers at once, or a QueuePolicy.
        requests_per_minute, tokens_per_minute: limits of our own; off by default, as the accounts' own are not known.
        cache: a CachePolicy; off by default, as models do not say the same twice.
        fallbacks: model -> models to ask instead.
        window: tokens of a prompt.
        summarise: see Window.
        extra: layers within all of these, next to the upstream.
        observers: called for each call; None: calls are not recorded.
        admission: takes a reservation for each call.
    """

    timeout: float | None = 300.0
    silence: float | None = 120.0
    retry: Backoff | bool | None = True
    retry_on: On = is_transient
    breaker: BreakerPolicy | bool | None = True
    concurrency: int | QueuePolicy | None = 64
    requests_per_minute: float | Limit | None = None
    tokens_per_minute: float | Limit | None = None
    cache: CachePolicy | bool | None = None
    fallbacks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    window: int | Callable[[str], int] | None = 100_000
    summarise: Summariser | None = extract
    extra: Sequence[Layer] = ()
    observers: Sequence[Observer] | None = None
    admission: Desk | None = None


class Layers:
    """The layers with their state. What they wrap shares it.

    Args:
        given: see Resilience.
        clock, ids: time and chance.

    Attributes:
        layers: from the outermost in.
        circuits, queue, limits: the state of the breaker, the queue and the rate limit; None where they are off.
        totals: calls, errors, and calls that a rate limit held up.
    """

    def __init__(self, given: Resilience, clock: Clock = SYSTEM_CLOCK, ids: Ids = SYSTEM_IDS) -> None:
        self._clock, self._ids = clock, ids
        self.circuits = Circuits(_policy("breaker", given.breaker, BreakerPolicy)) if given.breaker else None
        self.queue = WaitQueue(_queue(given.concurrency)) if given.concurrency else None
        self.limits = None
        if given.requests_per_minute is not None or given.tokens_per_minute is not None:
            self.limits = Limits(
                limit_of("requests_per_minute", given.requests_per_minute),
                limit_of("tokens_per_minute", given.tokens_per_minute),
            )
        self.totals = Totals(self.limits)
        self.layers = tuple(self._layers(given))

    def _layers(self, given: Resilience) -> list[Layer]:
        layers: list[Any] = [self.totals]
        if given.observers is not None:
            layers.append(Observe(observers=given.observers, clock=self._clock))
        if given.admission is not None:
            tries = _policy("retry", given.retry, Backoff).attempts if given.retry else 1
            layers.append(Admit(desk=given.admission, tries=tries))
        if given.window is not None:
            most = given.window if isinstance(given.window, int) else None
            room = 512 if most is None else max(1, min(512, most // 8))
            layers.append(Window(limit=given.window, summarise=given.summarise, summary_tokens=room))
        if given.timeout is not None or given.silence is not None:
            layers.append(Deadline(given.timeout if given.timeout is not None else _FOREVER, given.silence))
        if given.cache:
            layers.append(Cache(policy=_policy("cache", given.cache, CachePolicy)))
        if given.fallbacks:
            layers.append(Fallback(fallbacks=given.fallbacks))
        if self.queue is not None:
            layers.append(Queue(queue=self.queue))
        if given.retry:
            layers.append(self._retry(given))
        if self.circuits is not None:
            layers.append(Breaker(circuits=self.circuits, clock=self._clock))
        if self.limits is not None:
            layers.append(RateLimiter(limits=self.limits, estimate=_estimate))
        return [*layers, *given.extra]

    def _retry(self, given: Resilience) -> Retry:
        backoff = _policy("retry", given.retry, Backoff)
        chance = self._ids.chance
        return Retry(
            backoff=backoff,
            budget=CallerBudgets(),
            on=given.retry_on,
            on_retry=retried,
            clock=self._clock,
            chance=chance,
        )

    @property
    def counts(self) -> Mapping[str, int]:
        """What the layers have counted: requests, errors, rate_limited; retries; queue_waited ..., rate_waited ...; cache_hits ..."""
        found = dict(self.totals.counts)
        for layer in self.layers:
            kind = _COUNTED.get(type(layer))
            if kind is not None:
                found.update({f"{kind}{name}": number for name, number in layer.counts.items()})  # type: ignore[attr-defined]
        return found

    def shown(self) -> JsonObject:
        """The state, for people: model -> state of its circuit, answers under way, requests that wait."""
        state = self.queue.state if self.queue is not None else None
        return {
            "circuits": self.circuits.states() if self.circuits is not None else {},
            "running": state.running if state is not None else None,
            "waiting": state.waiting if state is not None else None,
        }


def _policy(name: str, given: object, kind: type[object]) -> Any:
    if given is True:
        return kind()
    if isinstance(given, kind):
        return given
    raise InvalidOptionError(f"{name}: must be True, False, None or a {kind.__name__}, not {given!r}")


def _queue(given: int | QueuePolicy | None) -> QueuePolicy:
    if isinstance(given, QueuePolicy):
        return given
    number("concurrency", given, least=1, whole=True)
    return QueuePolicy(concurrency=given or 1)


def _estimate(request: Any) -> float:
    """About what a request will use: what it says, and a thousand for the answer."""
    return float(sum(len(message.content) for message in request.messages) // 4 + 1000)
