"""HTTP/1.1 on a connection: uvicorn's protocol on httptools, with limits of its own. Does not know what is served.

Beyond uvicorn's it holds: a head comes in time and is not too large, a body is not read before the endpoint asks for it, one address has so many
connections and not more, and a connection that is to end does end.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from rightseat.errors import RightseatError
from rightseat.gateway.http.addresses import neighbourhood
from rightseat.gateway.http.asgi import LEFT
from rightseat.gateway.http.head_errors import (
    REFUSED,
    HeadTooLargeError,
    HeadTooSlowError,
    MalformedRequestError,
    TooManyConnectionsError,
    fault_of_handshake,
)
from rightseat.gateway.http.server_options import Shared
from rightseat.gateway.http.websocket_protocol import WebSocketProtocol
from rightseat.gateway.http.writing import Writer

MAX_FIELDS = 256  # of one head
_ALIKE = (b"content_length", b"transfer_encoding")
_LINGER_SECONDS = 2.0  # for a client that still sends, to read why it is refused
_CLOSE_SECONDS = 10.0  # for a client to take what was written before
_KEPT = frozenset(
    {b"anthropic-version", b"traceparent", b"tracestate", b"upgrade", b"x-request-id"}
)  # of a refused head
_SPARE = 64  # connections beyond the limit that get an answer saying so


class _TooLargeError(Exception):
    pass


class _AmbiguousError(Exception):
    pass


class _Closing:
    """A transport whose end comes: after what was written, and not much later."""

    def __init__(self, protocol: HttpProtocol) -> None:
        self._protocol: HttpProtocol | None = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        """See asyncio.Transport."""
        if self._protocol is not None:
            self._protocol.finish()

    def forget(self) -> None:
        """It is closed: nothing is to keep the other alive."""
        self._protocol = None


class Reader(asyncio.BufferedProtocol):
    """Reads for a connection, as much at a time as it wants. A loop does that for no protocol that also takes bytes by itself."""

    def __init__(self, protocol: HttpProtocol) -> None:
        self._protocol = protocol
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        self._protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._protocol.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """See asyncio."""
        shared = self._protocol.shared
        return shared.buffer if self._protocol.wants_much else shared.little

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio."""
        self._protocol.data_received(bytes(self._protocol.shared.buffer[:nbytes]))


