"""Bodies of requests as they are held: within limits of size, counted for whoever sent them, expanded where they came compressed.

Shared by the servers. It does not know how bodies come.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncGenerator
from io import BytesIO

from msgspec import Struct

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import CallerError, DeclinedError
from rightseat.gateway.http.exchange import Exchange, Head
from rightseat.gateway.http.limits import MemoryBudget

DECODED = "/decoded"  # behind the name of whom something counts for: what bodies become has a share of its own
TIMES = 2  # that a body counts: for itself, and for what it becomes when it is decoded
_INPUT_STEP = 64 * 1024  # compressed bytes that are expanded at a time,
_OUTPUT_STEP = 1024 * 1024  # and bytes that may come of it
_MEMBERS_STEP = 64  # members of a gzip body, which may be tiny,
_GIVEN = 4 * 1024  # and compressed bytes that are given at a time: what belongs to the next member is given again
_GZIP = b"\x1f\x8b"


class BodyTooLargeError(CallerError):
    """The request's body is larger than the settings allow."""

    status_hint = 413


class BodyTooSlowError(CallerError):
    """The request's body did not come in time."""

    status_hint = 408


class EncodingError(CallerError):
    """The request's body is compressed in a way that is not taken, or not at all as it says."""

    status_hint = 415


class TrailingBytesError(CallerError):
    """Something follows the end of a compressed body."""


class NoMemoryError(DeclinedError):
    """The bodies of all requests together are as large as the settings allow."""

    status_hint = 503
    retry_after = 1.0


class BodyLimits(Struct, frozen=True):
    """What a body may be.

    Attributes:
        memory: shared by all bodies of the process.
        size: bytes of one body, also when it is expanded.
        seconds: in which it must come; 0: any time.
    """

    memory: MemoryBudget
    size: int
    seconds: float = 0.0


class HeldBody(Exchange):
    """An exchange that holds its body.

    Args:
        head, request_id, clock: see Exchange.
        limits: of the body.

    Attributes:
        limits: see above.
        holder: for whom the body counts: who asked for it.
    """

    def __init__(self, head: Head, request_id: str, limits: BodyLimits, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(head, request_id, clock)
        self.limits = limits
        self.holder = ""
        self._held: dict[str, int] = {}  # by whom it counts for

    def hold(self, size: int) -> None:
        """See Exchange."""
        self._hold(f"{self.holder}{DECODED}", size)

    def hold_body(self, size: int) -> None:
        """Count some of the body. Raises NoMemoryError."""
        self._hold(self.holder, TIMES * size)

    def check_length(self, length: int) -> None:
        """The body will have so many bytes. Raises BodyTooLargeError."""
        if length > self.limits.size:
            raise _too_large(f"the request has {length} bytes; at most {self.limits.size} are taken")

    def check_size(self, size: int) -> None:
        """It has so many so far. Raises BodyTooLargeError."""
        if size > self.limits.size:
            raise _too_large(f"the request has more than {self.limits.size} bytes, which is the limit")

    async def decoded(self, data: bytes) -> bytes:
        """A body as it was before it was compressed (RFC 9110, section 8.4). Raises EncodingError, TrailingBytesError and as `check_size` and `hold_body`."""
        encoding = self.head.headers.get("content-encoding", "").strip().lower()
        if encoding in ("", "identity"):
            return data
        compressed = TIMES * len(data)
        data = await self._expanded(data, encoding)
        self._held[self.holder] -= compressed
        self.limits.memory.give(self.holder, compressed)
        return data

    def too_slow(self) -> BodyTooSlowError:
        """The error for a body that did not come in time."""
        message = f"the body of the request did not come in time (within {self.limits.seconds:g} s)"
        return BodyTooSlowError(message, code="body_timeout")

    def give_back(self) -> None:
        """Nothing is held any more."""
        held, self._held = self._held, {}
        for holder, size in held.items():
            self.limits.memory.give(holder, size)

    def _hold(self, holder: str, size: int) -> None:
        if not self.limits.memory.take(holder, size):
            raise NoMemoryError("too many bytes of requests are being read; try again in a moment", code="body_memory")
        self._held[holder] = self._held.get(holder, 0) + size

    async def _expanded(self, data: bytes, encoding: str) -> bytes:
        """Never beyond the limits: a small body may hold a huge one."""
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise EncodingError(
                f"content-encoding: {encoding[:40]!r} is not taken; gzip and deflate are", field="content-encoding"
            )
        size = 0
        with BytesIO() as expanded:
            try:
                async with contextlib.aclosing(_inflated(data)) as pieces:
                    async for piece in pieces:
                        size += len(piece)
                        if size > self.limits.size:
                            message = f"the request has more than {self.limits.size} bytes when expanded, the limit"
                            raise _too_large(message)
                        self.hold_body(len(piece))
                        expanded.write(piece)
            except zlib.error as e:
                message = f"content-encoding: the body is not {encoding}: {e}"
                raise EncodingError(message, field="content-encoding") from None
            return expanded.getvalue()


async def _inflated(data: bytes) -> AsyncGenerator[bytes, None]:
    """A compressed body expanded, a step at a time; all but the first in a thread. Raises zlib.error, TrailingBytesError."""
    inflater = _Inflater(data)
    yield inflater.step()
    while not inflater.is_over:
        yield await asyncio.to_thread(inflater.step)


class _Inflater:
    """Expands zlib, or gzip of any number of members (RFC 1952, section 2.2)."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by their heads
        self._left = b""  # of what was given, because there was no room for what comes of it
        self.is_over = False

    def step(self) -> bytes:
        """Some more of it. Raises zlib.error: it is damaged, or cut off; TrailingBytesError: something else follows."""
        pieces: list[bytes] = []
        room, members, end = _OUTPUT_STEP, _MEMBERS_STEP, min(len(self._data), self._at + _INPUT_STEP)
        while room > 0 and members and (self._left or self._at < end):
            pieces.append(self._some(end, room))
            room -= len(pieces[-1])
            if self._inflate.eof:
                members -= 1
                if self._at < len(self._data):
                    self._begin_member()
        if not self._left and self._at == len(self._data):
            pieces.append(self._inflate.flush())
            if not self._inflate.eof:
                raise zlib.error("it is cut off")
            self.is_over = True
        return b"".join(pieces)

    def _some(self, end: int, room: int) -> bytes:
        given = self._left
        if not given:
            given = self._data[self._at : min(end, self._at + _GIVEN)]
            self._at += len(given)
        piece = self._inflate.decompress(given, room)
        self._left = self._inflate.unconsumed_tail
        self._at -= len(self._inflate.unused_data)
        return piece

    def _begin_member(self) -> None:
        if self._data[:2] != _GZIP or self._data[self._at : self._at + 2] != _GZIP:
            raise TrailingBytesError("content-encoding: something follows the end of the compressed body")
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)


def _too_large(message: str) -> BodyTooLargeError:
    return BodyTooLargeError(message, code="request_too_large")
