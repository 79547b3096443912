"""A TCP connection to a server, on this machine or another one.

This module refuses to know what is said, and who started the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from rightseat.errors import ConnectError
from rightseat.transport.base import StreamEnd
from rightseat.transport.reader import Inbox, ReaderThread
from rightseat.transport.writer import DescriptorWriter

CONNECT_SECONDS = 10.0


class TcpStream:
    """A `ByteStream` over a connected socket. Made by `connect`."""

    def __init__(self, sock: socket.socket, name: str) -> None:
        loop = asyncio.get_running_loop()
        self._sock = sock
        self._name = name
        self._closed = False
        self._inbox = Inbox(loop)
        self._writer = DescriptorWriter(loop, sock.fileno())
        self._reader = ReaderThread(f"rightseat-read-{name}")
        self._reader.add(sock.fileno(), self._take)
        self._reader.start()

    @classmethod
    async def connect(cls, host: str, port: int, *, timeout: float = CONNECT_SECONDS) -> TcpStream:  # noqa: ASYNC109
        """Connect to the first address of `host` that answers.

        Raises:
            ConnectError: the name is unknown, or nobody listens there, or not within `timeout` seconds.
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

    async def read(self) -> bytes:
        """See ByteStream."""
        return await self._inbox.get()

    def write(self, data: bytes) -> None:
        """See ByteStream."""
        self._writer.write(data)

    @property
    def congested(self) -> bool:
        """See ByteStream."""
        return self._writer.congested

    async def drain(self) -> None:
        """See ByteStream."""
        await self._writer.drain()

    async def close(self) -> None:
        """See ByteStream."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._reader.stop()
        await asyncio.to_thread(self._reader.join, 1)
        self._sock.close()

    async def end(self) -> StreamEnd:
        """See ByteStream."""
        return StreamEnd(f"the connection to {self._name} was closed{'' if self._closed else ' by the server'}")

    def _take(self, chunk: bytes, on_room: Callable[[], None]) -> bool:
        if chunk:
            return self._inbox.put(chunk, on_room)
        self._inbox.put_eof()
        return True


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
