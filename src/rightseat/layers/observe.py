"""Being told of every call: what was asked of whom, how long it took, what it used, how it ended. Never what was said.

`Call` is the record of one; observers are called when it begins and when it ends, and must be quick and must not fail: one that
raises is logged and the call continues. The gateway notes its calls in the same form, so that metrics and traces are written once.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from rightseat.chat import Answer, Finish, Usage
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import UpstreamError
from rightseat.handler import A, ModelRequest, Q, Service
from rightseat.layers.retry import Retried
from rightseat.log import logger


class Call:
    """One call, under way or over. Times are seconds on its clock.

    Attributes:
        clock: the clock of its times.
        operation: "chat", "embeddings" ...
        model: the model's id.
        dialect: what the caller speaks; "" for none in particular.
        stream: the answer comes in pieces.
        request_id: the same in every log.
        key: the id of the caller's key; "" if there is none.
        trace: the caller's `traceparent` and `tracestate` (W3C Trace Context), as far as there are any.
        trace_id: of the trace that the call belongs to; "" for none.
        begun, head_at, first_at, ended_at: when it began, when the answer's head came, the first piece of a streamed one, and its end.
        account: who answers.
        cache: "hit", "joined", "miss" or "stale" where there is a cache; else "".
        usage: tokens; None: not reported.
        finish: why the answer ended, where that is known.
        reached: upstream has been asked, or is being asked: from now on the call may cost something. Set by `Meta.on_sent`.
        retries: how many tries there were beyond the first.
        lost: how many of those before the last were sent and got no answer, so that they may have cost something.
        reached: upstream has been asked, so the call may have cost something.
        status: the HTTP status that fits; None while it is under way.
        error: what went wrong, by its type's name; "" for nothing.
        span: the trace's span, set by the tracing observer.
    """

    __slots__ = (
        "account", "begun", "cache", "clock", "dialect", "ended_at", "error", "finish", "first_at", "head_at", "key", "lost", "model", "operation",
        "reached", "request_id", "retries", "span", "status", "stream", "trace", "trace_id", "usage",
    )  # fmt: skip

    def __init__(
        self,
        operation: str,
        model: str,
        *,
        dialect: str = "",
        stream: bool = False,
        request_id: str = "",
        key: str = "",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.clock = clock
        self.operation = operation
        self.model = model
        self.dialect = dialect
        self.stream = stream
        self.request_id = request_id
        self.key = key
        self.trace: Mapping[str, str] = {}
        self.trace_id = ""
        self.begun = clock.now()
        self.head_at: float | None = None
        self.first_at: float | None = None
        self.ended_at: float | None = None
        self.account = ""
        self.cache = ""
        self.usage: Usage | None = None
        self.finish = ""
        self.reached = False
        self.retries = self.lost = 0
        self.reached = False
        self.status: int | None = None
        self.error = ""
        self.span: Any = None

    def sent(self) -> None:
        """Upstream is asked from now on."""
        self.reached = True

    def first(self) -> None:
        """The first piece of the answer is there."""
        if self.first_at is None:
            self.first_at = self.clock.now()

    def seconds(self, at: float | None) -> float | None:
        """From the beginning until then."""
        return None if at is None else at - self.begun


C_contra = TypeVar("C_contra", bound=Call, contravariant=True)
R = TypeVar("R", bound=Call)


class ObserverOf(Protocol[C_contra]):
    """An observer of calls of one kind; called on the event loop."""

    def began(self, call: C_contra, /) -> None:
        """A call begins."""

    def ended(self, call: C_contra, /) -> None:
        """It is over, one way or another."""


class Observer(ObserverOf[Call], Protocol):
    """An observer of any call."""


CURRENT: contextvars.ContextVar[Call | None] = contextvars.ContextVar("rightseat_call", default=None)


def tell(observers: Sequence[ObserverOf[R]], call: R, *, over: bool) -> None:
    """Tell all observers; what one of them raises is logged."""
    for observer in observers:
        try:
            if over:
                observer.ended(call)
            else:
                observer.began(call)
        except Exception:
            logger.exception("an observer failed: %s", type(observer).__name__)


def retried(what: Retried) -> None:
    """For `Retry(on_retry=...)`: count it for the call that is under way."""
    if (call := CURRENT.get()) is not None:
        call.retries += 1
        call.lost += getattr(what.error, "reached", False) and not isinstance(what.error, UpstreamError)


def answered(how: str) -> None:
    """For a cache: note where the answer of the call that is under way comes from."""
    if (call := CURRENT.get()) is not None:
        call.cache = how


class Observe(Struct, frozen=True, kw_only=True):
    """The layer. The outermost, so that it sees what the caller sees.

    Where a call is under way already (`CURRENT`), it is filled in and not begun again: the gateway's record of a request.

    Attributes:
        observers: called for each call.
        operation: what to call it.
        clock: the clock of a call's times.
    """

    observers: Sequence[Observer] = ()
    operation: str = "chat"
    clock: Clock = SYSTEM_CLOCK

    def __call__(self, inner: Service[Q, A]) -> Service[Q, A]:
        """See Layer."""
        observers = tuple(self.observers)

        async def handler(request: Q) -> A:
            if (known := CURRENT.get()) is not None:
                answer = await inner(request)
                _note_head(answer, known)
                answer.on_close(lambda _: _note_usage(answer, known))
                return answer
            call = self._begun(request, observers)
            token = CURRENT.set(call)
            try:
                answer = await inner(request)
            except BaseException as e:
                _end(observers, call, e)
                raise
            finally:
                CURRENT.reset(token)
            _note_head(answer, call)
            _watch(answer, call)
            answer.on_close(lambda e: _end(observers, call, e))
            return answer

        return handler

    def _begun(self, request: ModelRequest, observers: Sequence[Observer]) -> Call:
        meta = request.meta
        streams = bool(getattr(request, "stream", False))
        call = Call(
            self.operation,
            request.model,
            stream=streams,
            request_id=meta.request_id,
            key=meta.caller,
            clock=self.clock,
        )
        tell(observers, call, over=False)
        return call


def _note_head(answer: Answer[Any], call: Call) -> None:
    call.head_at = call.clock.now()
    call.account = answer.account


def _note_usage(answer: Answer[Any], call: Call) -> None:
    if answer.usage is not None:
        call.usage = answer.usage


def _watch(answer: Answer[Any], call: Call) -> None:
    async def see(pieces: Any) -> AsyncIterator[Any]:
        async for piece in pieces:
            if call.first_at is None:
                call.first()
            kind = type(piece)
            if kind is Usage:
                call.usage = piece
            elif kind is Finish:
                call.finish = piece.reason
            yield piece

    answer.through(see)


def _end(observers: Sequence[Observer], call: Call, error: BaseException | None) -> None:
    call.ended_at = call.clock.now()
    if error is not None:
        call.error = type(error).__name__
        call.status = (
            499
            if isinstance(error, (asyncio.CancelledError, GeneratorExit))
            else getattr(error, "status", None) or getattr(error, "status_hint", 500)
        )
    else:
        call.status = 200
    tell(observers, call, over=True)
