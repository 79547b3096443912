"""Lines on their way to a descriptor, written by a thread: who logs never waits for who reads.

What waits to be written is bounded in bytes. When it is full, lines are dropped and counted, until half of it is free again; then one line
says how many are missing at that place. This module knows nothing of logging, and never looks at what a line says.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence

LIMIT = 4 * 1024 * 1024  # bytes that wait


class LineWriter:
    """Writes to a descriptor, in order.

    Args:
        descriptor: where to; it stays open.
        notice: makes the line that says how many lines are missing, without its end.
        limit: bytes that may wait to be written.

    Attributes:
        dropped: lines that were lost so far, because there was no room or they could not be written.
    """

    def __init__(self, descriptor: int, notice: Callable[[int], str], limit: int = LIMIT) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._notice = notice
        self._limit = limit
        self._waiting: deque[tuple[bytes, int]] = deque()  # data, and how many missing lines it tells of
        self._size = 0  # bytes that wait or are being written
        self._missing = 0  # lines that were dropped and not told of
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, lines: Sequence[str]) -> None:
        """Lines without their ends. Never blocks, never raises."""
        data = "".join([f"{line}\n" for line in lines]).encode("utf-8", "backslashreplace")
        with self._changed:
            room = self._room()
            if len(data) <= room:
                self._add(data)
            else:
                self._add_some(lines, room)
            self._changed.notify()
        self._start()

    def drain(self, seconds: float) -> bool:
        """Wait until all is written, no longer than so many seconds. False: it is not."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._size, seconds)

    def _room(self) -> int:
        """Bytes that fit now. After a loss nothing fits until half is free, so that there is one gap and not many."""
        if self._missing and self._size > self._limit // 2:
            return 0
        return self._limit - self._size

    def _add(self, data: bytes) -> None:
        self._tell_missing()
        self._wait(data, 0)

    def _add_some(self, lines: Sequence[str], room: int) -> None:
        """The first lines that fit; the others are dropped."""
        for i, line in enumerate(lines):
            data = f"{line}\n".encode("utf-8", "backslashreplace")
            room -= len(data)
            if room < 0:
                self._lose(len(lines) - i)
                return
            self._add(data)

    def _lose(self, lines: int) -> None:
        self.dropped += lines
        self._missing += lines

    def _tell_missing(self) -> None:
        if self._missing:
            data = f"{self._notice(self._missing)}\n".encode("utf-8", "backslashreplace")
            self._wait(data, self._missing)
            self._missing = 0

    def _wait(self, data: bytes, missing: int) -> None:
        self._waiting.append((data, missing))
        self._size += len(data)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="rightseat-log", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is ending: what waits is lost
                self._thread = None

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                data, missing = self._waiting.popleft()
            lost = self._write(data)
            with self._changed:
                self._size -= len(data)
                if lost and missing:
                    self._missing += missing  # it is reported with the next loss
                elif lost:
                    self._lose(lost)
                elif not self._waiting:
                    self._tell_missing()
                self._changed.notify_all()

    def _write(self, data: bytes) -> int:
        """Write all of it, however long that takes. How many lines could not be written."""
        start = 0
        while start < len(data):
            # Several processes may share a pipe: it takes so much at once, or nothing, and never mixes it with another's.
            end = data.rfind(b"\n", start, start + select.PIPE_BUF) + 1 or len(data)
            try:
                start += os.write(self._descriptor, data[start:end])
            except BlockingIOError:  # another process has made it non-blocking
                _wait_writable(self._descriptor)
            except OSError:
                return data.count(b"\n", start)
        return 0


def _wait_writable(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()
