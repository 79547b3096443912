"""Bodies of requests as they are held: within limits of size, counted for whoever sent them, expanded where they came compressed.

Shared by the servers. It refuses to know how bodies come.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections import Counter
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


class BodyTooLargeError(CallerError):
    """The request's body is larger than the settings allow."""

    status_hint = 413


class BodyTooSlowError(CallerError):
    """The request's body did not come in time."""

    status_hint = 408


class EncodingError(CallerError):
    """The request's body is compressed in a way that is not taken, or not at all as it says."""

    status_hint = 415


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
        self._held: Counter[str] | None = None  # by whom it counts for

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
        """A body as it was before it was compressed (RFC 9110, section 8.4). Raises EncodingError and as `check_size` and `hold_body`."""
        encoding = self.head.headers.get("content-encoding", "").strip().lower()
        if encoding in ("", "identity"):
            return data
        compressed = TIMES * len(data)
        data = await self._expanded(data, encoding)
        assert self._held is not None
        self._held[self.holder] -= compressed
        self.limits.memory.give(self.holder, compressed)
        return data

    def too_slow(self) -> BodyTooSlowError:
        """The error for a body that did not come in time."""
        message = f"the body of the request did not come in time (within {self.limits.seconds:g} s)"
        return BodyTooSlowError(message, code="body_timeout")

    def give_back(self) -> None:
        """Nothing is held any more."""
        held, self._held = self._held, None
        for holder, size in (held or {}).items():
            self.limits.memory.give(holder, size)

    def _hold(self, holder: str, size: int) -> None:
        if not self.limits.memory.take(holder, size):
            raise NoMemoryError("too many bytes of requests are being read; try again in a moment", code="body_memory")
        if self._held is None:
            self._held = Counter()
        self._held[holder] += size

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
    """A compressed body expanded, a step at a time; all but the first in a thread. Raises zlib.error."""
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by their heads
    for at in range(0, len(data), _INPUT_STEP):
        rest = data[at : at + _INPUT_STEP]
        while rest:
            if at == 0 and not inflate.unconsumed_tail:
                piece = inflate.decompress(rest, _OUTPUT_STEP)
            else:
                piece = await asyncio.to_thread(inflate.decompress, rest, _OUTPUT_STEP)
            rest = inflate.unconsumed_tail
            yield piece
        if inflate.eof:
            return
    if tail := inflate.flush():
        yield tail
    if not inflate.eof:
        raise zlib.error("it is cut off")


def _too_large(message: str) -> BodyTooLargeError:
    return BodyTooLargeError(message, code="request_too_large")
