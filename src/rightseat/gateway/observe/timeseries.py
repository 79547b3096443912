"""The last minutes, second by second, for the dashboard. Of this process alone."""

from __future__ import annotations

from array import array
from collections import deque
from typing import Any

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.gateway.observe.request_log import RequestRecord
from rightseat.json_types import JsonObject

SECONDS = 300
_SAMPLES = 200  # latencies that are kept of one second

_COUNTS = ("requests", "errors", "input_tokens", "output_tokens")


class _Second:
    __slots__ = ("at", "errors", "first", "input_tokens", "output_tokens", "requests", "seconds")

    def __init__(self, at: int) -> None:
        self.at = at
        self.requests = self.errors = self.input_tokens = self.output_tokens = 0
        self.first = array("d")
        self.seconds = array("d")


class TimeSeries:
    """An observer that adds up requests by the second. Quiet requests, such as those of the dashboard itself, do not count."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._seconds: deque[_Second] = deque(maxlen=SECONDS)
        self._total = _Second(0)
        self.open = 0

    def began(self, record: RequestRecord) -> None:
        """See Observer."""
        self.open += not record.quiet

    def ended(self, record: RequestRecord) -> None:
        """See Observer."""
        if record.quiet:
            return
        self.open -= 1
        usage, failed = record.usage, (record.status or 500) >= 400
        now = self._now()
        for one in (now, self._total):
            one.requests += 1
            one.errors += failed
            if usage is not None:
                one.input_tokens += usage.input_tokens
                one.output_tokens += usage.output_tokens
        if record.model:
            _keep(now.first, record.seconds(record.first_at))
            _keep(now.seconds, record.seconds(record.ended_at))

    def shown(self, span: int = SECONDS) -> JsonObject:
        """The series, oldest first, a value a second; latencies in seconds, None where there was none."""
        end = int(self._clock.wall())
        return {
            "end": end,
            "series": self._series(end, span),
            "open": self.open,
            "total": {name: getattr(self._total, name) for name in _COUNTS},
            "last_minute": self._last_minute(end),
        }

    def _series(self, end: int, span: int) -> dict[str, list[Any]]:
        known = {one.at: one for one in self._seconds}
        seconds = [known.get(at) for at in range(end - span + 1, end + 1)]
        firsts = [sorted(one.first) if one is not None else [] for one in seconds]
        return {
            **{name: [getattr(one, name) if one is not None else 0 for one in seconds] for name in _COUNTS},
            "first_p50": [_quantile(first, 0.5) for first in firsts],
            "first_p95": [_quantile(first, 0.95) for first in firsts],
        }

    def _last_minute(self, end: int) -> dict[str, float | None]:
        recent = [one for one in self._seconds if one.at > end - 60]
        first = sorted(value for one in recent for value in one.first)
        whole = sorted(value for one in recent for value in one.seconds)
        return {
            "first_p50": _quantile(first, 0.5),
            "first_p95": _quantile(first, 0.95),
            "seconds_p50": _quantile(whole, 0.5),
            "seconds_p95": _quantile(whole, 0.95),
        }

    def _now(self) -> _Second:
        at = int(self._clock.wall())
        if not self._seconds or self._seconds[-1].at != at:
            self._seconds.append(_Second(at))
        return self._seconds[-1]


def _keep(samples: array[float], value: float | None) -> None:
    if value is not None and len(samples) < _SAMPLES:
        samples.append(value)


def _quantile(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 4) if ordered else None
