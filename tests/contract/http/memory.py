"""A connection of the direct client without a socket: bytes in any split, at once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from tests.contract.http.response_cases import Outcome

from rightseat.errors import ConnectionLostError
from rightseat.transport.http.direct_connection import HttpConnection
from rightseat.transport.http.direct_pool import Pool
from rightseat.transport.http.direct_stream import READ_BYTES, DirectStream

_QUIET, _ = os.pipe()  # a descriptor on which nothing ever comes


class _Transport:
    """What a connection asks of the event loop's transport."""

    def __init__(self, fileno: int) -> None:
        self.aborted = self.paused = False
        self._fileno = fileno

    def get_extra_info(self, name: str) -> Any:
        return self if name == "socket" else None

    def fileno(self) -> int:
        return self._fileno

    def write(self, data: bytes) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class _Sink:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.said: list[Exception | None] = []

    def write(self, data: bytes) -> None:
        assert data
        assert not self.said
        self.pieces.append(data)

    def end(self, error: Exception | None) -> None:
        self.said.append(error)


def exchanged(pieces: Iterable[bytes], *, ends: bool = False, method: str = "GET") -> Outcome:
    """What comes of an answer in these pieces. Within a running event loop."""
    buffer = memoryview(bytearray(READ_BYTES))
    pool = Pool()
    connection = HttpConnection(buffer, pool.give, pool.lost)
    pool.add(connection, "there")
    transport = _Transport(_QUIET)
    connection.connection_made(transport)
    stream = DirectStream("http://x", "x", connection)
    connection.send(stream, method, b"", b"", 1e12, 1e9)
    sink = _Sink()
    begun = False

    def look() -> None:
        nonlocal begun
        if not begun and stream.head.done() and stream.head.exception() is None:
            begun = True
            stream.into(sink)

    for piece in pieces:
        for start in range(0, len(piece), READ_BYTES):
            if transport.aborted:
                break
            part = piece[start : start + READ_BYTES]
            buffer[: len(part)] = part
            connection.buffer_updated(len(part))
            look()
    reusable = pool.take("there") is connection
    if ends and not transport.aborted:
        connection.eof_received()
        look()
    result = _result(stream, sink, begun=begun, reusable=reusable)
    connection.abort()
    connection.connection_lost(None)
    return result


def _result(stream: DirectStream, sink: _Sink, *, begun: bool, reusable: bool) -> Outcome:
    if not begun:
        assert stream.head.done(), "the client still waits"
        assert isinstance(stream.head.exception(), ConnectionLostError)
        return Outcome(0, whole=False)
    assert len(sink.said) == 1, "the client still waits"
    error = sink.said[0]
    assert error is None or isinstance(error, ConnectionLostError)
    return Outcome(stream.status, b"".join(sink.pieces), error is None, reusable)
