"""`/metrics`: what `telemetry.metrics` counts of calls, and the state of this gateway beside it.

State is written into gauges when somebody asks, and every second where several workers count together, because then whoever asks sees only
what the others have written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import Counter, Gauge

from rightseat.backends.copilot import CopilotBackend
from rightseat.gateway.observe.logging import dropped_lines
from rightseat.gateway.observe.request_log import RequestRecord
from rightseat.gateway.resilience import Resilience
from rightseat.gateway.routes import ROUTES
from rightseat.telemetry.metrics import CONTENT_TYPE, OTHER, CallMetrics, exposition, is_shared, status_label

__all__ = ["CONTENT_TYPE", "Metrics"]

_ROUTES = frozenset(route.name for route in ROUTES)
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"))
_STATES = {"closed": 0, "half_open": 1, "open": 2}
REFRESH_SECONDS = 1.0


class Metrics:
    """An observer, and the page.

    Args:
        copilot: the accounts.
        resilience: the layers.
        refusals: reason -> how many requests were turned away for want of a good key.
        known_model: whether a model is one of the live list; others are counted as "other".

    Attributes:
        registry: all of them.
    """

    def __init__(
        self,
        copilot: CopilotBackend,
        resilience: Resilience,
        refusals: Mapping[str, int],
        known_model: Callable[[str], bool],
    ) -> None:
        self._calls = CallMetrics(known_model=known_model)
        self.registry = self._calls.registry
        self._copilot = copilot
        self._resilience = resilience
        self._refusals = refusals
        self._seen_refusals: dict[str, int] = {}
        made: dict[str, Any] = {"registry": self.registry, "namespace": "rightseat"}
        latest: dict[str, Any] = {**made, "multiprocess_mode": "livemax"}
        total: dict[str, Any] = {**made, "multiprocess_mode": "livesum"}
        self._http = Counter(
            "http_requests_total",
            "Requests that arrived and are over, whatever became of them, by operation of the API.",
            ("route", "method", "status"),
            **made,
        )
        self._counted: dict[tuple[str, str, int], Any] = {}
        self._refused = Counter(
            "refused_total", "Requests that were refused for their key, by reason.", ("reason",), **made
        )
        self._sensitive = Counter(
            "sensitive_found_total", "Sensitive data found in what passes.", ("kind", "direction"), **made
        )
        self._suspects = Counter("suspect_requests_total", "Requests that look like an injection.", (), **made)
        self._dropped = Counter(
            "log_lines_dropped_total", "Lines of the log that were lost because nobody read them in time.", (), **made
        )
        self._seen_dropped = 0
        self._breaker = Gauge(
            "breaker_state", "State of a model's circuit: 0 closed, 1 half open, 2 open.", ("model",), **latest
        )
        self._running = Gauge("queue_running", "Answers under way, where `concurrency` limits them.", (), **total)
        self._waiting = Gauge("queue_waiting", "Requests that wait in the queue.", (), **total)
        self._age = Gauge("token_age_seconds", "How old an account's Copilot token is.", ("account",), **latest)
        self._left = Gauge(
            "token_left_seconds", "How long an account's Copilot token is still valid.", ("account",), **latest
        )
        self._cooldown = Gauge(
            "account_cooldown",
            "1 while an account, or a model of it, is not asked after a refusal.",
            ("account",),
            **latest,
        )
        self._load = Gauge("account_open_requests", "Requests under way of an account.", ("account",), **total)
        self._quota = Gauge("quota_remaining_ratio", "What is left of an account's quota, from 0 to 1.", ("account", "quota"), **{**made, "multiprocess_mode": "mostrecent"})  # fmt: skip
        self._seen_quota: dict[tuple[str, str], float] = {}
        self._refreshed = 0.0

    def began(self, record: RequestRecord) -> None:
        """See Observer."""
        if record.operation:
            self._calls.began(record)

    def ended(self, record: RequestRecord) -> None:
        """See Observer."""
        self._count(record)
        if record.operation:
            (self._calls.ended if record.model else self._calls.turned_away)(record)
        if record.suspect:
            self._suspects.inc()
        for direction, found in (("request", record.found), ("answer", record.found_in_answer)):
            for kind, count in found.items():
                self._sensitive.labels(kind, direction).inc(count)

    def _count(self, record: RequestRecord) -> None:
        route = record.route if record.route in _ROUTES else OTHER
        method = record.method if record.method in _METHODS else "OTHER"
        key = (route, method, record.status or 500)
        counter = self._counted.get(key)
        if counter is None:
            counter = self._http.labels(route, method, status_label(key[2]))
            if 100 <= key[2] <= 599:
                self._counted[key] = counter
        counter.inc()

    def page(self) -> bytes:
        """The metrics as text."""
        self.refresh()
        return exposition(self.registry)

    def tick(self) -> None:
        """Some time has passed."""
        if is_shared():
            self.refresh()

    def refresh(self) -> None:
        """Write the state of now."""
        for reason, count in self._refusals.items():
            if more := count - self._seen_refusals.get(reason, 0):
                self._refused.labels(reason).inc(more)
                self._seen_refusals[reason] = count
        if more := dropped_lines() - self._seen_dropped:
            self._dropped.inc(more)
            self._seen_dropped += more
        state = self._resilience.shown()
        for model, name in state["circuits"].items():
            self._breaker.labels(self._calls.model_label(model)).set(_STATES[name])
        self._running.set(state["running"] or 0)
        self._waiting.set(state["waiting"] or 0)
        now, clock = time.time(), time.monotonic()
        for account, candidate in self._copilot.accounts():
            if account.access_token:
                self._age.labels(account.name).set(max(0.0, now - account.last_refresh))
                self._left.labels(account.name).set(max(0.0, account.expires_at - now))
            self._cooldown.labels(account.name).set(float(bool(candidate.cooling_models(clock))))
            self._load.labels(account.name).set(candidate.load)
            for quota, ratio in candidate.quota.items():
                # Written when it has changed only: of several workers' the one that was told last counts.
                if self._seen_quota.get((account.name, quota)) != ratio:
                    self._seen_quota[account.name, quota] = ratio
                    self._quota.labels(account.name, quota).set(ratio)
