"""What is noted of each request: who asked what of whom, and how it went. Never what was said.

Every request that arrives has one record, from its head to its last byte: over HTTP, within a socket, accepted or refused. Observers are
told of it once when it begins and once when it is over; the last ones are kept for people.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import RightseatError
from rightseat.gateway.http.exchange import Exchange
from rightseat.gateway.routes import Route, socket_at
from rightseat.json_types import JsonObject
from rightseat.layers.observe import Call, ObserverOf, tell
from rightseat.masking import mask, mask_short

KEEP = 1000
_LONGEST_PATH = 200
_LONGEST_STATE = 512  # W3C Trace Context, section 3.3.1.5


class RequestRecord(Call):
    """One request, under way or over: a Call with what the gateway knows beside it.

    Attributes:
        route: the operation's id, of `routes`.
        method, path: as the client sent them, the path cut.
        address: where it came from.
        quiet: it is listed and logged only if it failed.
        at: when it came, in seconds of the wall clock.
        asked_for: the name of the model that the client used.
        upstream: the dialect that upstream is asked in.
        initiator: who began the turn, "user" or "agent".
        because: how that is known.
        vision: it holds an image.
        left_out: parameters and tools that were left out.
        code: of the error that ended it; "" for none.
        message: what went wrong, masked.
        found, found_in_answer: kinds of sensitive data, and how often.
        suspect: signs of an injection.
    """

    __slots__ = (
        "address", "asked_for", "at", "because", "code", "found", "found_in_answer", "initiator", "left_out", "message", "method", "path", "quiet", "route",
        "suspect", "upstream", "vision",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, route: Route, clock: Clock) -> None:
        head = exchange.head
        super().__init__(route.operation, "", dialect=route.dialect, request_id=exchange.id, clock=clock)
        self.route = route.name
        self.quiet = route.quiet
        self.method = head.method
        self.path = head.path[:_LONGEST_PATH]
        self.address = head.address
        self.at = clock.wall()
        self.asked_for = self.upstream = self.initiator = self.because = self.code = self.message = ""
        self.vision = False
        self.left_out: tuple[str, ...] = ()
        self.found: Mapping[str, int] = {}
        self.found_in_answer: Mapping[str, int] = {}
        self.suspect: tuple[str, ...] = ()
        self.trace = trace_of(head.headers)
        self.trace_id = trace_id_of(self.trace)

    def note_found(self, found: Mapping[str, int]) -> None:
        """Sensitive data in the answer."""
        self.found_in_answer = found

    def fail(self, error: RightseatError, status: int) -> None:
        """It went wrong: the client was told so, or is gone."""
        self.status = status
        self.error = type(error).__name__
        self.code = str(getattr(error, "code", None) or "")
        self.message = mask(str(error)) or self.error

    def shown(self) -> JsonObject:
        """For people and logs."""
        usage = self.usage
        return {
            "request_id": self.request_id,
            "at": self.at,
            "route": self.route,
            "method": self.method,
            "path": mask_short(self.path),
            "address": self.address or None,
            "key": self.key or None,
            "model": self.model,
            "asked_for": self.asked_for,
            "dialect": self.dialect,
            "upstream": self.upstream,
            "stream": self.stream,
            "initiator": self.initiator,
            "initiator_because": self.because,
            "vision": self.vision,
            "left_out": list(self.left_out),
            "account": self.account or None,
            "status": self.status,
            "error": self.message or None,
            "code": self.code or None,
            "input_tokens": usage.input_tokens if usage else None,
            "output_tokens": usage.output_tokens if usage else None,
            "cached_tokens": usage.cached_tokens if usage else None,
            "retries": self.retries,
            "found": dict(self.found),
            "found_in_answer": dict(self.found_in_answer),
            "suspect": list(self.suspect),
            "head_seconds": _rounded(self.seconds(self.head_at)),
            "first_seconds": _rounded(self.seconds(self.first_at)),
            "seconds": _rounded(self.seconds(self.ended_at)),
            "trace_id": self.trace_id or None,
            "under_way": self.ended_at is None,
        }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


class RequestLog:
    """The last requests, newest first.

    Args:
        observers: told of each request.
        keep: how many are kept.
        clock: time.
    """

    def __init__(
        self, observers: Sequence[ObserverOf[RequestRecord]] = (), keep: int = KEEP, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._observers = tuple(observers)
        self._records: deque[RequestRecord] = deque(maxlen=keep)
        self._clock = clock

    def begin(self, exchange: Exchange, route: Route) -> RequestRecord:
        """A request has arrived."""
        record = RequestRecord(exchange, route, self._clock)
        if not record.quiet:
            self._records.appendleft(record)
        tell(self._observers, record, over=False)
        return record

    def end(self, record: RequestRecord, exchange: Exchange) -> None:
        """It is over, one way or another."""
        record.ended_at = self._clock.now()
        record.first_at = exchange.first_at
        if exchange.gone:
            record.status, record.error = 499, record.error or "ClientGoneError"
        elif record.status is None:
            record.status = exchange.status or 500
        if record.quiet and record.status >= 400:
            self._records.appendleft(record)
        tell(self._observers, record, over=True)
        record.span = None

    def opened(self, exchange: Exchange, key: str) -> None:
        """A socket was opened: its handshake is a request like any other. Who asks may be known only later."""
        record = self.begin(exchange, socket_at(exchange.head.path))
        record.key = key
        exchange.status, exchange.complete = 101, True
        self.end(record, exchange)

    def shown(self, limit: int = 100) -> list[JsonObject]:
        """For people."""
        now = self._clock.now()
        found = []
        for _, record in zip(range(limit), self._records, strict=False):
            facts = record.shown()
            if record.ended_at is None:
                facts["seconds"] = _rounded(record.seconds(now))
            found.append(facts)
        return found


def trace_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The client's trace context, if it gives one that is well formed (W3C Trace Context, section 3.2)."""
    parent = headers.get("traceparent", "")
    if not parent or not _is_well_formed(parent):
        return {}
    state = headers.get("tracestate", "")
    # It goes out with every span, so what looks like a secret does not go in.
    is_fine = 0 < len(state) <= _LONGEST_STATE and state.isprintable() and mask(state) == state
    given = {"tracestate": state} if is_fine else {}
    return {"traceparent": parent[:55], **given}


def _is_well_formed(parent: str) -> bool:
    parts = parent[:256].split("-")
    if len(parts) < 4 or [len(p) for p in parts[:4]] != [2, 32, 16, 2] or parts[0] == "ff":
        return False
    if set("".join(parts[:4])) - set("0123456789abcdef"):
        return False
    return set(parts[1]) != {"0"} and set(parts[2]) != {"0"}


def trace_id_of(trace: Mapping[str, str]) -> str:
    """The trace's id."""
    return trace.get("traceparent", "").partition("-")[2][:32]
