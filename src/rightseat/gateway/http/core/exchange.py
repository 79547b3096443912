"""A request of our own server, and its answer: bodies read when they are wanted, answers written without a coroutine a piece.

    body: waits (uncounted, little) --body()--> wanted (counted, within limits) --> there | too large | no room | broken

This module does not know sockets and states: the connection has them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from io import BytesIO
from types import TracebackType
from typing import Any, Protocol

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import CallerError, RightseatError
from rightseat.gateway.http.core.answer import LAST_CHUNK, head_of
from rightseat.gateway.http.core.flow import DONE, WriteFlow
from rightseat.gateway.http.core.head import CHUNKED, RequestHead
from rightseat.gateway.http.exchange import EVENT_STREAM, JSON, ClientGoneError, EventStream, Fields, Head, Pausable
from rightseat.gateway.http.held import BodyLimits, HeldBody

_COPIED = 16 * 1024  # bytes: smaller pieces are copied into their chunk, larger ones go out beside its size

_AT_ONCE = 64 * 1024  # bytes of an answer that are written without a look at whether they are taken


class BodyBrokenError(CallerError):
    """The request's body is not framed as it should be."""


class Line(Protocol):
    """The connection, as an exchange sees it.

    Attributes:
        is_last: no request follows on it.
        flow: whether the client takes what is written.
    """

    flow: WriteFlow

    @property
    def is_last(self) -> bool: ...  # noqa: D102 - see above

    def wants_body(self) -> bool:
        """The body is wanted from now on. True: it is whole already."""

    def answer(self, head: bytes, body: bytes) -> None:
        """A whole answer."""

    def open(self, head: bytes) -> None:
        """The head of an answer that streams."""

    def send(self, data: bytes) -> None:
        """Bytes of it."""

    def send_pieces(self, pieces: Iterable[bytes]) -> None:
        """The same, in pieces."""

    def flush(self) -> None:
        """What waits to go out with more goes out."""

    def end(self, last: bytes) -> None:
        """Its end."""

    def cut(self) -> None:
        """End the connection, so that no client takes a part of an answer for all of it."""


