"""The last requests, as facts about them: who asked what of whom, and how it went. Never what was said."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from rightseat.gateway.asgi import StreamBrokenError
from rightseat.gateway.plan import Plan
from rightseat.security.masking import mask

KEEP = 1000
OnEnd: TypeAlias = Callable[[Callable[[], dict[str, Any]]], None]


class Entry:
    """One request, under way or done."""

    __slots__ = ("_begun", "_done", "_error", "_on_end", "_plan", "_status", "account", "at", "head_at", "request_id")

    def __init__(self, request_id: str, plan: Plan, on_end: OnEnd | None = None) -> None:
        self._on_end = on_end
        self.at = time.time()
        self.request_id = request_id
        self.account = ""
        self.head_at: float | None = None
        self._plan: dict[str, Any] | Plan = plan
        self._begun = time.monotonic()
        self._done: float | None = None
        self._status: int | None = None
        self._error = ""

    def fail(self, error: BaseException, status: int | None) -> None:
        """It went wrong."""
        self._status = status or (502 if isinstance(error, StreamBrokenError) else 499)
        self._error = mask(str(error)) or type(error).__name__

    def end(self) -> None:
        """It is over. What was asked is let go, but for the facts."""
        self._done = time.monotonic()
        self._status = self._status or 200
        self._plan = self._facts()
        if self._on_end is not None:
            self._on_end(self.shown)

    def shown(self) -> dict[str, Any]:
        """For people."""
        end = self._done if self._done is not None else time.monotonic()
        return {
            "request_id": self.request_id,
            "at": self.at,
            **self._facts(),
            "account": self.account or None,
            "status": self._status,
            "error": self._error or None,
            "head_seconds": round(self.head_at - self._begun, 4) if self.head_at is not None else None,
            "seconds": round(end - self._begun, 4),
            "under_way": self._done is None,
        }

    def _facts(self) -> dict[str, Any]:
        plan = self._plan
        if isinstance(plan, dict):
            return plan
        return {
            "model": plan.model,
            "asked_for": plan.name,
            "dialect": plan.client.name,
            "upstream": plan.upstream.name,
            "stream": plan.wants_stream,
            "initiator": plan.initiator,
            "vision": plan.vision,
            "left_out": list(plan.dropped),
        }


class Recent:
    """The last requests, newest first.

    Args:
        keep: how many.
        on_end: told of each request that is over; gives the facts when asked.
    """

    def __init__(self, keep: int = KEEP, on_end: OnEnd | None = None) -> None:
        self._on_end = on_end
        self._entries: deque[Entry] = deque(maxlen=keep)

    def begin(self, request_id: str, plan: Plan) -> Entry:
        """A request has come."""
        entry = Entry(request_id, plan, self._on_end)
        self._entries.appendleft(entry)
        return entry

    def shown(self, limit: int = 100) -> list[dict[str, Any]]:
        """For people."""
        return [entry.shown() for _, entry in zip(range(limit), self._entries, strict=False)]
