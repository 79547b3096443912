"""Our own HTTP server in random worlds: its real connections over a transport in memory, and clients that read their answers byte by byte.

Answers are pushed here: from an answer of our own client, through the pipeline, into the connection.
"""

import asyncio

from tests.gateway.world_asks import HttpAsk

from rightseat.gateway.http.departures import CHECK_SECONDS


class Pipe(asyncio.Transport):
    """The server's end of a connection in memory.

    Args:
        high: bytes that may wait for the client until the server is told to stop.
        departs_blindly: a client that leaves while nothing is read from it is noticed when the server looks, as with a real socket.

    Attributes:
        client: who speaks on it now: a WireAsk.
    """

    def __init__(self, high):
        super().__init__(extra={"peername": ("1.2.3.4", 5)})
        self._high = high
        self.client, self.protocol = None, None
        self._unsent, self._unread = bytearray(), b""
        self._stalled = self._full = self._paused = self._closing = self._eof = self._gone = self._lost = False

    def connect(self, protocol):
        self.protocol = protocol
        protocol.connection_made(self)

    @property
    def is_usable(self):
        """Another request may be sent."""
        return not (self._closing or self._eof or self._gone or self._lost or self._stalled or self._unsent)

    @property
    def has_unsent(self):
        return bool(self._unsent)

    # What the server calls.

    def write(self, data):
        assert not self._eof, "written after the end"
        if self._closing or self._lost:
            return
        if self.client is not None:
            self.client.was_written(bytes(data))
        if self._gone:
            self._lose_soon()
        elif self._stalled:
            self._unsent += data
            if len(self._unsent) > self._high and not self._full:
                self._full = True
                self.protocol.pause_writing()
        else:
            self._deliver(bytes(data))

    def writelines(self, pieces):
        for piece in pieces:
            self.write(piece)

    def get_write_buffer_size(self):
        return len(self._unsent)

    def is_closing(self):
        return self._closing or self._lost

    def pause_reading(self):
        assert not self._paused, "paused twice"
        self._paused = True

    def resume_reading(self):
        assert self._paused, "resumed twice"
        self._paused = False
        asyncio.get_running_loop().call_soon(self._read)

    def can_write_eof(self):
        return True

    def write_eof(self):
        self._eof = True
        self._note_end()
        if not self._unsent:
            self._end_soon()

    def close(self):
        self._closing = True
        self._note_end()
        if not self._unsent:
            self._lose_soon(politely=True)

    def abort(self):
        if self._lost:
            return
        if self.client is not None:
            self.client.was_given_up(self.has_unsent)
        self._closing = True
        self._note_end()
        self._unsent.clear()
        self._lose_soon()

    # What the client does.

    def send(self, data):
        self._unread += data
        self._read()

    def stall(self):
        self._stalled = True

    def read_on(self):
        self._stalled = False
        if self._unsent and not self._lost:
            data = bytes(self._unsent)
            self._unsent.clear()
            self._deliver(data)
            if self._full:
                self._full = False
                self.protocol.resume_writing()
        if self._closing:
            self._lose_soon(politely=True)
        elif self._eof:
            self._end_soon()

    def hang_up(self):
        """The client is gone."""
        self._gone = True
        self._unsent.clear()
        loop = asyncio.get_running_loop()
        loop.call_later(CHECK_SECONDS if self._paused else 0, self._lose, False)

    def sever(self):
        """The server's process has died."""
        self._lost = True
        if self.client is not None:
            self.client.connection_ended(politely=False)

    # How it goes.

    def _read(self):
        if self._gone and not self._paused:
            self._lose_soon()
            return
        while self._unread and not (self._paused or self._closing or self._lost):
            buffer = self.protocol.get_buffer(-1)
            some, self._unread = self._unread[: len(buffer)], self._unread[len(buffer) :]
            buffer[: len(some)] = some
            self.protocol.buffer_updated(len(some))

    def _deliver(self, data):
        if self.client is not None:
            self.client.hear(data)

    def _end_soon(self):
        """The server says no more: a client that has read that closes its side."""
        asyncio.get_running_loop().call_soon(self._lose, True)

    def _lose_soon(self, *, politely=False):
        asyncio.get_running_loop().call_soon(self._lose, politely)

    def _note_end(self):
        if self.client is not None and not self._lost:
            self.client.was_ended()

    def _lose(self, politely):
        if self._lost or (politely and self._unsent):
            return
        self._lost = True
        self.protocol.connection_lost(None)
        if self.client is not None:
            self.client.connection_ended(politely=politely)


