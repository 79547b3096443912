"""One HTTP/1.1 connection of the direct client: a state machine of two halves. Does not know who asks, and how bytes become an answer.

    writing   IDLE --send--> SENT --all is out--> DONE
    reading   IDLE --send--> HEAD --> LENGTH | CHUNKED | CLOSE --> DONE       (HEAD: 1xx loops; an answer without a body is DONE at once)

    both DONE, and both sides keep the connection, and nothing came behind the answer   -->  IDLE, IDLE: the pool has it
    everything else, from everywhere                                                    -->  SHUT, SHUT

A body is whole by its length, by its last chunk, or by a clean end of the connection where framing allows it (over TLS: close_notify); else
it was cut. Any doubt closes: a byte too many, before or behind an answer, a field too many, an end too early. A read is bounded by the
buffer, heads and chunks by the parser, what waits for a reader by the stream.
"""

from __future__ import annotations

import asyncio
import enum
import select
import ssl
from collections.abc import Callable
from typing import Any

from rightseat.transport.http.direct_parser import AnswerParser
from rightseat.transport.http.direct_stream import DirectStream
from rightseat.transport.http.failures import cut_off, lost_before, no_answer_in_time, silent
from rightseat.transport.http.heads import AnswerHead, Framing, Violation

_JOINED_BYTES = 64 * 1024  # a smaller body is written together with its head


class Reading(enum.IntEnum):
    """The half that reads."""

    IDLE = 0
    HEAD = 1
    LENGTH = 2
    CHUNKED = 3
    CLOSE = 4
    DONE = 5
    SHUT = 6


class Writing(enum.IntEnum):
    """The half that writes."""

    IDLE = 0
    SENT = 1
    DONE = 2
    SHUT = 3


_BODY = {Framing.LENGTH: Reading.LENGTH, Framing.CHUNKED: Reading.CHUNKED, Framing.CLOSE: Reading.CLOSE}
_MOVES: tuple[frozenset[Reading], ...] = (
    frozenset({Reading.HEAD, Reading.SHUT}),
    frozenset({Reading.LENGTH, Reading.CHUNKED, Reading.CLOSE, Reading.DONE, Reading.SHUT}),
    frozenset({Reading.DONE, Reading.SHUT}),
    frozenset({Reading.DONE, Reading.SHUT}),
    frozenset({Reading.DONE, Reading.SHUT}),
    frozenset({Reading.IDLE, Reading.SHUT}),
    frozenset({Reading.SHUT}),
)


