"""The last requests, as facts about them: who asked what of whom, and how it went. Never what was said."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from rightseat.chat import Usage
from rightseat.gateway.http.asgi import StreamBrokenError
from rightseat.gateway.pipeline.plan import Plan
from rightseat.layers.observe import Call, ObserverOf, tell
from rightseat.masking import mask

KEEP = 1000


class RequestRecord(Call):
    """One request, under way or done: a Call with what the gateway knows beside it.

    Attributes:
        asked_for: the name of the model that the client used.
        at: when it came, in seconds of the wall clock.
        message: what went wrong, masked.
        pieces: how many pieces of a streamed answer were sent.
        found: kinds of sensitive data that were found, and how often.
        suspect: signs of an injection.
        route, method: the operation of `routes` that was asked for, and the HTTP method.
        quiet: listed and logged only if it failed.
    """

    __slots__ = (
        "_observers", "asked_for", "at", "found", "found_in_answer", "initiator", "left_out", "message", "method", "pieces", "quiet", "route", "suspect", "upstream", "vision",
    )  # fmt: skip

    def __init__(
        self, operation: str, model: str, observers: Sequence[ObserverOf[RequestRecord]] = (), **known: Any
    ) -> None:
        super().__init__(operation, model, **known)
        self._observers = observers
        self.at = time.time()
        self.asked_for = model
        self.upstream = ""
        self.initiator = ""
        self.vision = False
        self.left_out: tuple[str, ...] = ()
        self.message = ""
        self.pieces = 0
        self.found: Mapping[str, int] = {}
        self.found_in_answer: Mapping[str, int] = {}
        self.suspect: tuple[str, ...] = ()
        self.route = self.dialect if operation == "chat" else operation
        self.method = "POST"
        self.quiet = False

    def note(self, usage: Usage | None) -> None:
        """What was used, once somebody has told."""
        if usage is not None:
            self.usage = usage

    def note_found(self, found: Mapping[str, int]) -> None:
        """Sensitive data in the answer."""
        self.found_in_answer = found

    def fail(self, error: BaseException, status: int | None) -> None:
        """It went wrong."""
        self.status = status or (502 if isinstance(error, StreamBrokenError) else 499)
        self.message = mask(str(error)) or type(error).__name__
        self.error = type(error).__name__

    def end(self) -> None:
        """It is over."""
        self.ended_at = time.monotonic()
        self.status = self.status or 200
        tell(self._observers, self, over=True)
        self.span = None

    def shown(self) -> dict[str, Any]:
        """For people and logs."""
        end = self.ended_at if self.ended_at is not None else time.monotonic()
        usage = self.usage
        return {
            "request_id": self.request_id,
            "at": self.at,
            "key": self.key or None,
            "model": self.model,
            "asked_for": self.asked_for,
            "dialect": self.dialect,
            "upstream": self.upstream,
            "stream": self.stream,
            "initiator": self.initiator,
            "vision": self.vision,
            "left_out": list(self.left_out),
            "account": self.account or None,
            "status": self.status,
            "error": self.message or None,
            "input_tokens": usage.input_tokens if usage else None,
            "output_tokens": usage.output_tokens if usage else None,
            "cached_tokens": usage.cached_tokens if usage else None,
            "retries": self.retries,
            "found": dict(self.found),
            "found_in_answer": dict(self.found_in_answer),
            "suspect": list(self.suspect),
            "head_seconds": _rounded(self.seconds(self.head_at)),
            "first_seconds": _rounded(self.seconds(self.first_at)),
            "seconds": round(end - self.begun, 4),
            "trace_id": self.trace_id or None,
            "under_way": self.ended_at is None,
        }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


Entry = RequestRecord


class Recent:
    """The last requests, newest first.

    Args:
        observers: told of each request.
        keep: how many.
    """

    def __init__(self, observers: Sequence[ObserverOf[RequestRecord]] = (), keep: int = KEEP) -> None:
        self._observers = tuple(observers)
        self._entries: deque[Entry] = deque(maxlen=keep)

    def begin(self, request_id: str, plan: Plan, *, key: str = "", trace: Mapping[str, str] | None = None) -> Entry:
        """A request for an answer has come."""
        entry = Entry(
            "chat",
            plan.model,
            self._observers,
            dialect=plan.client.name,
            stream=plan.wants_stream,
            request_id=request_id,
            key=key,
        )
        entry.asked_for, entry.upstream = plan.name, plan.upstream.name
        entry.initiator, entry.vision, entry.left_out = plan.initiator, plan.vision, plan.dropped
        entry.found, entry.suspect = plan.found, plan.suspect
        return self._begun(entry, trace)

    def begin_other(
        self,
        operation: str,
        model: str,
        request_id: str,
        *,
        dialect: str = "",
        key: str = "",
        trace: Mapping[str, str] | None = None,
    ) -> Entry:
        """A request for something else has come."""
        entry = Entry(operation, model, self._observers, dialect=dialect, request_id=request_id, key=key)
        entry.upstream = dialect
        return self._begun(entry, trace)

    def shown(self, limit: int = 100) -> list[dict[str, Any]]:
        """For people."""
        return [entry.shown() for _, entry in zip(range(limit), self._entries, strict=False)]

    def _begun(self, entry: Entry, trace: Mapping[str, str] | None) -> Entry:
        if trace:
            entry.trace, entry.trace_id = trace, trace_id_of(trace)
        self._entries.appendleft(entry)
        tell(self._observers, entry, over=False)
        return entry


def trace_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The client's trace context, if it gives one that is well formed (W3C Trace Context, section 3.2)."""
    parent = headers.get("traceparent", "")
    parts = parent.split("-")
    well = len(parts) >= 4 and [len(p) for p in parts[:4]] == [2, 32, 16, 2] and parts[0] != "ff"
    if (
        not well
        or set("".join(parts[:4])) - set("0123456789abcdef")
        or set(parts[1]) == {"0"}
        or set(parts[2]) == {"0"}
    ):
        return {}
    state = headers.get("tracestate", "")
    return {
        "traceparent": parent[:55],
        **({"tracestate": state} if 0 < len(state) <= 512 and state.isprintable() else {}),
    }


def trace_id_of(trace: Mapping[str, str]) -> str:
    """The trace's id."""
    return trace.get("traceparent", "").partition("-")[2][:32]
