r"""A connection of our own server: one state machine, drawn in `states`.

    bytes --> Incoming (llhttp, one message) --> judged --> CoreExchange --> the gateway
                 |  refused: answered if nothing of another answer is out, and closed                |
    client <-- transport <-- respond: one write | stream: a write a piece <-------------------------+

    reading BODY, nobody wants it      reading is paused; what came with the head is held, which is little
    reading DONE, more bytes come      they are kept unparsed (a pipelined request), little of them, until the answer is out
    writing DONE, reading not DONE     no reuse: the rest is thrown away for a moment, so that the answer is read, and the connection closes
    both DONE, reuse                   the next head
    the client has left                the exchange is told, once, and nothing is called after that

Nothing begins inside a callback of the parser. Every doubt about framing ends in a close. One timer a connection: its deadline is moved, not
the timer. The end of the client's sending is the end of the client: it cannot be told from one that is gone, and nginx does the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from rightseat.gateway.http.core.answer import CONTINUE, refusal
from rightseat.gateway.http.core.base import Core
from rightseat.gateway.http.core.deadline import ConnectionDeadline
from rightseat.gateway.http.core.exchange import BodyBrokenError, CoreExchange
from rightseat.gateway.http.core.flow import WriteFlow
from rightseat.gateway.http.core.head import RefusedError, RequestHead, check_handshake
from rightseat.gateway.http.core.incoming import Incoming
from rightseat.gateway.http.core.socket_connection import open_socket
from rightseat.gateway.http.core.states import READING, WRITING, ReadState, WriteState
from rightseat.log import logger

KEEP_ALIVE_SECONDS = 75.0  # nginx: the same; longer than the 60 s of most balancers
_LINGER_SECONDS = 2.0  # for a client that still sends, to read why its request was refused
_CLOSE_SECONDS = 10.0  # for a client to take some of what was written before
_STALL_SECONDS = 120.0  # the same, while more is to come; nginx: 60
_KEPT, _JOINED = 16 * 1024, 64 * 1024  # bytes that may wait behind a request, and that are written together
_BEGINS = b"\rABCDEFGHIJKLMNOPQRSTUVWXYZ"  # with which another one may begin

_HEAD, _BODY, _READ, _DRAIN = ReadState.HEAD, ReadState.BODY, ReadState.DONE, ReadState.DRAIN
_NONE, _OPEN, _WRITTEN = WriteState.NONE, WriteState.OPEN, WriteState.DONE


class ServerConnection(asyncio.BufferedProtocol):
    """A connection.

    Args:
        core: the server.

    Attributes:
        transport: see asyncio.
        may_reuse: another request may follow; only ever set to False.
        flow: whether the client takes what is written.
    """

    def __init__(self, core: Core) -> None:
        self.core, self._buffer = core, core.shared.buffer
        self.transport: asyncio.Transport
        self.may_reuse = True
        self.flow = WriteFlow()
        self._deadline = ConnectionDeadline(core.loop, self._late)
        self._reading, self._writing = ReadState.HEAD, WriteState.NONE
        self._exchange: CoreExchange | None = None
        self._incoming = Incoming(core.shared.options.header_limit, self._on_body)
        self._rest = b""  # behind the request that is answered
        self._paused = self._is_pipelined = False  # reading is; and the request has waited behind another one
        self._head = b""  # of an answer that streams, and what came with it, until the next turn of the loop
        self._place = self._peer = ""  # what the connection counts for, and whose it is

    # What asyncio calls.

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        core = self.core
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        place = core.admit(self._peer)
        if place is None:
            self._reading, self._writing = ReadState.SHUT, WriteState.SHUT
            transport.abort()
            return
        self._place = place
        core.connections.add(self)
        self._deadline.set(core.shared.options.header_seconds, "head")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - however it went
        """See asyncio."""
        self._reading, self._writing = ReadState.SHUT, WriteState.SHUT
        self._deadline.end()
        self.core.connections.discard(self)
        self.core.give_place(self._place)
        self._place, self._rest, self._head = "", b"", b""
        exchange, self._exchange = self._exchange, None
        self.flow.end()
        if exchange is not None:
            exchange.leave()
            exchange.arrived()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """See asyncio."""
        return self._buffer if self._reading is _BODY and self._is_wanted else self.core.shared.little

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio."""
        reading = self._reading
        if reading is _HEAD:
            self._take_head(bytes(self._buffer[:nbytes]))
        elif reading is _BODY:
            self._take_body(self._buffer[:nbytes])
            if self._reading is _BODY and not self._is_wanted:
                self._pause()
        elif reading is _READ:
            self._keep(bytes(self._buffer[:nbytes]))

    def pause_writing(self) -> None:
        """See asyncio."""
        self.flow.stop()
        if not self._deadline.what:
            self._deadline.set(_STALL_SECONDS, "take", self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """See asyncio."""
        if self._deadline.what == "take":
            self._deadline.what = ""
        self.flow.go_on()
        if self._writing is _WRITTEN and self._reading is _READ:
            self._after_answer()

    # Reading.

    def _take_head(self, data: bytes) -> None:
        incoming = self._incoming
        try:
            rest = incoming.feed_head(data)
            head = incoming.head
            if head is None:
                if self._deadline.what != "head":
                    self._deadline.set(self.core.shared.options.header_seconds, "head")
                return
            if incoming.upgrades and (head.length or head.asks_for_socket):
                self.may_reuse = False  # what follows is not known to be a request
                if head.asks_for_socket:
                    check_handshake(incoming.raw, head)
            if len(self.core.connections) > self.core.shared.options.connections:
                raise RefusedError(503, "too_many_connections")
            if incoming.upgrades and head.asks_for_socket:
                self._become_socket(head, rest)
                return
            self._begin(head, rest)
        except RefusedError as e:
            self._refuse(e)

    def _begin(self, head: RequestHead, rest: bytes) -> None:
        """A request that is taken. Raises RefusedError: the part of its body that came with it is none."""
        self._deadline.what = ""
        self.may_reuse = self.may_reuse and head.keep_alive
        core = self.core
        address = core.address_of(self._peer, head.headers)
        request_id = core.app.request_id(head.headers.get("x-request-id", ""))
        self._exchange = exchange = CoreExchange(self, head, address, request_id, core.app.body_limits, core.app.clock)
        if head.length:
            self._move_reading(_BODY)
            if rest:
                rest = self._feed(memoryview(rest))
        else:
            self._move_reading(_READ)
        if rest:
            self._keep(rest)
        core.start(self._answer(exchange))

    async def _answer(self, exchange: CoreExchange) -> None:
        """The work of one request."""
        try:
            await self.core.app.serve(exchange)
        except Exception:
            logger.exception("%s: internal error", exchange.id)
        finally:
            exchange.close()
            if exchange is self._exchange and not exchange.complete:
                self._exchange = None
                self.cut()

    def _feed(self, data: memoryview) -> bytes:
        """Some of the body. What stands behind it. Raises RefusedError."""
        rest = self._incoming.feed_body(data)
        if self._incoming.is_whole:
            self._move_reading(_READ)
            if self._exchange is not None:
                self._exchange.arrived()
        return rest

    def _take_body(self, data: memoryview) -> None:
        try:
            rest = self._feed(data)
        except RefusedError as e:
            self.may_reuse = False
            if self._exchange is not None:
                said = f"the body of the request is not well formed ({e.name})"
                self._exchange.arrived(BodyBrokenError(said, code=e.name))
            self._pause()
            return
        if rest:
            self._keep(rest)

    def _on_body(self, data: bytes) -> None:
        if self._exchange is not None:
            self._exchange.take(data)

    def wants_body(self) -> bool:
        """The body is wanted from now on. True: it is whole already."""
        if self._reading is not _BODY:
            return True
        if self._exchange is not None and self._exchange.judged.expects and not self._incoming.has_content:
            self.transport.write(CONTINUE)
        self._resume()
        return False

    @property
    def _is_wanted(self) -> bool:
        return self._exchange is not None and self._exchange.wants_body

    def _keep(self, data: bytes) -> None:
        """Bytes behind the request: another one, for all that is known. What is surely none ends the connection, after a moment for the answer."""
        if self.may_reuse and not self._rest and data[:1] not in _BEGINS:
            self.may_reuse = False
            self._deadline.set(_LINGER_SECONDS, "answer")
        self._rest += data if self.may_reuse else b""
        if len(self._rest) >= _KEPT:
            self._pause()

    def _pause(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    @property
    def is_blind(self) -> bool:
        """Nothing is read, so that it does not show by itself that the client has left."""
        return self._paused and not self.transport.is_closing()

    # Writing.

    def answer(self, head: bytes, body: bytes) -> None:
        """A whole answer."""
        if self._writing is _NONE:
            if len(body) <= _KEPT:
                self.transport.write(head + body)
            else:
                self.transport.writelines((head, body))
            self._move_writing(_WRITTEN)
            self._after_answer()

    def open(self, head: bytes) -> None:
        """The head of an answer that streams. It goes out with what comes in this turn of the loop."""
        if self._writing is _NONE:
            self._move_writing(_OPEN)
            self._head = head
            self.core.loop.call_soon(self.flush)

    def send(self, data: bytes) -> None:
        """Bytes of an answer that streams: in the turn of its head they go out with it."""
        if self._head and len(self._head) + len(data) <= _JOINED:
            self._head += data
            return
        self.flush()
        if self._writing is _OPEN:
            self.transport.write(data)

    def send_pieces(self, pieces: Iterable[bytes]) -> None:
        """The same, in pieces."""
        self.flush()
        if self._writing is _OPEN:
            self.transport.writelines(pieces)

    def end(self, last: bytes) -> None:
        """The end of an answer that streams."""
        data, self._head = self._head + last, b""
        if self._writing is _OPEN:
            if data:
                self.transport.write(data)
            self._move_writing(_WRITTEN)
            self._after_answer()

    def cut(self) -> None:
        """End the connection, so that no client takes a part of an answer for all of it."""
        self.may_reuse = False
        writing = self._writing
        if writing is _NONE and self._reading is not ReadState.SHUT:
            self.transport.write(refusal(500, "internal_error"))
        self.flush()
        is_framed = self._exchange is None or not self._exchange.judged.is_old
        if writing is not WriteState.SHUT:
            self._move_writing(WriteState.SHUT)
        if writing is _OPEN and not is_framed:
            self.transport.abort()  # a polite end would be the end of the answer
        else:
            self._close()

    def flush(self) -> None:
        """What waits to go out with more goes out."""
        head, self._head = self._head, b""
        if head and self._writing is _OPEN:
            self.transport.write(head)

    # Between two requests, and the end.

    @property
    def is_last(self) -> bool:
        """No request follows on the connection."""
        return not self.may_reuse or self.core.shared.live.is_draining

    def _after_answer(self) -> None:
        exchange = self._exchange
        if exchange is not None and exchange.is_unread:
            self.may_reuse = False
        if self.is_last:
            self._close()
        elif self._reading is _READ and not self.flow.is_full:
            self._next()

    def _next(self) -> None:
        """Reuse: the one transition of both halves."""
        self._exchange = None
        self._move_writing(_NONE)
        self._move_reading(_HEAD)
        self._incoming.next()
        self._deadline.set(KEEP_ALIVE_SECONDS, "idle")
        rest, self._rest = self._rest, b""
        self._is_pipelined = bool(rest)
        self._resume()
        if rest:
            self._take_head(rest)

    def _refuse(self, e: RefusedError) -> None:
        """A request that is none, or not taken: nothing of another answer is out here."""
        logger.debug("%s: a request is refused: %s", self._peer, e.name)
        self._exchange = None
        self.may_reuse = False
        if self._writing is _NONE and not (self._is_pipelined and e.name in ("grammar", "line_ends")):
            self.transport.write(self.core.refusal(self._incoming, self._peer, e))
        self._move_writing(WriteState.SHUT)
        self._close()

    def _close(self) -> None:
        """End the connection after what was written. A client that still sends may read that first."""
        if self._reading in (_DRAIN, ReadState.SHUT) or self.transport.is_closing():
            return
        unsent = self.transport.get_write_buffer_size()
        is_quiet = self._reading is _READ or (self._reading is _HEAD and not self._incoming.has_begun)
        if is_quiet or not self.transport.can_write_eof():
            self._move_reading(ReadState.SHUT)
            self.transport.close()
            self._deadline.set(_CLOSE_SECONDS, "close", unsent)
        else:  # closing with bytes unread would reset the connection, and the answer with it
            self._move_reading(_DRAIN)
            self.transport.write_eof()
            self._resume()
            self._deadline.set(_LINGER_SECONDS, "close", unsent)

    def close_if_idle(self) -> None:
        """The server ends: what is idle ends now, what is under way after its answer."""
        self.may_reuse = False
        if self._writing is _NONE and self._reading is _HEAD:
            self._close()

    def _become_socket(self, head: RequestHead, rest: bytes) -> None:
        self._deadline.end()
        self._reading, self._writing = ReadState.SHUT, WriteState.SHUT
        self.core.connections.discard(self)
        place, self._place = self._place, ""
        open_socket(self.core, self.transport, head, self.core.address_of(self._peer, head.headers), place, rest)

    def _move_reading(self, to: ReadState) -> None:
        assert to in READING[self._reading], (self._reading, to)
        self._reading = to

    def _move_writing(self, to: WriteState) -> None:
        assert to in WRITING[self._writing], (self._writing, to)
        self._writing = to

    def _late(self, what: str) -> None:
        if what == "head":
            self._refuse(RefusedError(408, "head_timeout"))
        elif what == "idle":
            self._close()
        elif 0 < (unsent := self.transport.get_write_buffer_size()) < self._deadline.unsent:
            self._deadline.set(self._deadline.seconds, what, unsent)  # the client reads, if slowly
        else:
            self.transport.abort()
