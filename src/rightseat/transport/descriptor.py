"""A stream over two file descriptors: a thread reads one, the loop writes the other. What stdio and TCP have in common.

It does not know what the descriptors are, and how they end: that is for the streams that are made of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rightseat.transport.reader import Inbox, ReaderThread
from rightseat.transport.writer import DescriptorWriter


class DescriptorStream:
    """The reading and writing half of a `ByteStream`.

    Args:
        read_fd: where the peer's bytes come from.
        write_fd: where ours go. May be the same.
        name: of the reading thread.
        extra: further descriptors to empty, each with its sink (see ReaderThread).
    """

    def __init__(
        self,
        read_fd: int,
        write_fd: int,
        name: str,
        extra: dict[int, Callable[[bytes, Callable[[], None]], bool]] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._inbox = Inbox(loop)
        self._writer = DescriptorWriter(loop, write_fd)
        self._reader = ReaderThread(name)
        self._reader.add(read_fd, self._take)
        for fd, sink in (extra or {}).items():
            self._reader.add(fd, sink)
        self._reader.start()

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

    async def _stop_reading(self) -> None:
        self._reader.stop()
        await asyncio.to_thread(self._reader.join, 1)

    def _take(self, chunk: bytes, on_room: Callable[[], None]) -> bool:
        if chunk:
            return self._inbox.put(chunk, on_room)
        self._inbox.put_eof()
        return True
