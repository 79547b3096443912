"""A TCP connection to a server, on this machine or another one.

This module does not know what is said, and who started the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from rightseat.errors import ConnectError
from rightseat.transport.base import StreamEnd
from rightseat.transport.descriptor import DescriptorStream

CONNECT_SECONDS = 10.0


class TcpStream(DescriptorStream):
    """A `ByteStream` over a connected socket. Made by `connect`."""

    def __init__(self, sock: socket.socket, name: str) -> None:
        super().__init__(sock.fileno(), sock.fileno(), f"rightseat-read-{name}")
        self._sock = sock
        self._name = name
        self._closed = False

    @classmethod
    async def connect(cls, host: str, port: int, *, timeout: float = CONNECT_SECONDS) -> TcpStream:  # noqa: ASYNC109
        """Connect to the first address of `host` that answers.

        Raises:
            ConnectError: the name is unknown, or nothing listens there, or not within `timeout` seconds.
        """
        loop = asyncio.get_running_loop()
        name = f"{host}:{port}"
        try:
            async with asyncio.timeout(timeout):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                return cls(await _first_that_answers(loop, found), name)
        except TimeoutError as e:
            raise ConnectError(f"{name} did not answer within {timeout:g} s") from e
        except OSError as e:
            raise ConnectError(
                f"cannot connect to {name}: {e.strerror or e}. Is the CLI server running there (copilot --headless --port {port})?"
            ) from e

    async def close(self) -> None:
        """See ByteStream."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        await self._stop_reading()
        self._sock.close()

    async def end(self) -> StreamEnd:
        """See ByteStream."""
        return StreamEnd(f"the connection to {self._name} was closed{'' if self._closed else ' by the server'}")


async def _first_that_answers(loop: asyncio.AbstractEventLoop, found: list[tuple]) -> socket.socket:  # type: ignore[type-arg]
    last: OSError = OSError("no address")
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
        except OSError as e:
            sock.close()
            last = e
        except BaseException:
            sock.close()
            raise
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    raise last