class Reader:
    """An answer as it comes: a head, and a body by its length, in chunks, or to the end of the connection.

    Attributes:
        pieces: of the body: its chunks, where it has some.
        is_whole: the last byte is there.
    """

    def __init__(self):
        self._data, self.status, self.headers, self.pieces, self.is_whole = b"", None, {}, [], False
        self._left = 0

    def feed(self, data):
        self._data += data
        while not self.is_whole and self._step():
            pass
        assert not (self.is_whole and self._data), ("bytes behind the answer", self._data[:100])

    def ended(self):
        """A polite end of the connection."""
        self.is_whole = self.is_whole or (self.status is not None and self._left is None)

    @property
    def is_chunked(self):
        return "transfer-encoding" in self.headers

    @property
    def is_stream(self):
        return self.headers.get("content-type") == "text/event-stream"

    def _step(self):
        if self.status is None:
            return self._read_head()
        if self.is_chunked:
            return self._read_chunk()
        some = self._data if self._left is None else self._data[: self._left]
        self._data = self._data[len(some) :]
        self.pieces += [some] if some else []
        if self._left is not None:
            self._left -= len(some)
            self.is_whole = not self._left
        return False

    def _read_head(self):
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        self._data, self.status = rest, int(first.split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = self.headers.get("content-length")
        self._left = int(length) if length is not None else None
        self.is_whole = self._left == 0 or self.status == 204
        return True

    def _read_chunk(self):
        size, end, rest = self._data.partition(b"\r\n")
        if not end or len(rest) < int(size, 16) + 2:
            return False
        length = int(size, 16)
        assert rest[length : length + 2] == b"\r\n", rest[:100]
        self._data = rest[length + 2 :]
        self.pieces += [rest[:length]] if length else []
        self.is_whole = not length
        return True


class WireAsk(HttpAsk):
    """A request on a connection of our own server, new or used before."""

    def __init__(self, world, worker, key, path, *, is_honest=False):
        super().__init__(world, worker, key, path, is_honest=is_honest)
        self._version = world.chance.choice(["1.1", "1.1", "1.1", "1.0"])
        self._heard, self._written = Reader(), Reader()
        self._over, self._line, self._has_ended, self._lost = asyncio.Event(), None, False, False

    async def _serve(self, worker):
        if self.left_at is not None or self.is_severed:
            return
        self._line = line = worker.line(self.world.chance)
        line.client = self
        half = self.world.chance.randrange(len(self.data) + 1)
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"POST {self.path} HTTP/{self._version}\r\n{fields}content-length: {len(self.data)}\r\n\r\n"
        line.send(head.encode() + self.data[:half])
        if not await self._ends_within(self.body_in) and self.left_at is None:
            self.has_body = True
            line.send(self.data[half:])
        await self._over.wait()
        if not self.has_body and self.left_at is None:
            line.hang_up()
        elif line.is_usable and self.is_complete:
            line.client = None
            worker.idle.append(line)

    async def _ends_within(self, seconds):
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    def _leave(self):
        if self._line is not None:
            self._line.hang_up()  # it is over when the server has noticed

    def _stall(self):
        if self._line is not None:
            (self._line.stall if self.is_stalled else self._line.read_on)()

    def sever(self):
        super().sever()
        self._over.set()

    @property
    def is_unheard(self):
        """The answer had ended, for the server, when the client left."""
        return self._has_ended or self._line is None

    # What the connection tells.

    def was_written(self, data):
        if not self._lost:
            self._written.feed(data)
            self._has_ended = self._has_ended or self._written.is_whole

    def was_ended(self):
        self._has_ended = self._has_ended or not self._lost

    def was_given_up(self, has_unsent):
        """The server does not wait for the client any longer."""
        if has_unsent and not self._has_ended and self.left_at is None:
            self.left_at = asyncio.get_running_loop().time()
            self.note("given up by the server")

    def hear(self, data):
        if self.is_severed or self.left_at is not None:
            return
        self._heard.feed(data)
        self._note_answer()
        if self.is_complete:
            self._over.set()

    def connection_ended(self, *, politely):
        self._lost = True
        if politely:
            self._heard.ended()
        self._note_answer()
        self.is_aborted = not self.is_complete and not self.is_severed
        self._over.set()

    def _note_answer(self):
        heard = self._heard
        self.status, self.is_streaming, self.is_complete = heard.status, heard.is_stream, heard.is_whole
        self.pieces = heard.pieces if heard.is_chunked or not heard.is_stream else [b"".join(heard.pieces)]
