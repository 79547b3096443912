"""Bodies of requests as they are held: within limits of size, counted for whoever sent them, expanded where they came compressed.

Shared by the servers. It refuses to know how bodies come.
"""

from __future__ import annotations

import contextlib
import zlib
from collections import Counter
from io import BytesIO

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.gateway.http.asgi import (
    DECODED,
    BodyLimits,
    EncodingError,
    NoMemoryError,
    _inflated,
    _too_large,
)
from rightseat.gateway.http.exchange import Exchange, Head


class HeldBody(Exchange):
    """An exchange that holds its body.

    Args:
        head, request_id, clock: see Exchange.
        limits: of the body.
    """

    def __init__(self, head: Head, request_id: str, limits: BodyLimits, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(head, request_id, clock)
        self._limits = limits
        self._held: Counter[str] | None = None  # by whom it counts for
        self._holder = ""

    def hold(self, size: int) -> None:
        """See Exchange."""
        self._hold(f"{self._holder}{DECODED}", size)

    def hold_body(self, size: int) -> None:
        """Count some of the body. Raises NoMemoryError."""
        self._hold(self._holder, size)

    def check_length(self, length: int) -> None:
        """The body will have so many bytes. Raises BodyTooLargeError."""
        if length > self._limits.size:
            raise _too_large(f"the request has {length} bytes; at most {self._limits.size} are taken")

    def check_size(self, size: int) -> None:
        """It has so many so far. Raises BodyTooLargeError."""
        if size > self._limits.size:
            raise _too_large(f"the request has more than {self._limits.size} bytes, which is the limit")

    async def decoded(self, data: bytes) -> bytes:
        """A body as it was before it was compressed (RFC 9110, section 8.4). Raises EncodingError and as `check_size` and `hold_body`."""
        encoding = self.head.headers.get("content-encoding", "").strip().lower()
        return data if encoding in ("", "identity") else await self._expanded(data, encoding)

    def give_back(self) -> None:
        """Nothing is held any more."""
        held, self._held = self._held, None
        for holder, size in (held or {}).items():
            self._limits.memory.give(holder, size)

    def _hold(self, holder: str, size: int) -> None:
        if not self._limits.memory.take(holder, size):
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
                        if size > self._limits.size:
                            message = f"the request has more than {self._limits.size} bytes when expanded, the limit"
                            raise _too_large(message)
                        self._hold(self._holder, len(piece))
                        expanded.write(piece)
            except zlib.error as e:
                message = f"content-encoding: the body is not {encoding}: {e}"
                raise EncodingError(message, field="content-encoding") from None
            return expanded.getvalue()
