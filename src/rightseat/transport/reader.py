"""A thread that empties file descriptors, so that a blocked event loop never blocks the process on the other side.

It reads large pieces and wakes the loop once a batch. It does not know what the bytes are. POSIX only: it needs poll().
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
from collections import deque
from collections.abc import Callable

READ_BYTES = 256 * 1024  # one read; a Linux pipe holds 64 KiB, or what was asked for
BATCH_BYTES = 1024 * 1024  # what one wake of the loop hands over at most, so that other tasks get their turn
# What is kept for a loop that does not read. Past it the thread stops reading and the pipe pushes back on the peer.
BUFFER_BYTES = 64 * 1024 * 1024


class Inbox:
    """Bytes on their way from the reading thread to the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, limit: int = BUFFER_BYTES) -> None:
        self._loop = loop
        self._limit = limit
        self._lock = threading.Lock()
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._room: Callable[[], None] | None = None  # tells the thread that there is room again

    # The thread's side.

    def put(self, chunk: bytes, on_room: Callable[[], None]) -> bool:
        """Hand bytes over. False: the inbox is full, wait for `on_room`, which the loop will call."""
        with self._lock:
            self._chunks.append(chunk)
            self._size += len(chunk)
            full = self._size >= self._limit
            self._room = on_room if full else None
            waiter, self._waiter = self._waiter, None
        self._wake(waiter)
        return not full

    def put_eof(self) -> None:
        """No more bytes will come. May be called twice."""
        with self._lock:
            self._ended = True
            waiter, self._waiter = self._waiter, None
        self._wake(waiter)

    def _wake(self, waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(resolve, waiter)

    # The loop's side.

    async def get(self) -> bytes:
        """A batch of what has come, or b"" at the end."""
        while True:
            with self._lock:
                if self._chunks:
                    batch, room = self._take()
                    break
                if self._ended:
                    return b""
                waiter = self._waiter = self._loop.create_future()
            await waiter
        if room is not None:
            room()
        return batch

    def _take(self) -> tuple[bytes, Callable[[], None] | None]:
        pieces = [self._chunks.popleft()]
        size = len(pieces[0])
        while self._chunks and size + len(self._chunks[0]) <= BATCH_BYTES:
            pieces.append(self._chunks.popleft())
            size += len(pieces[-1])
        self._size -= size
        room = None
        if self._room is not None and self._size <= self._limit // 2:
            room, self._room = self._room, None
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), room


def resolve(waiter: asyncio.Future[None]) -> None:
    """Wake the waiter, if there still is one."""
    if not waiter.done():
        waiter.set_result(None)


class ReaderThread:
    """One thread that reads any number of descriptors, each into its own sink.

    A sink takes bytes (b"" at the end of its descriptor) and a callback; it returns False to be left alone until it calls
    the callback.
    """

    def __init__(self, name: str) -> None:
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._sinks: dict[int, Callable[[bytes, Callable[[], None]], bool]] = {}
        self._resumed: deque[int] = deque()
        self._stopping = False
        self._closed = threading.Lock()  # held while the wake pipe may be used
        self._gone = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def add(self, fd: int, sink: Callable[[bytes, Callable[[], None]], bool]) -> None:
        """Read `fd` into `sink`. Only before `start`."""
        self._sinks[fd] = sink

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading, soon. What the descriptors still hold is left there; every sink is notified of the end."""
        self._stopping = True
        self._poke()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout)

    def _poke(self) -> None:
        with self._closed, contextlib.suppress(BlockingIOError):
            if not self._gone:
                os.write(self._wake_write, b".")

    def _resume(self, fd: int) -> None:
        self._resumed.append(fd)
        self._poke()

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._wake_read, select.POLLIN)
        for fd in self._sinks:
            poller.register(fd, select.POLLIN)
        try:
            while self._sinks and not self._stopping:
                for fd, _ in poller.poll():
                    if fd == self._wake_read:
                        os.read(fd, 4096)
                        while self._resumed:
                            poller.register(self._resumed.popleft(), select.POLLIN)
                    else:
                        self._read(fd, poller)
        finally:
            for fd in list(self._sinks):
                self._sinks.pop(fd)(b"", _nothing)
            with self._closed:
                self._gone = True
                os.close(self._wake_read)
                os.close(self._wake_write)

    def _read(self, fd: int, poller: select.poll) -> None:
        try:
            chunk = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # reset by the peer, or closed under us: the end all the same
            chunk = b""
        if not chunk:
            poller.unregister(fd)
            self._sinks.pop(fd)(b"", _nothing)
        elif not self._sinks[fd](chunk, lambda: self._resume(fd)):
            poller.unregister(fd)


def _nothing() -> None:
    return None
