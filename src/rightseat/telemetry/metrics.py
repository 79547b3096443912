"""Metrics of calls for Prometheus, by its naming conventions: seconds and tokens as base units, totals as counters.

Several processes may count together: with PROMETHEUS_MULTIPROC_DIR set before the first import (`rightseat serve --workers` does it),
prometheus-client keeps the numbers in files there, and `exposition` adds them up. This module does not know HTTP.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from rightseat import __version__
from rightseat.layers.observe import Call

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
MODELS = 200  # names of models that get a series of their own; more are OTHER
OTHER = "other"  # the label of what is in no closed set


class CallMetrics:
    """An observer that counts.

        metrics = CallMetrics()
        sdk = CopilotSDK(observers=[metrics])
        start_http_server(9100, registry=metrics.registry)      # of prometheus_client

    Args:
        registry: where the metrics go; one of its own otherwise.
        prefix: of all names.
        known_model: whether a model may become a label; None: the first MODELS that are seen. Give it where callers choose the names.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        prefix: str = "rightseat",
        known_model: Callable[[str], bool] | None = None,
    ) -> None:
        self._known_model = known_model
        self.registry = registry if registry is not None else CollectorRegistry()
        who = ("operation", "dialect", "model")
        made: dict[str, Any] = {"registry": self.registry, "namespace": prefix}
        self._requests = Counter("requests_total", "Finished requests, by HTTP status.", (*who, "status"), **made)
        self._open = Gauge("open_requests", "Requests under way.", ("operation",), multiprocess_mode="livesum", **made)
        self._seconds = Histogram("request_seconds", "Total duration of requests.", who, buckets=SECONDS, **made)
        self._first = Histogram(
            "first_chunk_seconds", "Time to the first piece of a streamed answer.", who, buckets=SECONDS, **made
        )
        self._tokens = Counter(
            "tokens_total",
            "Tokens, by kind: input, output; cached and reasoning are parts of these.",
            ("model", "kind"),
            **made,
        )
        self._retries = Counter("retries_total", "Retries.", ("model",), **made)
        self._cache = Counter(
            "cache_total",
            "Where answers came from, where there is a cache: hit, joined, miss or stale.",
            ("result",),
            **made,
        )
        Gauge("build_info", "Always 1; the version is a label.", ("version",), multiprocess_mode="max", **made).labels(
            __version__
        ).set(1)
        self._open_of = functools.lru_cache(maxsize=16)(
            self._open.labels
        )  # to look for labels costs more than to count
        self._models: dict[str, str] = {}
        self._series: dict[tuple[str, str, str], tuple[Any, Any]] = {}
        self._counted: dict[tuple[str, str, str, int], Any] = {}
        self._tokens_of: dict[str, tuple[Any, Any, Any, Any]] = {}

    def began(self, call: Call) -> None:
        """See Observer."""
        self._open_of(call.operation).inc()

    def ended(self, call: Call) -> None:
        """See Observer."""
        self.turned_away(call)
        model = self.model_label(call.model)
        key = (call.operation, call.dialect, model)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = (self._seconds.labels(*key), self._first.labels(*key))
        if (seconds := call.seconds(call.ended_at)) is not None:
            series[0].observe(seconds)
        if (first := call.seconds(call.first_at)) is not None:
            series[1].observe(first)
        status = call.status or 500
        counter = self._counted.get((*key, status))
        if counter is None:
            counter = self._requests.labels(*key, status_label(status))
            if 100 <= status <= 599:
                self._counted[*key, status] = counter
        counter.inc()
        if call.cache:
            self._cache.labels(call.cache).inc()
        if call.retries:
            self._retries.labels(model).inc(call.retries)
        if (usage := call.usage) is not None:
            kinds = self._tokens_of.get(model)
            if kinds is None:
                of = self._tokens.labels
                kinds = of(model, "input"), of(model, "output"), of(model, "cached"), of(model, "reasoning")
                self._tokens_of[model] = kinds
            kinds[0].inc(usage.input_tokens)
            kinds[1].inc(usage.output_tokens)
            if usage.cached_tokens:
                kinds[2].inc(usage.cached_tokens)
            if usage.reasoning_tokens:
                kinds[3].inc(usage.reasoning_tokens)

    def turned_away(self, call: Call) -> None:
        """A call that began is over before any model was asked: it is not under way any more, and counts for no model."""
        self._open_of(call.operation).dec()

    def model_label(self, model: str) -> str:
        """The label of a model. Nothing that a client invents becomes one."""
        name = self._models.get(model)
        if name is None:
            if len(self._models) >= MODELS or not (self._known_model is None or self._known_model(model)):
                return OTHER
            name = self._models[model] = model[:80]
        return name


def status_label(status: int) -> str:
    """The label of an HTTP status."""
    return str(status) if 100 <= status <= 599 else OTHER


def is_shared() -> bool:
    """Several processes count together."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ


def exposition(registry: CollectorRegistry) -> bytes:
    """All metrics in Prometheus' text format, added up over all processes where several count together."""
    if is_shared():
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
