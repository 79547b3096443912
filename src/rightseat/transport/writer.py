"""Writing to a descriptor from the event loop, with back-pressure and without a thread.

What is written in one turn of the loop leaves in one system call. It does not know what the bytes are.
"""

from __future__ import annotations

import asyncio
import os

HIGH_WATER_BYTES = 1024 * 1024  # past this, writers are asked to wait
LOW_WATER_BYTES = 256 * 1024  # below this, they go on


class DescriptorWriter:
    """Queued writes to a non-blocking descriptor. The owner closes the descriptor after `close`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        os.set_blocking(fd, False)
        self._loop = loop
        self._fd = fd
        self._head = memoryview(b"")  # being written
        self._queue: list[bytes] = []  # to be written after it
        self._size = 0
        self._scheduled = False
        self._watching = False
        self._broken = False
        self._drainers: list[asyncio.Future[None]] = []

    def write(self, data: bytes) -> None:
        """Queue bytes. After a failure they are dropped: the reading side shows the end."""
        if self._broken or not data:
            return
        self._queue.append(data)
        self._size += len(data)
        if not self._scheduled and not self._watching:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    @property
    def congested(self) -> bool:
        """More than HIGH_WATER_BYTES is queued."""
        return self._size > HIGH_WATER_BYTES

    async def drain(self) -> None:
        """Return when less than LOW_WATER_BYTES is queued, or nothing can be written any more."""
        if not self.congested:
            return
        waiter = self._loop.create_future()
        self._drainers.append(waiter)
        await waiter

    def close(self) -> None:
        """Write no more. What the descriptor takes at once still goes out."""
        if not self._broken:
            self._flush()
        self._give_up()

    def _flush(self) -> None:
        self._scheduled = False
        if not self._head:  # join once, then only move along: a large write is not copied again for each piece
            self._head, self._queue = memoryview(b"".join(self._queue)), []
        if not self._head:
            return
        try:
            written = os.write(self._fd, self._head)
        except BlockingIOError:
            written = 0
        except OSError:  # EPIPE, ECONNRESET: the peer is gone
            self._give_up()
            return
        self._head = self._head[written:]
        self._size -= written
        if self._size and not self._watching:
            self._watching = True
            self._loop.add_writer(self._fd, self._flush)
        elif not self._size and self._watching:
            self._watching = False
            self._loop.remove_writer(self._fd)
        if self._size < LOW_WATER_BYTES:
            self._release()

    def _give_up(self) -> None:
        self._broken = True
        if self._watching:
            self._watching = False
            self._loop.remove_writer(self._fd)
        self._head, self._queue, self._size = memoryview(b""), [], 0
        self._release()

    def _release(self) -> None:
        waiters, self._drainers = self._drainers, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
