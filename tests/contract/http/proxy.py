"""A proxy for tests: CONNECT, and requests in absolute form, which it answers itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any


class Proxy:
    """Attributes: `url`; `heads`: what it was asked; `answer`: what it says to CONNECT, None: it opens the tunnel."""

    def __init__(self) -> None:
        self.url = ""
        self.heads: list[bytes] = []
        self.answer: bytes | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if self.answer is not None:
                writer.write(self.answer)
                await reader.read(1)
            elif head.startswith(b"CONNECT "):
                await self._tunnel(head, reader, writer)
            else:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nproxy")
                await reader.read(1)
        writer.close()

    async def _tunnel(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = int(head.split(b" ")[1].rpartition(b":")[2])
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        self._writers.append(outer)
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: a proxy\r\n\r\n")
        await asyncio.gather(_pipe(reader, outer), _pipe(inner, writer))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def proxying(*, tls: Any = None) -> AsyncIterator[Proxy]:
    """A proxy on loopback."""
    proxy = Proxy()
    async with await asyncio.start_server(proxy, "127.0.0.1", 0, ssl=tls) as listening:
        port = listening.sockets[0].getsockname()[1]
        proxy.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        try:
            yield proxy
        finally:
            await proxy.stop()
