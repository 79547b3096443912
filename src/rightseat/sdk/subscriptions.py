"""Who listens to a session, and how events reach them.

Events are delivered in order, on the event loop, to each listener apart: one that raises does not affect others and is
logged once, one that is slow has a bounded buffer. This module does not know what events mean.
"""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from types import TracebackType
from typing import Literal, Self, TypeAlias

from rightseat.errors import EventsLostError, InvalidOptionError, RightseatError
from rightseat.log import logger
from rightseat.sdk.calling import is_async
from rightseat.sdk.failures import Failures
from rightseat.sdk.tasks import Tasks
from rightseat.wire.events import SessionEvent
from rightseat.wire.session_events import SessionEventType

MAX_BUFFERED = 2048  # events; some seconds of a fast model
Overflow: TypeAlias = Literal["raise", "drop_oldest"]
Handler: TypeAlias = Callable[[SessionEvent], object]
Kinds: TypeAlias = Iterable[SessionEventType | str]


class Subscriptions:
    """The listeners of one session.

    Args:
        tasks: where async handlers run.
    """

    def __init__(self, tasks: Tasks) -> None:
        self._to_all: tuple[Handler, ...] = ()
        self._to_kind: dict[SessionEventType, tuple[Handler, ...]] = {}
        self._routes: dict[
            SessionEventType, tuple[Handler, ...]
        ] = {}  # both of the above, by kind; made when first needed
        self._tasks = tasks
        self._failures = Failures()
        self._backlogs: dict[int, _Backlog] = {}  # of handlers that return awaitables, by id
        self._streams: weakref.WeakSet[EventStream] = weakref.WeakSet()
        self._ended = False
        self._error: RightseatError | None = None

    def publish(self, event: SessionEvent) -> None:
        """Deliver one event."""
        handlers = self._routes.get(event.type)
        if handlers is None:
            handlers = self._routes[event.type] = self._to_all + self._to_kind.get(event.type, ())
        for handler in handlers:
            try:
                result = handler(event)
            except Exception:
                self._failures.note(handler, event.raw_type)
            else:
                if result is not None and inspect.isawaitable(result):
                    self._await(handler, event, result)

    def on(self, handler: Handler, kinds: Kinds = ()) -> Callable[[], None]:
        """Add a listener. Returns the function that removes it, which may be called twice.

        A coroutine function gets the events one after another, in order, through a buffer of its own; when it is so slow
        that the buffer overflows, the oldest are dropped and a warning says so.
        """
        if not callable(handler):
            raise InvalidOptionError(f"an event handler must be a function, not {type(handler).__name__}")
        if not is_async(handler):
            return self._add(handler, _kinds(kinds))
        stream = EventStream(self, _kinds(kinds), MAX_BUFFERED, "drop_oldest")
        task = self._tasks.spawn(_feed(handler, stream, self._failures), "an async event handler")

        def remove() -> None:
            stream.close()
            task.cancel()
            self._failures.sum_up(handler)

        return remove

    def stream(self, kinds: Kinds, max_buffered: int, overflow: Overflow) -> EventStream:
        """Add a listener that is iterated over."""
        if max_buffered < 1:
            raise InvalidOptionError(f"max_buffered must be at least 1, not {max_buffered}")
        if overflow not in ("raise", "drop_oldest"):
            raise InvalidOptionError(f"overflow must be 'raise' or 'drop_oldest', not {overflow!r}")
        return EventStream(self, _kinds(kinds), max_buffered, overflow)

    def end(self, error: RightseatError | None) -> None:
        """No more events will come. Iterations end after what is buffered, with `error` if there is one."""
        self._ended, self._error = True, error
        for stream in list(self._streams):
            stream.end(error)
        self._failures.sum_up()

    def _add(self, handler: Handler, kinds: tuple[SessionEventType, ...]) -> Callable[[], None]:
        # Tuples, made anew at each change: delivery walks over one that cannot change under it.
        self._routes.clear()
        if not kinds:
            self._to_all = (*self._to_all, handler)
        for kind in kinds:
            self._to_kind[kind] = (*self._to_kind.get(kind, ()), handler)
        removed = False

        def remove() -> None:
            nonlocal removed
            if removed:
                return
            removed = True
            self._routes.clear()
            self._failures.sum_up(handler)
            self._backlogs.pop(id(handler), None)
            if not kinds:
                self._to_all = _without(self._to_all, handler)
            for kind in kinds:
                self._to_kind[kind] = _without(self._to_kind[kind], handler)

        return remove

    def _await(self, handler: Handler, event: SessionEvent, result: Awaitable[object]) -> None:
        """A plain function has returned an awaitable: await what it returns one after another, as of an async one."""
        backlog = self._backlogs.get(id(handler))
        if backlog is None:
            backlog = self._backlogs[id(handler)] = _Backlog(handler, self._failures)
        if backlog.put(event, result):
            self._tasks.spawn(backlog.work(), "an async event handler")


