"""A connection without a network: our server's own connection on a transport in memory, and an application that says what it saw."""

import asyncio

from rightseat.clock import LOOP_CLOCK
from rightseat.errors import RightseatError
from rightseat.gateway.http.core.base import Core
from rightseat.gateway.http.core.connection import ServerConnection
from rightseat.gateway.http.held import BodyLimits
from rightseat.gateway.http.limits import MemoryBudget
from rightseat.gateway.http.live import Live
from rightseat.gateway.http.server_options import ServerOptions, Shared
from rightseat.wire.errors import status_of

MIB = 1024 * 1024
LIMIT = 10_000_000


class Saying:
    """An application. The path of a request says how it is answered.

    Attributes:
        seen: requests whose bodies were read: method, path, query, body, fields.
    """

    clock = LOOP_CLOCK

    def __init__(self):
        self.seen = []
        self.gone = self.done = 0
        self.refusals = []
        self.errors = []
        self.bodies = MemoryBudget(64 * MIB)
        self.body_limits = BodyLimits(self.bodies, LIMIT, 30.0)

    def request_id(self, given):
        return given or "request-1"

    def refused(self, head, error):
        self.refusals.append((head.method, head.path, error.code))
        return b"{}", []

    async def converse(self, socket):
        await socket.accept()
        try:
            while True:
                await socket.send(b"heard " + await socket.receive())
        except RightseatError:
            pass

    async def serve(self, exchange):
        try:
            await exchange.run(lambda: self._answer(exchange))
            self.done += exchange.complete
        except RightseatError as e:
            if exchange.gone:
                self.gone += 1
            elif exchange.status is None:
                await exchange.respond(status_of(e), b"{}")
            else:
                await exchange.fail(b"data: failed\n\n" if exchange.streaming else b"")

    async def _answer(self, exchange):
        head = exchange.head
        if head.path == "/early":
            await exchange.respond(401, b"{}")
            return
        body = await exchange.body()
        self.seen.append((head.method, head.path, head.query, body, dict(head.headers)))
        if head.path.startswith("/fail"):
            if head.path == "/fail-late":
                async with exchange.stream([]) as write:
                    await write(b"data: 1\n\n")
                    raise RightseatError("it failed")
            raise ZeroDivisionError
        if head.path == "/forever":
            await asyncio.Event().wait()
        if head.path == "/stream":
            async with exchange.stream([]) as write:
                await write(b"data: 1\n\n")
                await write(b"data: 2\n\n")
            return
        if head.path == "/pushed":
            async with exchange.stream([]):
                exchange.sink.write(b"data: 1\n\n")
                exchange.sink.write(b"data: 2\n\n")
            return
        if head.path == "/large":
            await exchange.respond(200, b"x" * int(head.query))
            return
        if head.path == "/field":
            from urllib.parse import unquote_to_bytes

            await exchange.respond(200, b"{}", [(b"x-field", unquote_to_bytes(head.query))])
            return
        await exchange.respond(204 if head.path == "/204" else 200, b"" if head.path == "/204" else b"{}")


class MemoryTransport(asyncio.Transport):
    """A transport whose other end is the test.

    Attributes:
        said: what the server has written.
        writes: how often.
        is_open: nobody has closed it.
    """

    def __init__(self, protocol, limit=64 * 1024):
        super().__init__({"peername": ("127.0.0.1", 1)})
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._waiting = bytearray()
        self._paused = False
        self._limit, self._unread, self._full, self.reads = limit, 0, False, True
        self.said = bytearray()
        self.writes = 0
        self.is_open, self.ended, self._closing = True, False, False
        protocol.connection_made(self)

    # The client's side.

    def send(self, data):
        self._waiting += data
        self._deliver()

    def leave(self):
        """The client closes."""
        self._protocol.eof_received()
        self.abort()

    def take(self, size=None):
        """The client reads what was written, or some of it."""
        self._unread = 0 if size is None else max(0, self._unread - size)
        if self._full and self._unread <= self._limit // 4:
            self._full = False
            self._protocol.resume_writing()
        if self._closing and not self._unread:
            self.abort()

    def _deliver(self):
        while self._waiting and not self._paused and self.is_open:
            if isinstance(self._protocol, asyncio.BufferedProtocol):
                buffer = self._protocol.get_buffer(-1)
                part = bytes(self._waiting[: len(buffer)])
                buffer[: len(part)] = part
                del self._waiting[: len(part)]
                self._protocol.buffer_updated(len(part))
            else:
                data = bytes(self._waiting)
                self._waiting.clear()
                self._protocol.data_received(data)

    # The server's.

    def write(self, data):
        if not self.is_open or self.ended:
            return
        self.said += data
        self.writes += 1
        self._unread += len(data)
        if not self.reads and not self._full and self._unread > self._limit:
            self._full = True
            self._protocol.pause_writing()

    def writelines(self, pieces):
        self.write(b"".join(pieces))

    def get_write_buffer_size(self):
        return 0 if self.reads else self._unread

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.ended = True

    def close(self):
        self._closing = self.ended = True
        if not self.get_write_buffer_size():
            self.abort()

    def abort(self):
        if self.is_open:
            self.is_open, self.ended = False, True
            self._loop.call_soon(self._protocol.connection_lost, None)

    def is_closing(self):
        return self._closing or not self.is_open

    def pause_reading(self):
        self._paused = True

    def resume_reading(self):
        self._paused = False
        self._loop.call_soon(self._deliver)

    def set_protocol(self, protocol):
        self._protocol = protocol

    def get_protocol(self):
        return self._protocol


class Wired:
    """A server of our own in memory."""

    def __init__(self, app=None, **options):
        self.app = app or Saying()
        self.memory = MemoryBudget(8 * MIB)
        self.core = Core(self.app, Shared(ServerOptions(**options), Live(), self.memory))

    def connect(self, **options):
        return MemoryTransport(ServerConnection(self.core), **options)


def verdict(said, ended, methods=()):
    """What came back, as the cases write it."""
    statuses, at = [], 0
    methods = list(methods)
    while at < len(said):
        end = said.find(b"\r\n\r\n", at)
        if end < 0:
            return " ".join([*statuses, "torn"])
        head = bytes(said[at:end]).lower()
        status = head[9:12].decode()
        at = end + 4
        if status in {"100", "101"}:
            statuses.append(status)
            continue
        method = methods.pop(0) if methods else b"GET"
        if method == b"HEAD":
            statuses.append(f"{status}-")
            continue
        statuses.append(status)
        if b"content-length: " in head:
            at += int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        elif b"transfer-encoding: chunked" in head:
            end = said.find(b"0\r\n\r\n", at)
            if end < 0:
                return "cut" if ended else "open"
            at = end + 5
        elif status not in ("204", "304"):
            at = len(said)
    return " ".join(statuses) + ("x" if ended else "")


def methods_of(data):
    return [line.split(b" ")[0] for line in data.split(b"\r\n") if line.endswith(b"HTTP/1.1")]