class HttpProtocol(HttpToolsProtocol):
    """A connection. `shared` is set by a subclass."""

    shared: Shared
    _deadline: asyncio.TimerHandle | None = None
    _end_timer: asyncio.TimerHandle | None = None
    _place = ""  # what the connection counts for
    _coming = False  # a head is
    _head_bytes = 0  # of it, as they came
    _size = 0  # of its fields
    _count = 0
    _large = False
    _whole = True  # the request is
    _waits = False  # its body did, until it was asked for
    _lingers = False
    _is_refused = False  # what came last: nothing can follow it
    _answering: Any = None  # the cycle of the request that is answered; others may wait behind it

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        self._closing = _Closing(self)
        peer = self.client[0] if self.client else ""
        place = "" if self.shared.proxies.trusts(peer) else neighbourhood(peer)
        too_many = len(self.connections) > self.shared.options.connections + _SPARE
        if too_many or (place and not self.shared.places.take(place)):
            transport.abort()
            return
        self._place = place
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._end()
        self.release()
        super().connection_lost(exc)
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True  # uvicorn tells the last that came, which may wait behind this one
            self._answering.message_event.set()
            if (left := self._answering.scope.get(LEFT)) is not None:
                left()
        self._closing.forget()
        self._drop_body()

    def _drop_body(self) -> None:
        """What was not read of it is not needed any more."""
        if self.cycle is not None:
            self.cycle.body = bytearray()

    def release(self) -> None:
        """The connection counts no more."""
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None
        if self._place:
            self.shared.places.give(self._place)
            self._place = ""

    @property
    def wants_much(self) -> bool:
        """A body is read."""
        return self._waits

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        if self._lingers or self._is_refused:
            return
        super().data_received(data)
        if self._coming:
            self._head_bytes += len(
                data
            )  # the parser keeps what it has not understood yet, and has no limit of its own
            if self._head_bytes > self.shared.options.header_limit and not self.transport.is_closing():
                self._large = True
                self.send_400_response("")
        elif self._whole:
            if self._deadline is None and self._is_idle():
                self._start()  # line ends before a request count for nothing
        elif not self._waits and self.cycle is not None and not self.cycle.response_complete:
            self._waits = True
            self.flow.pause_reading()  # the body is not read until the endpoint asks for it

    def handle_websocket_upgrade(self) -> None:
        """The connection becomes a WebSocket, if there is room for one more."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        fault = self._fault_of_number() or fault_of_handshake(method, version, self.headers)
        if fault is not None:
            self._refuse(fault)
            return
        super().handle_websocket_upgrade()
        socket = self.transport.get_protocol()
        if isinstance(socket, WebSocketProtocol):
            socket.on_lost = self.release

    def finish(self) -> None:
        """End the connection after what was written. A client that still sends may read that first."""
        if self.transport.is_closing() or self._lingers:
            return
        if self._whole or not self.transport.can_write_eof():
            self.transport.close()
        else:  # closing with bytes unread would reset the connection, and the answer with it
            self._lingers = True
            self.transport.write_eof()
            self.flow.resume_reading()
        self._end_in(_LINGER_SECONDS if self._lingers else _CLOSE_SECONDS)

    def _end_in(self, seconds: float, waiting: int = 0) -> None:
        """End the connection then, unless its client has taken something of what waited."""
        self._end_timer = self.loop.call_later(seconds, self._end_unless_taken, seconds, waiting)

    def _end_unless_taken(self, seconds: float, before: int) -> None:
        if (waiting := self.transport.get_write_buffer_size()) > 0 and (not before or waiting < before):
            self._end_in(seconds, waiting)
        else:
            self.transport.abort()

    def _is_idle(self) -> bool:
        """No request is under way, and the connection has not become a WebSocket."""
        ours = not isinstance(self.transport.get_protocol(), WebSocketProtocol)
        return ours and not self._lingers and (self.cycle is None or bool(self.cycle.response_complete))

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._coming, self._head_bytes, self._size, self._count = True, 0, 0, 0
        self._whole = self._waits = False
        self._start()

    def on_url(self, url: bytes) -> None:
        """A piece of its target."""
        self._weigh(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of its head."""
        self._count += 1
        self._weigh(len(name) + len(value))
        if b"_" in name and name.lower() in _ALIKE:
            raise _AmbiguousError  # servers before or behind this one may take it for the real one
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._coming = False
        self._end()
        if self.client is not None and self.shared.proxies.trusts(self.client[0]):
            self.scope["client"] = (self.shared.client_of(self.client[0], self.headers), 0)
        if (fault := self._fault_of_number()) is not None:
            self.scope[REFUSED] = fault  # type: ignore[literal-required]
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is before:  # it becomes a WebSocket
            return
        self.cycle.transport = self._closing  # type: ignore[assignment]
        if self.shared.live.is_draining:
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        write = Writer(cycle, self.transport)
        super()._start_asgi_task(cycle, lambda scope, receive, _: app(scope, receive, write))

    def on_message_complete(self) -> None:
        """All of its body is there."""
        self._whole = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered."""
        self._drop_body()
        if self._lingers:
            self.server_state.total_requests += 1
        else:
            super().on_response_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the client is told in our words
        """A request that is none, or too large a one."""
        self._refuse(HeadTooLargeError() if self._large else MalformedRequestError())

    def _fault_of_number(self) -> RightseatError | None:
        return TooManyConnectionsError() if len(self.connections) > self.shared.options.connections else None

    def _refuse(self, error: RightseatError) -> None:
        """Answer a head that cannot be served. The application does that, so that it is seen like any other request."""
        self._end()
        if not self._is_idle() or self._is_refused:  # nothing may stand within an answer
            self.transport.close()
            return
        self._is_refused, self._coming, self._whole = True, False, False
        self.cycle = RequestResponseCycle(
            scope=self._refused_scope(error),  # type: ignore[arg-type]
            transport=self._closing,  # type: ignore[arg-type]
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        self._start_asgi_task(self.cycle, self.app)

    def _refused_scope(self, error: RightseatError) -> dict[str, object]:
        """As much as is known of a head that is answered by an error."""
        url: bytes = getattr(self, "url", b"")
        path, _, _ = url.partition(b"?")
        peer = self.client[0] if self.client else ""
        return {
            "type": "http",
            "method": self.parser.get_method().decode("ascii") if url else "GET",
            "path": path.decode("latin-1") or "/",
            "query_string": b"",
            "http_version": "1.1",
            "headers": [field for field in self.headers or () if field[0] in _KEPT],
            "client": (self.shared.client_of(peer, self.headers or ()), 0) if peer else None,
            REFUSED: error,
        }

    def _weigh(self, size: int) -> None:
        self._size += size
        if self._size > self.shared.options.header_limit or self._count > MAX_FIELDS:
            self._large = True
            raise _TooLargeError  # the parser tells it as an error of its own

    def _start(self) -> None:
        if self._deadline is None and self.shared.options.header_seconds:
            self._deadline = self.loop.call_later(self.shared.options.header_seconds, self._too_slow)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if not self._is_idle():  # the one before is not answered yet: this one has time until then
            self._start()
            return
        if self._coming:
            self._refuse(HeadTooSlowError(self.shared.options.header_seconds))
            return
        self.transport.write(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()  # nothing was asked
