"""`/metrics`: what `telemetry.metrics` counts of calls, and the state of this gateway beside it.

State is written into gauges when somebody asks, and every second where several workers count together, because then whoever asks sees only
what the others have written.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Gauge

from rightseat.backends.copilot import Copilot
from rightseat.gateway.observe.logging import dropped_lines
from rightseat.gateway.observe.request_log import Entry
from rightseat.gateway.resilience import Resilience
from rightseat.layers.observe import Call
from rightseat.telemetry.metrics import CONTENT_TYPE, CallMetrics, exposition, is_shared

__all__ = ["CONTENT_TYPE", "Metrics"]

_STATES = {"closed": 0, "half_open": 1, "open": 2}
REFRESH_SECONDS = 1.0


class Metrics(CallMetrics):
    """An observer, and the page.

    Args:
        copilot: the accounts.
        resilience: the layers.
        refusals: reason -> how many requests were turned away at the door.
    """

    def __init__(self, copilot: Copilot, resilience: Resilience, refusals: Mapping[str, int]) -> None:
        super().__init__()
        self._copilot = copilot
        self._resilience = resilience
        self._refusals = refusals
        self._seen_refusals: dict[str, int] = {}
        made: dict[str, Any] = {"registry": self.registry, "namespace": "rightseat"}
        latest: dict[str, Any] = {**made, "multiprocess_mode": "livemax"}
        total: dict[str, Any] = {**made, "multiprocess_mode": "livesum"}
        self._refused = Counter(
            "refused_total", "Requests that were turned away at the door, by reason.", ("reason",), **made
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
        self._running = Gauge("queue_running", "Answers under way, where they are limited.", (), **total)
        self._waiting = Gauge("queue_waiting", "Requests that wait for a place.", (), **total)
        self._age = Gauge("token_age_seconds", "How old an account's Copilot token is.", ("account",), **latest)
        self._left = Gauge(
            "token_left_seconds", "How long an account's Copilot token is good for.", ("account",), **latest
        )
        self._resting = Gauge("account_resting", "1 while an account rests after a refusal.", ("account",), **latest)
        self._load = Gauge("account_open_requests", "Requests under way of an account.", ("account",), **total)
        self._quota = Gauge("quota_remaining_ratio", "What is left of an account's quota, from 0 to 1.", ("account", "quota"), **{**made, "multiprocess_mode": "mostrecent"})  # fmt: skip
        self._seen_quota: dict[tuple[str, str], float] = {}
        self._refreshed = 0.0

    def ended(self, call: Call) -> None:
        """See Observer."""
        super().ended(call)
        if isinstance(call, Entry):
            if call.suspect:
                self._suspects.inc()
            for direction, found in (("request", call.found), ("answer", call.found_in_answer)):
                for kind, count in found.items():
                    self._sensitive.labels(kind, direction).inc(count)

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
            self._breaker.labels(self._name(model)).set(_STATES[name])
        self._running.set(state["running"] or 0)
        self._waiting.set(state["waiting"] or 0)
        now, clock = time.time(), time.monotonic()
        for account, candidate in self._copilot.accounts():
            if account.access_token:
                self._age.labels(account.name).set(max(0.0, now - account.last_refresh))
                self._left.labels(account.name).set(max(0.0, account.expires_at - now))
            self._resting.labels(account.name).set(float(any(until > clock for until in candidate.resting.values())))
            self._load.labels(account.name).set(candidate.load)
            for quota, ratio in candidate.quota.items():
                # Written when it has changed only: of several workers' the one that was told last counts.
                if self._seen_quota.get((account.name, quota)) != ratio:
                    self._seen_quota[account.name, quota] = ratio
                    self._quota.labels(account.name, quota).set(ratio)
