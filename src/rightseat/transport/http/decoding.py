"""Bodies that a server compressed although it was asked not to: gzip (RFC 1952) and deflate (RFC 1950, 1951), a bounded piece at a time.

Does not know where the bytes come from.
"""

from __future__ import annotations

import zlib
from typing import Protocol


class DecodeError(ValueError):
    """A body is not what its head says."""


class _Inflating(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes: ...


class Decoder:
    """One body.

    Args:
        coding: of the head's content-encoding.

    Raises:
        DecodeError: it is none that can be decoded.
    """

    def __init__(self, coding: str) -> None:
        if coding not in {"gzip", "x-gzip", "deflate"}:
            raise DecodeError(f"content-encoding {coding[:40]!r}, which was not asked for")
        self._gzip = coding != "deflate"
        self._inflating: _Inflating | None = None
        self._left = b""  # not decoded yet
        self._begun = False

    def add(self, data: bytes) -> None:
        """Some more of the body as it came."""
        self._left += data

    def take(self, most: int) -> bytes:
        """Some of it decoded, `most` bytes at most; b"": there is nothing until more comes. Raises DecodeError."""
        while self._left or (self._inflating is not None and not self._inflating.eof):
            inflating = self._inflating or self._next()
            before = self._left
            try:
                piece = inflating.decompress(before, most)
            except zlib.error as e:
                raise DecodeError(f"not what its content-encoding says: {e}") from e
            self._left = inflating.unused_data if inflating.eof else inflating.unconsumed_tail
            if inflating.eof:
                self._inflating = None
                if not self._gzip and self._left:
                    raise DecodeError("bytes behind the end of the compressed body")
            if piece:
                return piece
            if not before:
                break
        return b""

    @property
    def held(self) -> int:
        """Bytes that were added and are not decoded yet."""
        return len(self._left)

    @property
    def complete(self) -> bool:
        """All that has come is decoded, and it ended as it should."""
        return not self._left and self._inflating is None

    def _next(self) -> _Inflating:
        """For the next member; a gzip body may have several."""
        if self._gzip:
            self._inflating = zlib.decompressobj(31)
        else:  # some servers send RFC 1951 without RFC 1950's frame
            framed = self._left[0] & 0x0F == zlib.DEFLATED
            self._inflating = zlib.decompressobj(15 if framed else -15)
        return self._inflating


class Nothing(Decoder):
    """The body of an answer that must have none (205): read, and dropped."""

    def __init__(self) -> None:
        super().__init__("gzip")

    def add(self, data: bytes) -> None:
        """See Decoder."""
