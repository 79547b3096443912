"""One request and its answer: the seam between HTTP and the gateway.

Each HTTP adapter makes an Exchange and passes it on: `asgi` for requests of a server, `websocket` for requests within a socket. The life of
a request is kept here, once: whether the client is gone, whether the answer has begun, what ended it early, what was written. This module
does not know what is asked, who asks, and what a dialect is.

    waiting --respond--> complete
       |   --stream---> streaming --end--> complete
       |                    |
       +------ leave / cut -+--> ended early: `run` raises what ended it
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from msgspec import Struct

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import RightseatError

Fields: TypeAlias = Sequence[tuple[bytes, bytes]]  # header fields: names in lower case, and values
EventStream: TypeAlias = AbstractAsyncContextManager[Callable[[bytes], Awaitable[None]]]

JSON = b"application/json"
EVENT_STREAM = b"text/event-stream"
_LAST_SECONDS = 2.0  # that an event which ends a stream waits for a client that does not read


class ClientGoneError(RightseatError):
    """The client has left before its answer was complete."""

    status_hint = 499


class Head(Struct, frozen=True):
    """The head of a request.

    Attributes:
        headers: names in lower case.
        address: of the client; "" where there is none, as for a Unix socket.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: str = ""
    address: str = ""


class Pausable(Protocol):
    """A source that pushes, and can be asked to wait."""

    def pause(self) -> None:
        """Push nothing for now. May be called twice."""

    def resume(self) -> None:
        """Go on. May be called twice."""


class EventSink(Protocol):
    """Where the events of a streamed answer go, without a coroutine a piece."""

    def write(self, data: bytes) -> None:
        """Some whole events. Never waits."""

    def bind(self, source: Pausable | None) -> None:
        """Who writes from now on: it is paused while the client does not read. None: nobody any more."""


