"""The twin: two ends of a stream in one process. It proves the seam, and makes tests and benchmarks exact."""

from __future__ import annotations

import asyncio

from rightseat.transport.base import StreamEnd
from rightseat.transport.writer import HIGH_WATER_BYTES, LOW_WATER_BYTES


class MemoryStream:
    """A `ByteStream` whose peer is another MemoryStream. Made in pairs by `pair`."""

    def __init__(self) -> None:
        self._other: MemoryStream = self
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = False
        self._end = StreamEnd("the other end was closed")
        self._readable = asyncio.Event()
        self._short = asyncio.Event()
        self._short.set()

    @classmethod
    def pair(cls) -> tuple[MemoryStream, MemoryStream]:
        """Two connected ends."""
        one, two = cls(), cls()
        one._other, two._other = two, one
        return one, two

    async def read(self) -> bytes:
        """See ByteStream."""
        await self._readable.wait()
        data, self._chunks, self._size = b"".join(self._chunks), [], 0
        self._short.set()
        if not self._ended:
            self._readable.clear()
        return data

    def write(self, data: bytes) -> None:
        """See ByteStream."""
        other = self._other
        if other._ended or not data:
            return
        other._chunks.append(data)
        other._size += len(data)
        other._readable.set()
        if other._size > HIGH_WATER_BYTES:
            other._short.clear()

    @property
    def congested(self) -> bool:
        """See ByteStream."""
        return not self._other._ended and self._other._size > LOW_WATER_BYTES and not self._other._short.is_set()

    async def drain(self) -> None:
        """See ByteStream."""
        if self.congested:
            await self._other._short.wait()

    async def close(self, reason: str | None = None, *, exit_status: int | None = None, stderr_tail: str = "") -> None:
        """See ByteStream. The keywords say how the end shall look from the other side, for tests of exactly that."""
        if reason is not None:
            self._other._end = StreamEnd(reason, exit_status, stderr_tail)
        for end in (self, self._other):
            end._ended = True
            end._readable.set()
            end._short.set()

    async def end(self) -> StreamEnd:
        """See ByteStream."""
        return self._end
