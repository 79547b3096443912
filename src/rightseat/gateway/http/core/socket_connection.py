"""WebSockets of our own server: frames by `websockets`' sans-I/O protocol, taken one message at a time within bounds.

A client that has not said who it is may send little, every byte that is held counts in a budget, and nothing is compressed, since a small
message could hold a huge one. This module does not know what the messages mean.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from rightseat.gateway.http.core.answer import head_of, refusal
from rightseat.gateway.http.core.base import Core
from rightseat.gateway.http.core.head import RequestHead
from rightseat.gateway.http.exchange import JSON, ClientGoneError, Fields, Head
from rightseat.gateway.http.websocket import HELLO_LIMIT, NORMAL, TRY_LATER, Socket

_logger = logging.getLogger("rightseat.websocket")
_logger.setLevel(logging.WARNING)  # else `websockets` logs what is said
_pings = itertools.count(1)
_CLOSE_SECONDS = 10.0  # for a client to take what was written before, and to close
_PING_SECONDS = 20.0  # between two pings, and for an answer; `websockets`: the same


class SocketConnection(asyncio.Protocol):
    """A connection that has become a WebSocket.

    Args:
        core: the server.
        transport: the connection's.
        place: what it counts for, of `shared.places`.

    Attributes:
        frames: the message that comes, joined: each of very many pieces alone would cost more than it holds.
    """

    def __init__(self, core: Core, transport: asyncio.Transport, place: str) -> None:
        self.core, self.transport = core, transport
        self.frames: list[bytearray | bytes] = []
        self.is_gone = False
        self._place = place
        self._conn = ServerProtocol(state=State.OPEN, max_size=HELLO_LIMIT, logger=_logger)  # the head was read before
        self._response = b""
        self._accepted = False
        self._closing = False  # we have said that it is over, or the client has
        self._owner = ""
        self._raw = bytearray()  # not looked at yet
        self._due = 0  # bytes of the frame that is being read
        self._message: bytes | None = None  # the one that waits
        self._taken = 0  # bytes of the one that is being looked at
        self._counted = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._paused = False
        self._ping = b""
        self._timer: asyncio.TimerHandle | None = None
        self._killer: asyncio.TimerHandle | None = None

    # The handshake.

    def shake_hands(self, head: Head) -> bytes | None:
        """Whether it is one (RFC 6455, section 4.2.1). None: it is; else what the client is told."""
        headers = Headers()
        for name, value in head.headers.items():
            headers[name] = value
        response = self._conn.accept(Request(head.path, headers))
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            return refusal(response.status_code, "handshake")
        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers.raw_items()]
        self._response = head_of(101, [field for field in fields if field[0] != b"date"])
        return None

    def refuse(self, said: bytes) -> None:
        """It does not become one."""
        self._closing = True
        if not self.transport.is_closing():
            self.transport.write(said)
        self.over()
        self.transport.close()

    def accept(self) -> None:
        """It does."""
        self._accepted = True
        if not self.is_gone:
            self.transport.write(self._response)
            self._timer = self.core.loop.call_later(_PING_SECONDS, self._beat)
            self._feed()

    def allow(self, limit: int, owner: str) -> None:
        """Messages may be so large, and count for somebody."""
        self._conn.max_message_size = limit
        counted, self._counted = self._counted, 0
        self.core.shared.memory.give(self._owner, counted)
        self._owner = owner
        self._account()

    # Reading.

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._closing and not self._accepted:
            return
        self._raw += data
        self._feed()

    async def receive(self) -> bytes | None:
        """The next message; None: there is none any more. What was received before is done with."""
        self._taken = 0
        self._feed()
        while self._message is None:
            if self.is_gone or self._closing:
                return None
            self._news.clear()
            await self._news.wait()
        message, self._message = self._message, None
        self._taken = len(message)
        self._pace()
        return message

    def _feed(self) -> None:
        """Read on, up to the end of a message: what follows waits until that was taken."""
        while self._raw and self._conn.parser_exc is None and self._may_feed:
            if not self._due:
                self._due = frame_size(self._raw)
                if not self._due:
                    break
            part = bytes(self._raw[: self._due])
            del self._raw[: len(part)]
            self._due -= len(part)
            self._parse(part)
        if self._conn.parser_exc is not None:
            self._raw.clear()
        self._account()
        self._pace()

    def _parse(self, part: bytes) -> None:
        conn = self._conn
        conn.receive_data(part)
        for event in conn.events_received():
            assert isinstance(event, Frame)
            self._take(event)
        output = b"".join(conn.data_to_send())  # pongs, or a close
        # Pongs must not pile up for a client that does not read (RFC 6455, section 5.5.3).
        if output and (self._room.is_set() or conn.close_sent is not None):
            self.transport.write(output)
        if conn.close_sent is not None:
            self._end()

    def _take(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self.frames = [bytes(frame.data) if frame.fin else bytearray(frame.data)]
        elif frame.opcode is Opcode.CONT and self.frames:
            joined = self.frames[0]
            assert isinstance(joined, bytearray)
            joined += frame.data
        elif frame.opcode is Opcode.PONG and bytes(frame.data) == self._ping:
            self._ping = b""
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT) or not frame.fin:
            return
        data, self.frames = bytes(self.frames[0]) if self.frames else b"", []
        if not self._closing:
            self._message = data
            self._news.set()

    @property
    def _may_feed(self) -> bool:
        return self._closing or (self._accepted and self._message is None)

    @property
    def is_blind(self) -> bool:
        """Nothing is read, so that it does not show by itself that the client has left."""
        return self._paused and not self.transport.is_closing()

    def _pace(self) -> None:
        """Let the client send as long as there is nothing else to do."""
        wants = not self._raw or self._may_feed
        if self.transport.is_closing() or wants is not self._paused:
            return
        self._paused = not wants
        if wants:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def _account(self) -> None:
        """Count what is held."""
        waiting = len(self._message) if self._message is not None else 0
        held = len(self._raw) + len(self._conn.reader.buffer) + sum(map(len, self.frames)) + waiting + self._taken
        more = held - self._counted
        if more > 0 and not self.core.shared.memory.take(self._owner, more):
            self._raw.clear()
            self.frames = []
            self._fail(TRY_LATER, "too many bytes are held")
            return
        if more < 0:
            self.core.shared.memory.give(self._owner, -more)
        self._counted = held

    # Writing.

    async def send(self, data: bytes) -> bool:
        """A text message; waits while the client reads slowly. False: it is over."""
        await self._room.wait()
        if self.is_gone or self._closing:
            return False
        try:
            self._conn.send_text(data)
        except InvalidState:
            return False
        self.transport.write(b"".join(self._conn.data_to_send()))
        return True

    def close(self, code: int, reason: str) -> None:
        """Say that it is over."""
        if self.is_gone or self._closing:
            return
        if not self._accepted:
            self.refuse(refusal(HTTPStatus.FORBIDDEN, "closed"))
            return
        self._conn.send_close(code, reason)
        self.transport.write(b"".join(self._conn.data_to_send()))
        self._closing = True
        self._news.set()
        self._kill_later()
        self._feed()  # the client's own close may wait there

    def over(self) -> None:
        """Nobody serves it any more: it ends, also if the client reads nothing."""
        if not self.is_gone:
            if not self._closing:
                self.close(NORMAL, "")
            self._kill_later()

    def close_if_idle(self) -> None:
        """The server ends."""
        self.close(1012, "")

    def _beat(self) -> None:
        """A ping now and then: who does not answer is gone."""
        if self._closing or self.transport.is_closing():
            return
        if self._ping:
            self._fail(1011, "keepalive ping timeout")
            return
        self._ping = b"%d" % next(_pings)
        self._conn.send_ping(self._ping)
        self.transport.write(b"".join(self._conn.data_to_send()))
        self._timer = self.core.loop.call_later(_PING_SECONDS, self._beat)

    def _fail(self, code: int, reason: str) -> None:
        if self._conn.parser_exc is None and not self._closing and not self.transport.is_closing():
            self._conn.fail(code, reason)
            self.transport.write(b"".join(self._conn.data_to_send()))
            self._end()

    def _end(self) -> None:
        """A close frame has gone out, and either was asked for by the client or waits for no answer."""
        self._closing = True
        self._news.set()
        self.transport.close()
        self._kill_later()

    def _kill_later(self) -> None:
        if self._killer is None:
            self._killer = self.core.loop.call_later(_CLOSE_SECONDS, self.transport.abort)

    # What else asyncio calls.

    def pause_writing(self) -> None:
        """See asyncio."""
        self._room.clear()

    def resume_writing(self) -> None:
        """See asyncio."""
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """See asyncio."""
        self.is_gone = True
        for timer in (self._timer, self._killer):
            if timer is not None:
                timer.cancel()
        self._raw.clear()
        self.frames, self._message, self._taken = [], None, 0
        self.core.shared.memory.give(self._owner, self._counted)
        self._counted = 0
        self._news.set()
        self._room.set()
        self.core.connections.discard(self)
        self.core.give_place(self._place)
        self._place = ""


class CoreSocket(Socket):
    """A WebSocket of our own server.

    Args:
        head: of the request that asked for it.
        connection: its connection.
    """

    def __init__(self, head: Head, connection: SocketConnection) -> None:
        super().__init__(head)
        self._control = connection

    async def accept(self) -> None:
        """See Socket."""
        if self._control.is_gone:
            raise self._left()
        self._control.accept()

    async def refuse(self, status: int, body: bytes, headers: Fields = ()) -> None:
        """See Socket."""
        fields = [(b"content-type", JSON), (b"content-length", b"%d" % len(body)), (b"connection", b"close"), *headers]
        self._control.refuse(head_of(status, fields) + body)
        self.gone = True

    def allow(self, limit: int, owner: str) -> None:
        """See Socket."""
        self._control.allow(limit, owner)

    async def receive(self) -> bytes:
        """See Socket."""
        if (message := await self._control.receive()) is None:
            raise self._left()
        return message

    async def send(self, data: bytes) -> None:
        """See Socket."""
        if not await self._control.send(data):
            raise self._left()

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """See Socket."""
        self._control.close(code, reason)

    def abort(self) -> None:
        """See Socket."""
        self.gone = True
        self._control.transport.abort()

    def _left(self) -> ClientGoneError:
        self.gone = True
        return ClientGoneError("the client has closed the connection")


def frame_size(data: bytearray) -> int:
    """The bytes of the frame that begins here; 0: its head is not whole yet (RFC 6455, section 5.2)."""
    if len(data) < 2:
        return 0
    length = data[1] & 0x7F
    extended = {126: 2, 127: 8}.get(length, 0)
    head = 2 + extended + (4 if data[1] & 0x80 else 0)
    if len(data) < head:
        return 0
    return head + (int.from_bytes(data[2 : 2 + extended], "big") if extended else length)


def open_socket(
    core: Core, transport: asyncio.Transport, asked: RequestHead, address: str, place: str, rest: bytes
) -> None:
    """A connection becomes a WebSocket.

    Args:
        core: the server.
        transport: the connection's.
        asked: the request for it.
        address: of the client.
        place: what the connection counts for, of `shared.places`.
        rest: what has come behind the request.
    """
    head = Head(asked.method, asked.path, asked.headers, asked.query, address)
    connection = SocketConnection(core, transport, place)
    core.connections.add(connection)
    transport.set_protocol(connection)
    if (refused := connection.shake_hands(head)) is not None:
        connection.refuse(refused)
        return
    core.start(_converse(core, CoreSocket(head, connection), connection))
    if rest:
        connection.data_received(rest)


async def _converse(core: Core, socket: CoreSocket, connection: SocketConnection) -> None:
    try:
        await core.app.converse(socket)
    finally:
        connection.over()
