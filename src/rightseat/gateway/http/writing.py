"""Writing an answer to a connection: pieces of a stream pass without a copy, and a client that reads slowly holds one of them, not two.

Who writes waits until the client has taken most of what was written. This module does not know what that is.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_LARGE = 16 * 1024  # bytes: a piece that costs more to copy than to write in three parts


class Writer:
    """ASGI's `send` for one request of uvicorn's.

    Args:
        cycle: the request and its answer.
        transport: of its connection.
    """

    def __init__(self, cycle: RequestResponseCycle, transport: Any) -> None:
        self._cycle = cycle
        self._transport = transport

    async def __call__(self, message: Any) -> None:
        """See ASGI."""
        cycle = self._cycle
        if not message.get("more_body"):  # the head, or the last piece
            await cycle.send(message)
            return
        flow, body = cycle.flow, message["body"]
        if flow.write_paused:
            await flow.drain()
        if not (cycle.response_started and cycle.chunked_encoding) or cycle.response_complete:
            await cycle.send(message)
        elif body and not cycle.disconnected:
            self._write(body)
        if flow.write_paused and not cycle.disconnected:
            await flow.drain()

    def _write(self, body: bytes) -> None:
        if len(body) < _LARGE:
            self._transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        else:
            self._transport.writelines((b"%x\r\n" % len(body), body, b"\r\n"))