class Exchange(ABC):
    """A request and its answer.

    Args:
        head: of the request.
        request_id: the same in every log and for the client.
        clock: time.

    Attributes:
        head, id: see above.
        status: of the answer; None: it has not begun.
        streaming: the answer is a stream that has begun.
        complete: the last byte of the answer was written.
        gone: the client has left before that.
        first_at: when the first bytes of a stream were written, in seconds of the clock.
        sink: while an answer streams, where its pieces may be pushed; None: it cannot be, `stream` gives what waits.
        fields: header fields of whatever answer there will be; one that the answer gives itself goes before them.
        owner: for whom the bytes are counted that it holds.
    """

    def __init__(self, head: Head, request_id: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self.head = head
        self.id = request_id
        self.status: int | None = None
        self.streaming = False
        self.complete = False
        self.gone = False
        self.first_at: float | None = None
        self.sink: EventSink | None = None
        self.fields: list[tuple[bytes, bytes]] = []
        self.owner = ""
        self._clock = clock
        self._early: RightseatError | None = None
        self._scope: asyncio.Timeout | None = None

    # What the gateway asks of it.

    @abstractmethod
    async def body(self) -> bytes:
        """The body of the request, read when it is wanted.

        Raises:
            RequestTooLargeError, RequestTimeoutError, ...: see the module that speaks HTTP. ClientGoneError: the client has left.
        """

    def hold(self, size: int) -> None:  # noqa: B027 - most have no bound to keep
        """Count bytes that are held for this request beside its body, until it is over. Raises NoMemoryError: there is no room."""

    async def respond(self, status: int, body: bytes, headers: Fields = (), kind: bytes = JSON) -> None:
        """Give a whole answer."""
        self.status = status
        own = [] if status == 204 else [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await self._start(status, [*own, *self._with_fields(headers)])
        await self._write(body, last=True)
        self.complete = True

    def stream(self, headers: Fields, ping: bytes = b"", ping_seconds: float = 0.0) -> EventStream:
        """Begin a streamed answer; what is yielded writes to it: whole events only, each call.

        `ping` is written after `ping_seconds` of silence, between two writes and never while one waits for a slow client. The answer is
        complete when the block ends well; else it is for `fail` to end it.
        """
        return self._streamed(headers, ping, ping_seconds)

    @contextlib.asynccontextmanager
    async def _streamed(
        self, headers: Fields, ping: bytes, ping_seconds: float
    ) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
        self.status, self.streaming = 200, True
        await self._start(200, [(b"content-type", EVENT_STREAM), *self._with_fields(headers)])
        pinger = _Pinger(self, ping, ping_seconds) if ping_seconds and ping else None
        try:
            yield self._write_events if pinger is None else pinger.write
            self._stop(pinger)
            await self._write(b"", last=True)
            self.complete = True
        finally:
            self._stop(pinger)

    async def fail(self, event: bytes) -> None:
        """End a stream that cannot be finished: an error event, and an ending that no client takes for a normal one."""
        if event:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS):
                    await self._write(event, last=False)
        self.abort()

    @abstractmethod
    def abort(self) -> None:
        """End the connection, so that no client takes a part of an answer for all of it."""

    # Its end before its time.

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work of answering, until it is done, the client leaves or it is cut.

        Raises:
            ClientGoneError: the client has left. RightseatError: what `cut` was told. Whatever `work` raises.
        """
        if self._early is not None:
            raise self._early
        try:
            async with asyncio.timeout(None) as self._scope:
                await work()
        except TimeoutError:
            if self._early is None:
                raise
            raise self._early from None
        finally:
            self._scope = None

    def leave(self) -> None:
        """The client is gone: what runs for it is cancelled."""
        if not self.complete:
            self.gone = True
            self._end_early(ClientGoneError("the client has left"))

    def cut(self, error: RightseatError) -> None:
        """End the work with an error for the client: the server stops, the key has ended."""
        if not self.complete:
            self._end_early(error)

    def forget(self) -> None:
        """It is over: what ended it early is not kept, nor what that holds."""
        self._early = None

    @property
    def is_ending(self) -> bool:
        """The client has left, or the work was cut."""
        return self._early is not None

    def _end_early(self, error: RightseatError) -> None:
        if self._early is not None:
            return
        self._early = error
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    # What those who speak HTTP fill in.

    @abstractmethod
    async def _start(self, status: int, headers: Fields) -> None:
        """Write the head of the answer."""

    @abstractmethod
    def _write(self, data: bytes, *, last: bool) -> Awaitable[None]:
        """Write some of the body; waits while the client reads slowly. Nothing is written to a client that is gone."""

    async def _write_events(self, data: bytes) -> None:
        if self.first_at is None:
            self.first_at = self._clock.now()
        await self._write(data, last=False)

    def _with_fields(self, headers: Fields) -> Fields:
        given = {name for name, _ in headers}
        return [*headers, *(field for field in self.fields if field[0] not in given)]

    def _stop(self, pinger: _Pinger | None) -> None:
        if pinger is not None:
            pinger.stop()


class _Pinger:
    """Writes something harmless when nothing was written for some time. One task at most, and none while a write waits."""

    def __init__(self, exchange: Exchange, ping: bytes, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._exchange, self._ping, self._seconds = exchange, ping, seconds
        self._last = self._loop.time()
        self._busy = False
        self._task: asyncio.Future[None] | None = None
        self._timer = self._loop.call_later(seconds, self._look)

    async def write(self, data: bytes) -> None:
        """Write events of the answer."""
        self._busy = True
        if self._task is not None:  # a ping that waits for a slow client goes first, whole
            await asyncio.shield(self._task)
        exchange = self._exchange
        if exchange.first_at is None:
            exchange.first_at = exchange._clock.now()
        await exchange._write(data, last=False)
        self._last = self._loop.time()
        self._busy = False

    def stop(self) -> None:
        """No more pings."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if now - self._last >= self._seconds and not self._busy and self._task is None:
            self._last = now
            self._task = asyncio.ensure_future(self._say())
        self._timer = self._loop.call_at(max(now, self._last) + self._seconds, self._look)

    async def _say(self) -> None:
        try:
            await self._exchange._write(self._ping, last=False)
        finally:
            self._task = None
