"""The last minutes, second by second, for the dashboard. Of this process alone."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from rightseat.gateway.observe.request_log import RequestRecord

SECONDS = 300
_SAMPLES = 200  # latencies that are kept of one second


class _Second:
    __slots__ = ("at", "errors", "first", "input_tokens", "output_tokens", "requests", "seconds")

    def __init__(self, at: int) -> None:
        self.at = at
        self.requests = self.errors = self.input_tokens = self.output_tokens = 0
        self.first: list[float] = []
        self.seconds: list[float] = []


class TimeSeries:
    """An observer that adds up requests by the second. Quiet requests count only where they failed."""

    def __init__(self) -> None:
        self._seconds: deque[_Second] = deque(maxlen=SECONDS)
        self._total = _Second(0)
        self.open = 0

    def began(self, record: RequestRecord) -> None:
        """See Observer."""
        self.open += not record.quiet

    def ended(self, record: RequestRecord) -> None:
        """See Observer."""
        self.open -= not record.quiet
        usage, failed = record.usage, (record.status or 500) >= 400
        if record.quiet and not failed:
            return
        now = self._now()
        for one in (now, self._total):
            one.requests += 1
            one.errors += failed
            if usage is not None:
                one.input_tokens += usage.input_tokens
                one.output_tokens += usage.output_tokens
        if len(now.first) < _SAMPLES and record.model:
            if (first := record.seconds(record.first_at)) is not None:
                now.first.append(first)
            if (whole := record.seconds(record.ended_at)) is not None:
                now.seconds.append(whole)

    def shown(self, span: int = SECONDS) -> dict[str, Any]:
        """The series, oldest first, a value a second; latencies in seconds, None where there was none."""
        end = int(time.time())
        known = {one.at: one for one in self._seconds}
        names = ("requests", "errors", "input_tokens", "output_tokens")
        series: dict[str, list[Any]] = {name: [] for name in (*names, "first_p50", "first_p95")}
        for at in range(end - span + 1, end + 1):
            one = known.get(at)
            for name in names:
                series[name].append(getattr(one, name) if one is not None else 0)
            first = sorted(one.first) if one is not None else []
            series["first_p50"].append(_quantile(first, 0.5))
            series["first_p95"].append(_quantile(first, 0.95))
        recent = sorted(value for one in self._seconds if one.at > end - 60 for value in one.first)
        whole = sorted(value for one in self._seconds if one.at > end - 60 for value in one.seconds)
        total = self._total
        return {
            "end": end,
            "series": series,
            "open": self.open,
            "total": {name: getattr(total, name) for name in names},
            "last_minute": {
                "first_p50": _quantile(recent, 0.5),
                "first_p95": _quantile(recent, 0.95),
                "seconds_p50": _quantile(whole, 0.5),
                "seconds_p95": _quantile(whole, 0.95),
            },
        }

    def _now(self) -> _Second:
        at = int(time.time())
        if not self._seconds or self._seconds[-1].at != at:
            self._seconds.append(_Second(at))
        return self._seconds[-1]


def _quantile(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 4) if ordered else None