class HttpConnection(asyncio.BufferedProtocol):
    """A connection. One request at a time.

    Args:
        buffer: what is read into, by all connections of a loop one after another.
        on_idle: called when an answer is whole and the connection can take another request.
        on_lost: called once, when it is closed.

    Attributes:
        count: requests that were sent.
        idle: seconds that the server said it waits for another request; None: it did not say.
    """

    __slots__ = (
        "_buffer", "_due", "_heard_at", "_keeps", "_left", "_loop", "_on_idle", "_on_lost", "_parser", "_paused", "_poll", "_silence",
        "_stream", "_timer", "_timer_at", "_transport", "count", "idle", "reading", "writing",
    )  # fmt: skip

    def __init__(
        self, buffer: memoryview, on_idle: Callable[[HttpConnection], None], on_lost: Callable[[HttpConnection], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = buffer
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._transport: Any = None
        self._poll: Any = None
        self._stream: DirectStream | None = None
        self._parser: AnswerParser | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._paused = False
        self.reading = Reading.IDLE
        self.writing = Writing.IDLE
        self.count = 0
        self.idle: float | None = None
        self._keeps = False
        self._left = 0
        self._due = self._silence = self._heard_at = 0.0

    # What the pool and a stream ask.

    @property
    def heard(self) -> bool:
        """Something has come of the answer to the request that was sent last."""
        return self._heard_at > 0.0

    def send(self, stream: DirectStream, method: str, head: bytes, body: bytes, due: float, silence: float) -> None:
        """Send a request, whole. `due`: when the head of its answer must be there, by the loop's time."""
        self._move(Reading.HEAD)
        self.writing = Writing.SENT
        self._stream, self._due, self._silence = stream, due, silence
        self._parser = AnswerParser(method)
        self._heard_at = 0.0
        self.count += 1
        self._watch(due)
        if len(body) <= _JOINED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    def pause(self) -> None:
        """See Flow."""
        if not self._paused and self.reading is not Reading.SHUT:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """See Flow. The time in which we did not listen is no silence of the server's."""
        if self._paused and self.reading is not Reading.SHUT:
            self._paused = False
            self._heard_at = self._loop.time()
            self._transport.resume_reading()
            self._watch(self._heard_at + self._silence)

    def abort(self) -> None:
        """See Flow. Also for a connection that nobody uses."""
        self._stream = None
        self._shut()

    @property
    def usable(self) -> bool:
        """It is idle, and the server has neither closed it nor sent anything, as far as this machine knows by now."""
        idle = self.reading is Reading.IDLE and not self._transport.is_closing()
        return idle and not self._poll.poll(0)

    def end(self) -> None:
        """Close it. Whoever uses it is told."""
        self._fail_lost("the client is closed")

    @property
    def tls(self) -> ssl.SSLObject | None:
        """What is known of TLS, if it is spoken."""
        tls: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        return tls

    # What the event loop tells.

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        self._transport = transport
        if self.reading is Reading.SHUT:  # while it was opened
            transport.abort()
            return
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """See asyncio."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Some bytes have come."""
        self._heard_at = self._loop.time()
        reading = self.reading
        if reading is Reading.CHUNKED:
            self._read_chunks(self._buffer[:nbytes])
        elif reading is Reading.HEAD:
            self._read_head(bytes(self._buffer[:nbytes]))
        elif reading is Reading.LENGTH or reading is Reading.CLOSE:
            self._read_plain(bytes(self._buffer[:nbytes]))
        else:
            self.abort()  # nobody asked

    def eof_received(self) -> bool:
        """The server has closed its side, cleanly."""
        if self.reading is Reading.CLOSE and self._said_goodbye():
            self._finish(junk=True)
        else:
            self._fail_lost("the server closed the connection")
        return False

    def _said_goodbye(self) -> bool:
        """Nobody on the way has cut it: over TLS the end is told (close_notify), and asyncio calls us even where it is not."""
        try:
            return self.tls is None or not self.tls.read(1)
        except ssl.SSLError:
            return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self._fail_lost(exc or "the connection was closed")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._on_lost(self)

    # Reading.

    def _read_head(self, data: bytes) -> None:
        """Heads, up to that of the answer; what is behind it is read as it says."""
        parser, stream = self._parser, self._stream
        assert parser is not None
        assert stream is not None
        try:
            taken = parser.head(data)
            if parser.answer is None:
                return
            stream.begin(parser.answer)
        except Violation as e:
            self._violated(str(e))
            return
        self._accept(parser.answer, data[taken:])

    def _accept(self, head: AnswerHead, rest: bytes) -> None:
        self._keeps = head.keeps
        self.idle = head.idle
        if head.framing is Framing.NONE or (head.framing is Framing.LENGTH and head.length == 0):
            self._finish(junk=bool(rest))
            return
        self._move(_BODY[head.framing])
        self._left = head.length
        self._watch(self._heard_at + self._silence)
        if rest and head.framing is Framing.CHUNKED:
            self._read_chunks(rest)
        elif rest:
            self._read_plain(rest)

    def _read_plain(self, data: bytes) -> None:
        """A body that is counted, or that ends with the connection."""
        assert self._stream is not None
        if self.reading is Reading.CLOSE or len(data) < self._left:
            self._left -= len(data)
            self._stream.data(data)
            return
        junk = len(data) > self._left
        self._stream.data(data[: self._left] if junk else data)
        self._finish(junk=junk)

    def _read_chunks(self, data: bytes | memoryview) -> None:
        """A body in chunks. `data` is given up when this returns."""
        parser, stream = self._parser, self._stream
        assert parser is not None
        assert stream is not None
        if body := parser.chunks(data):
            stream.data(body)
            if self._stream is not stream:
                return  # whoever got it wants no more
        if parser.complete:
            self._finish(junk=parser.junk)
        elif parser.broken:
            self._violated(parser.broken)

    # Ends.

    def _finish(self, *, junk: bool) -> None:
        """The answer is whole. Both halves are asked whether the connection lives on; this is the only way to IDLE."""
        stream = self._stream
        if stream is None:  # it was dropped by whoever got the last bytes
            return
        self._move(Reading.DONE)
        if self._transport.get_write_buffer_size() == 0:
            self.writing = Writing.DONE
        self._stream = self._parser = None
        if self.writing is Writing.DONE and self._keeps and not junk and not self._transport.is_closing():
            self._move(Reading.IDLE)
            self.writing = Writing.IDLE
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
            self._on_idle(self)
        else:
            self._shut()
        stream.over(None)

    def _violated(self, rule: str) -> None:
        stream = self._stream
        if stream is not None:
            cause = f"it breaks HTTP: {rule}"
            self._fail(cut_off(stream.where, cause) if stream.head.done() else lost_before(stream.where, cause))

    def _fail_lost(self, cause: object) -> None:
        stream = self._stream
        if stream is None:
            self._shut()
        else:
            began = stream.head.done()
            self._fail(cut_off(stream.where, cause) if began else lost_before(stream.where, cause))

    def _fail(self, error: Exception) -> None:
        stream, self._stream = self._stream, None
        self._shut()
        if stream is not None:
            stream.over(error)

    def _shut(self) -> None:
        if self.reading is not Reading.SHUT:
            self._move(Reading.SHUT)
            self.writing = Writing.SHUT
            self._parser = None
            if self._transport is not None:
                self._transport.abort()

    def _move(self, to: Reading) -> None:
        """The only writer of the reading half."""
        if to not in _MOVES[self.reading]:
            raise AssertionError(f"{self.reading.name} does not become {to.name}")
        self.reading = to

    # Time: one timer a connection, which looks when it fires, so that a chunk costs none.

    def _watch(self, at: float) -> None:
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        stream = self._stream
        if stream is None or self._paused:
            return
        at = self._due if self.reading is Reading.HEAD else self._heard_at + self._silence
        if self._loop.time() < at:
            self._watch(at)
        elif self.reading is Reading.HEAD:
            self._fail(no_answer_in_time(stream.where, stream.peer))
        else:
            self._fail(silent(stream.where, stream.peer))
