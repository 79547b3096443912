"""Memory that is free goes back to the system: else a process keeps for good what its worst minute took. For glibc; elsewhere nothing happens."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # glibc's malloc.h
_LOOK_SECONDS = 3.0
_GROWN = 32 * 1024 * 1024  # bytes above the least that the process ever had
_PAGE = os.sysconf("SC_PAGE_SIZE")


def give_memory_back() -> None:
    """Let large blocks go back when they are freed, and small ones every few seconds, if the process has grown. Needs a running event loop.

    See mallopt(3) and malloc_trim(3).
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, 256 * 1024)
        library.mallopt(_M_TRIM_THRESHOLD, 1024 * 1024)
        library.mallopt(_M_ARENA_MAX, 2)
        _Trimmer(library).look()


class _Trimmer:
    """Looks every few seconds whether there may be something to give back."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._loop = asyncio.get_running_loop()
        self._least = _resident()

    def look(self) -> None:
        """Give back, if the process is larger than it was. What is free is found in a millisecond or a few."""
        if not (now := _resident()):
            return
        if now > self._least + _GROWN:
            self._library.malloc_trim(0)
        self._least = min(self._least, now)
        self._loop.call_later(_LOOK_SECONDS, self.look)


def _resident() -> int:
    """Bytes of the process in memory; 0: the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