class CoreExchange(HeldBody):
    """A request of our own server.

    Args:
        connection: it came on.
        judged: its head.
        address: of the client.
        request_id: see Exchange.
        limits: of the body.
        clock: time.
    """

    def __init__(
        self,
        connection: Line,
        judged: RequestHead,
        address: str,
        request_id: str,
        limits: BodyLimits,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        head = Head(judged.method, judged.path, judged.headers, judged.query, address)
        super().__init__(head, request_id, limits, clock)
        self.judged = judged
        self._is_chunked = not judged.is_old and judged.method != "HEAD"
        self._connection = connection
        self._first = b""
        self._more: BytesIO | None = None
        self._size = 0
        self._counted = False
        self._waiter: asyncio.Future[None] | None = None
        self._fault: RightseatError | None = None
        self.is_unread = judged.length != 0

    # The body.

    @property
    def wants_body(self) -> bool:
        """Somebody waits for it, and it may go on."""
        return self._counted and self._fault is None

    async def body(self) -> bytes:
        """See Exchange.

        Raises:
            BodyTooLargeError, BodyTooSlowError, BodyBrokenError, EncodingError: it is not taken. NoMemoryError: there is no room for it now.
        """
        if not self.is_unread:
            return b""
        if self.judged.length != CHUNKED:
            self.check_length(self.judged.length)
        self.holder, self._counted = self.owner, True
        self._count(self._size)
        if self._fault is None and not self._connection.wants_body():
            await self._come()
        if self._fault is not None:
            raise self._fault
        if self.gone:
            raise ClientGoneError("the client left before it had sent its request")
        self.is_unread = False
        data = self._first if self._more is None else self._more.getvalue()
        self._drop_body()
        return await self.decoded(data)

    def take(self, data: bytes) -> None:
        """Some of the body has come."""
        self._size += len(data)
        if self._counted:
            self._count(len(data))
        if self._fault is not None:
            return
        if self._more is not None:
            self._more.write(data)
        elif self._first:
            self._more = BytesIO()  # which gives its bytes away without a copy
            self._more.write(self._first)
            self._more.write(data)
            self._first = b""
        else:
            self._first = data

    def arrived(self, fault: RightseatError | None = None) -> None:
        """All of the body has come, or will never."""
        self._fault = self._fault or fault
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _count(self, size: int) -> None:
        try:
            self.check_size(self._size)
            self.hold_body(size)
        except RightseatError as e:
            self._drop_body()
            self.arrived(e)

    async def _come(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self.limits.seconds or None):
                await self._waiter
        except TimeoutError:
            self._fault = self.too_slow()
        finally:
            self._waiter = None

    def _drop_body(self) -> None:
        self._first, self._more = b"", None

    # The answer.

    async def respond(self, status: int, body: bytes, headers: Fields = (), kind: bytes = JSON) -> None:
        """See Exchange. The head and a short body go out together; a long one goes as it is taken, so that little of it waits uncounted.

        Raises:
            ClientGoneError: the client left before it had taken the answer.
        """
        self.status = status
        own = [] if status == 204 else [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        head = self._head(status, [*own, *self._with_fields(headers)])
        if self.judged.method == "HEAD" or status in (204, 304):
            body = b""
        if len(body) <= _AT_ONCE:
            self._connection.answer(head, body)
        else:
            await self._respond_in_pieces(head, body)
        self.complete = not self.gone

    async def _respond_in_pieces(self, head: bytes, body: bytes) -> None:
        connection = self._connection
        connection.open(head)
        for at in range(0, len(body), _AT_ONCE):
            connection.send(body[at : at + _AT_ONCE])
            await connection.flow.room()
            if self.gone:
                raise ClientGoneError("the client left before it had taken the answer")
        connection.end(b"")

    def stream(self, headers: Fields, ping: bytes = b"", ping_seconds: float = 0.0) -> EventStream:
        """See Exchange. While it lasts, `sink` takes pieces without a coroutine for each."""
        return _StreamedAnswer(self, headers, ping, ping_seconds)

    def begin_stream(self, headers: Fields, ping: bytes, ping_seconds: float) -> ChunkSink:
        """The head of a streamed answer goes out."""
        self._open(200, [(b"content-type", EVENT_STREAM), *self._with_fields(headers)])
        self.status, self.streaming = 200, True
        self.sink = sink = ChunkSink(self, self._connection, ping, ping_seconds)
        return sink

    def end_stream(self, sink: ChunkSink, *, well: bool) -> None:
        """It is over."""
        try:
            if well:
                self._end()
                self.complete = not self.gone
        finally:
            self.sink = None
            sink.stop()

    def abort(self) -> None:
        """See Exchange."""
        self._connection.cut()

    def close(self) -> None:
        """It is over: give everything back."""
        self._drop_body()
        self.give_back()
        self.forget()

    def _head(self, status: int, fields: list[tuple[bytes, bytes]]) -> bytes:
        if self._connection.is_last or self.is_unread:  # nothing can follow a body that is not read
            fields.append((b"connection", b"close"))
        return head_of(status, fields)

    async def _start(self, status: int, headers: Fields) -> None:
        self._open(status, headers)

    def _open(self, status: int, headers: Fields) -> None:
        fields = list(headers)
        if self._is_chunked:
            fields.append((b"transfer-encoding", b"chunked"))
        self._connection.open(self._head(status, fields))

    def put(self, data: bytes) -> None:
        """Write some of a streamed answer."""
        if self._is_chunked:
            if len(data) <= _COPIED:
                self._connection.send(b"%x\r\n%b\r\n" % (len(data), data))
            else:
                self._connection.send_pieces((b"%x\r\n" % len(data), data, b"\r\n"))
        elif self.judged.method != "HEAD":
            self._connection.send(data)

    def _write(self, data: bytes, *, last: bool) -> Awaitable[None]:
        if data:
            self.put(data)
            self._connection.flush()
        if last:
            self._end()
            return DONE
        return self._connection.flow.room()

    def _end(self) -> None:
        self._connection.end(LAST_CHUNK if self._is_chunked else b"")


class _StreamedAnswer:
    """What `CoreExchange.stream` gives: a generator for it would cost more than all that it does."""

    __slots__ = ("_exchange", "_given", "_sink")

    def __init__(self, exchange: CoreExchange, *given: Any) -> None:
        self._exchange, self._given = exchange, given

    async def __aenter__(self) -> Callable[[bytes], Awaitable[None]]:
        self._sink = self._exchange.begin_stream(*self._given)
        return self._sink.send

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._exchange.end_stream(self._sink, well=e is None)


class ChunkSink:
    """Where the pieces of a streamed answer go: one call of the transport each. It keeps the stream alive while nothing comes.

    Args:
        exchange: whose answer it is.
        connection: where it goes.
        ping: what is written in silence, between two pieces.
        seconds: of silence; 0: never.
    """

    __slots__ = ("_connection", "_exchange", "_last", "_loop", "_ping", "_seconds", "_timer")

    def __init__(self, exchange: CoreExchange, connection: Line, ping: bytes, seconds: float) -> None:
        self._exchange, self._connection = exchange, connection
        self._ping, self._seconds = ping, seconds
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        if seconds and ping:
            self._timer = self._loop.call_later(seconds, self._look)

    def write(self, data: bytes) -> None:
        """Some whole events. Never waits; see `drain`."""
        exchange = self._exchange
        if exchange.first_at is None:
            exchange.first_at = exchange._clock.now()
        if data:
            exchange.put(data)
        self._last = self._loop.time()

    def send(self, data: bytes) -> Awaitable[None]:
        """The same, to be awaited: until there is room for more."""
        self.write(data)
        return self.drain()

    def drain(self) -> Awaitable[None]:
        """Until there is room for more."""
        self._connection.flush()
        return self._connection.flow.room()

    def bind(self, source: Pausable | None) -> None:
        """Who is to wait while there is no room."""
        self._connection.flow.bind(source)

    def stop(self) -> None:
        """No more pings."""
        self._connection.flow.bind(None)
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if now >= self._last + self._seconds:  # as the timer was set: a difference may be rounded to less
            self._last = now
            if not self._connection.flow.is_full:
                self._exchange.put(self._ping)
        self._timer = self._loop.call_at(self._last + self._seconds, self._look)