class _Backlog:
    """What one handler returned and has not been awaited yet. Bounded: the oldest is dropped."""

    def __init__(self, handler: Handler, failures: Failures) -> None:
        self._handler = handler
        self._failures = failures
        self._waiting: deque[tuple[SessionEvent, Awaitable[object]]] = deque()
        self._works = False
        self._lost = 0

    def put(self, event: SessionEvent, result: Awaitable[object]) -> bool:
        """Take one more. True: `work` has to be begun."""
        if len(self._waiting) >= MAX_BUFFERED:
            _discard(self._waiting.popleft()[1])
            self._lost += 1
        self._waiting.append((event, result))
        begin, self._works = not self._works, True
        return begin

    async def work(self) -> None:
        """Await all, one after another."""
        try:
            while self._waiting:
                lost, self._lost = self._lost, 0
                if lost:
                    logger.warning("an async event handler is too slow: %d events were dropped", lost)
                event, result = self._waiting.popleft()
                try:
                    await result
                except Exception:
                    self._failures.note(self._handler, event.raw_type)
        finally:
            self._works = False
            while self._waiting:
                _discard(self._waiting.popleft()[1])


def _discard(result: Awaitable[object]) -> None:
    if isinstance(result, Coroutine):
        result.close()
    elif isinstance(result, asyncio.Future):
        result.cancel()


def _without(handlers: tuple[Handler, ...], handler: Handler) -> tuple[Handler, ...]:
    index = next((i for i, h in enumerate(handlers) if h is handler or h == handler), None)
    return handlers if index is None else handlers[:index] + handlers[index + 1 :]


def _kinds(kinds: Kinds) -> tuple[SessionEventType, ...]:
    wanted = [kinds] if isinstance(kinds, str) else list(kinds)
    try:
        return tuple(SessionEventType(kind) for kind in wanted)
    except ValueError as e:
        raise InvalidOptionError(
            f"unknown event type: {e}. Leave the types out and look at event.raw_type for unknown ones."
        ) from e


async def _feed(handler: Handler, stream: EventStream, failures: Failures) -> None:
    told = 0
    try:
        async for event in stream:
            if stream.lost > told:
                logger.warning("an async event handler is too slow: %d events were dropped", stream.lost - told)
                told = stream.lost
            try:
                result = handler(event)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                failures.note(handler, event.raw_type)
    except RightseatError:
        return  # the connection was lost; pending calls raise the error
    finally:
        failures.sum_up(handler)


class EventStream:
    """An iteration over a session's events, with a bounded buffer. Made by `CopilotSession.events`.

    It listens from the moment it is made. `async with` (or `close()`) ends it; so does dropping the last reference to it.

    Attributes:
        lost: how many events were dropped because the buffer was full.
    """

    def __init__(
        self, owner: Subscriptions, kinds: tuple[SessionEventType, ...], capacity: int, overflow: Overflow
    ) -> None:
        self.lost = 0
        self._buffer: deque[SessionEvent] = deque()
        self._capacity = capacity
        self._raise = overflow == "raise"
        self._waiter: asyncio.Future[None] | None = None
        self._ended = owner._ended
        self._error = owner._error
        me = weakref.ref(self)

        def deliver(event: SessionEvent) -> None:
            stream = me()
            if stream is not None:
                stream._take(event)

        self._tasks = owner._tasks
        self._remove = owner._add(deliver, kinds)
        weakref.finalize(self, self._remove)
        owner._streams.add(self)

    def __aiter__(self) -> AsyncIterator[SessionEvent]:
        return self

    async def __anext__(self) -> SessionEvent:
        while not self._buffer:
            if self._raise and self.lost:
                self.close()
                lost, self.lost = self.lost, 0
                raise EventsLostError(lost, self._capacity)
            if self._ended:
                if self._error is not None:
                    error, self._error = self._error, None
                    raise error
                raise StopAsyncIteration
            self._tasks.check()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._buffer.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more. What is buffered can still be read."""
        self._remove()
        self.end(None)

    async def aclose(self) -> None:
        """The same as `close`, for contextlib.aclosing."""
        self.close()

    def end(self, error: RightseatError | None) -> None:
        """No more will come."""
        if not self._ended:
            self._ended, self._error = True, error
            self._wake()

    def _take(self, event: SessionEvent) -> None:
        if len(self._buffer) >= self._capacity:
            self.lost += 1
            if self._raise:
                return
            self._buffer.popleft()
        elif self._raise and self.lost:
            return  # a gap must not be hidden by what comes after it
        self._buffer.append(event)
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
