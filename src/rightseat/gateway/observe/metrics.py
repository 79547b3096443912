"""`/metrics`: every request that arrived, what `telemetry.metrics` counts of calls, and the state of this gateway.

State is written into gauges when the page is asked for, and every second where several workers count together, because the one that is asked
sees only what the others have written. Labels come from closed sets, never from a client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.gateway.observe.logging import dropped_lines
from rightseat.gateway.observe.request_log import RequestRecord
from rightseat.gateway.observe.state_gauges import Accounts, LayerStates, StateGauges
from rightseat.gateway.routes import ROUTES, SOCKETS
from rightseat.telemetry.metrics import CONTENT_TYPE, OTHER, CallMetrics, exposition, is_shared, status_label

__all__ = ["CONTENT_TYPE", "Metrics"]

REFRESH_SECONDS = 1.0
_ROUTES = frozenset(route.name for route in (*ROUTES, *SOCKETS.values()))
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"))


class Metrics:
    """An observer, and the page.

    Args:
        accounts: the accounts.
        layers: the layers around each call.
        refusals: reason -> how many requests were refused for their key.
        known_model: whether a model is one of the live list; others are counted as "other".
        clock: time.

    Attributes:
        registry: all of them.
    """

    def __init__(
        self,
        accounts: Accounts,
        layers: LayerStates,
        refusals: Mapping[str, int],
        known_model: Callable[[str], bool],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._calls = CallMetrics(known_model=known_model)
        self.registry = self._calls.registry
        self._state = StateGauges(self.registry, accounts, layers, self._calls.model_label, clock)
        self._refusals = refusals
        self._accounts = accounts
        self._requests = _counter(
            self.registry,
            "http_requests",
            "Requests received and finished, by operation of the API.",
            ("route", "method", "status"),
        )
        self._refused = _counter(self.registry, "refused", "Requests refused for their key, by reason.", ("reason",))
        self._sensitive = _counter(
            self.registry, "sensitive_found", "Sensitive data found in requests and answers.", ("kind", "direction")
        )
        self._suspects = _counter(self.registry, "suspect_requests", "Requests that look like a prompt injection.")
        self._turns = _counter(
            self.registry, "turns", "Turns, by who began them and how that is known.", ("initiator", "because")
        )
        self._turned: dict[tuple[str, str], int] = {}
        self._dropped = _counter(self.registry, "log_lines_dropped", "Log lines that were dropped.")
        self._counted: dict[tuple[str, str, int], Any] = {}
        self._seen: dict[str, int] = {}

    def began(self, record: RequestRecord) -> None:
        """See Observer."""
        if record.operation:
            self._calls.began(record)

    def ended(self, record: RequestRecord) -> None:
        """See Observer."""
        self._count(record)
        if record.because:
            turn = (record.initiator, record.because)
            self._turned[turn] = self._turned.get(turn, 0) + 1
        if record.operation:
            (self._calls.ended if record.model else self._calls.turned_away)(record)
        if record.suspect:
            self._suspects.inc()
        for direction, found in (("request", record.found), ("answer", record.found_in_answer)):
            for kind, count in found.items():
                self._sensitive.labels(kind, direction).inc(count)

    async def page(self) -> bytes:
        """The metrics as text."""
        await self._accounts.look()
        self.refresh()
        return exposition(self.registry)

    def tick(self) -> None:
        """Some time has passed."""
        if is_shared():
            self.refresh()

    def refresh(self) -> None:
        """Write the state of now."""
        for reason, count in self._refusals.items():
            if more := self._more(f"refused {reason}", count):
                self._refused.labels(reason).inc(more)
        for turn, count in self._turned.items():
            if more := self._more("turns {} {}".format(*turn), count):
                self._turns.labels(*turn).inc(more)
        if more := self._more("dropped", dropped_lines()):
            self._dropped.inc(more)
        self._state.refresh()

    def _count(self, record: RequestRecord) -> None:
        key = (record.route, record.method, record.status or 500)
        counter = self._counted.get(key)
        if counter is None:
            route = record.route if record.route in _ROUTES else OTHER
            method = record.method if record.method in _METHODS else "OTHER"
            counter = self._requests.labels(route, method, status_label(key[2]))
            if (route, method) == key[:2] and 100 <= key[2] <= 599:
                self._counted[key] = counter
        counter.inc()

    def _more(self, name: str, count: int) -> int:
        """How much a count that is kept elsewhere has grown."""
        grown = count - self._seen.get(name, 0)
        self._seen[name] = count
        return max(0, grown)


def _counter(registry: CollectorRegistry, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
    return Counter(f"{name}_total", text, labels, namespace="rightseat", registry=registry)
