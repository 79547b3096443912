"""An answer of the direct client: its body pulled by a reader or pushed into a sink, with a bounded number of bytes held in between.

    HEAD  --begin-->  OPEN  --over-->  ENDED
      |                 |                |
      +---- drop -------+----------------+--->  dropped: nothing is called any more, nothing is held

While nobody takes what comes, at most HIGH bytes and one read more are held, and the connection's reading rests. Does not know HTTP/1.1
and sockets: a `Flow` is told to pause, to resume and to abort.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from rightseat.transport.http.base import Sink, joined
from rightseat.transport.http.decoding import DecodeError, Decoder, Nothing
from rightseat.transport.http.failures import cut_off, lost_before
from rightseat.transport.http.heads import AnswerHead, Framing, Violation

HIGH = 32 * 1024  # bytes held, from which on reading rests; one read (READ_BYTES) may come on top
READ_BYTES = 32 * 1024  # at a time; nginx: 4 to 8 KiB times 8, hyper: 8 KiB to 400 KiB, aiohttp: 64 KiB


class Flow(Protocol):
    """What a stream asks of its connection."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read on."""

    def abort(self) -> None:
        """End the connection: the rest is not wanted. The stream is told nothing more."""


class DirectStream:
    """See HttpStream.

    Args:
        where: the address, for errors in the log.
        peer: what clients are told of it.
        flow: the connection, as long as the answer comes.

    Attributes:
        head: done when the head is there, with the error if there is none.
    """

    __slots__ = (
        "_decoder", "_ended", "_error", "_flow", "_held", "_on_over", "_paused", "_pieces", "_rests", "_sink", "_taken", "_waiter",
        "framed", "head", "headers", "peer", "status", "where",
    )  # fmt: skip

    def __init__(self, where: str, peer: str, flow: Flow) -> None:
        self.where = where
        self.peer = peer
        self.head: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.framed = False
        self._flow: Flow | None = flow
        self._on_over: Callable[[], None] | None = None
        self._pieces: list[bytes] = []
        self._held = 0  # bytes in them
        self._rests = False  # reading does, because so much is held
        self._paused = False  # by the sink
        self._taken = False
        self._sink: Sink | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: Exception | None = None
        self._decoder: Decoder | None = None

    @property
    def held(self) -> int:
        """Bytes that came and were not taken yet."""
        return self._held + (0 if self._decoder is None else self._decoder.held)

    def when_over(self, callback: Callable[[], None]) -> None:
        """Call once the connection is not needed any more, which may be now."""
        if self._flow is None:
            callback()
        else:
            self._on_over = callback

    # What the connection tells.

    def begin(self, head: AnswerHead) -> None:
        """The head is there. Raises Violation: it is not for us."""
        self.status, self.headers = head.status, head.headers
        self.framed = head.framing is not Framing.CLOSE
        coding = head.headers.get("content-encoding", "identity").lower()
        if head.status == 205:
            self._decoder = Nothing()
        elif coding not in {"identity", ""} and head.framing is not Framing.NONE:
            try:
                self._decoder = Decoder(coding)
            except DecodeError as e:
                raise Violation(str(e)) from None
            described = ("content-encoding", "content-length")  # the body as it came, not as it is read
            self.headers = {name: value for name, value in head.headers.items() if name not in described}
        if not self.head.done():
            self.head.set_result(None)

    def data(self, data: bytes) -> None:
        """Some of the body."""
        if self._sink is not None and not self._paused and not self._pieces and self._decoder is None:
            try:
                self._sink.write(data)
            except Exception as e:
                self._break(e)
            return
        self._pieces.append(data)
        self._held += len(data)
        if self._sink is not None and not self._paused:
            self._push()
        elif (waiter := self._waiter) is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        if self._held >= HIGH and not self._rests and self._flow is not None:
            self._rests = True
            self._flow.pause()

    def over(self, error: Exception | None) -> None:
        """Nothing more comes: the body is whole, or this is why not. The connection is not ours any more."""
        self._release()
        if not self.head.done():
            self.head.set_exception(error or lost_before(self.where, "no head"))
            return
        self._ended, self._error = True, self._error or error
        if self._sink is not None and not self._paused:
            self._push()
        self._wake()

    # What the reader asks.

    async def chunks(self) -> AsyncIterator[bytes]:
        """See HttpStream."""
        self._take_over()
        while True:
            if self._pieces or self._decoder is not None:
                try:
                    piece = self._piece()
                except DecodeError as e:
                    self._break(cut_off(self.where, e))
                    piece = b""
                if piece:
                    yield piece
                    continue
            if self._ended:
                if (error := self._last_word()) is not None:
                    raise error
                return
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    async def read(self) -> bytes:
        """See HttpStream."""
        return await joined(self.chunks(), self.where)

    def into(self, sink: Sink) -> None:
        """See HttpStream."""
        self._take_over()
        self._sink = sink
        self._push()

    def pause(self) -> None:
        """See HttpStream."""
        self._paused = True
        if self._flow is not None and not self._rests:
            self._flow.pause()

    def resume(self) -> None:
        """See HttpStream."""
        if not self._paused:
            return
        self._paused = False
        if self._sink is not None and (self._pieces or self._ended or self._decoder is not None):
            self._push()
        if not self._paused and not self._rests and self._flow is not None:
            self._flow.resume()

    def untaken(self) -> bytes:
        """See HttpStream."""
        try:
            piece = self._piece()
            return piece if self._decoder is None else piece + self._decoder.take(READ_BYTES)
        except DecodeError:
            return b""

    async def aclose(self) -> None:
        """See HttpStream."""
        self.drop()

    def drop(self) -> None:
        """The rest is not wanted: nothing is told any more. A connection on which some of it is to come ends."""
        self._sink = None
        self._pieces.clear()
        self._held = 0
        self._decoder = None
        if (flow := self._flow) is not None:
            self._release()
            flow.abort()
        if not self._ended:
            self._ended, self._error = True, cut_off(self.where, "it was closed")
        if not self.head.done():
            self.head.cancel()
        self._wake()

    def _take_over(self) -> None:
        if self._taken:
            raise RuntimeError("an answer is read once, by chunks(), read() or into()")
        self._taken = True

    def _push(self) -> None:
        """Write what is held, as long as the sink takes it; then the end, if it has come."""
        try:
            while self._sink is not None and not self._paused and (piece := self._piece()):
                self._sink.write(piece)
        except DecodeError as e:
            self._break(cut_off(self.where, e))
        except Exception as e:
            self._break(e)
        if self._ended and not self._paused and (sink := self._sink) is not None:
            self._sink = None
            sink.end(self._last_word())

    def _piece(self) -> bytes:
        """What is held, decoded; of a compressed body no more at a time than what is read at a time. Raises DecodeError."""
        if self._decoder is None:
            pieces = self._pieces
            piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        else:
            self._decoder.add(b"".join(self._pieces))
            piece = self._decoder.take(READ_BYTES)
        if self._pieces:
            self._pieces.clear()
            self._held = 0
        if self._rests and self._may_read_on(piece):
            self._rests = False
            if self._flow is not None and not self._paused:
                self._flow.resume()
        return piece

    def _may_read_on(self, piece: bytes) -> bool:
        """Nothing is held: what a decoder holds counts."""
        return self._decoder is None or not piece

    def _last_word(self) -> Exception | None:
        if self._error is None and self._decoder is not None and not self._decoder.complete:
            self._error = cut_off(self.where, "the compressed body has no end")
        return self._error

    def _break(self, error: Exception) -> None:
        """The body cannot be taken any further."""
        self._pieces.clear()
        self._held = 0
        self._decoder = None
        self._error = error
        if (flow := self._flow) is not None:
            self._release()
            flow.abort()
        self._ended = True
        if self._sink is not None and not self._paused:
            sink, self._sink = self._sink, None
            sink.end(error)
        self._wake()

    def _release(self) -> None:
        self._flow = None
        if (on_over := self._on_over) is not None:
            self._on_over = None
            on_over()

    def _wake(self) -> None:
        if (waiter := self._waiter) is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
