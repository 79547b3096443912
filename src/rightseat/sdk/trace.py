"""A look at every message that passes, on demand. Costs nothing when it is off: it is a stream around the stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rightseat.log import logger, trace_logger
from rightseat.masking import mask
from rightseat.transport.base import ByteStream, StreamEnd
from rightseat.wire.framing import FrameDecoder

TRACE_BYTES = 4096  # how much of one message is shown


class TracedStream:
    """A `ByteStream` that shows each message: `--> {...}` for ours, `<-- {...}` for theirs, secrets masked.

    Args:
        inner: the stream.
        target: True for the logger `rightseat.trace` at DEBUG, a path for a file to append to, or a function of one line.
    """

    def __init__(self, inner: ByteStream, target: bool | str | Callable[[str], None]) -> None:
        self._inner = inner
        self._show: Callable[[str], None] | None = _sink(target)
        self._decoders = {"-->": FrameDecoder(), "<--": FrameDecoder()}

    async def read(self) -> bytes:
        """See ByteStream."""
        data = await self._inner.read()
        self._trace("<--", data)
        return data

    def write(self, data: bytes) -> None:
        """See ByteStream."""
        self._trace("-->", data)
        self._inner.write(data)

    @property
    def congested(self) -> bool:
        """See ByteStream."""
        return self._inner.congested

    async def drain(self) -> None:
        """See ByteStream."""
        await self._inner.drain()

    async def close(self) -> None:
        """See ByteStream."""
        await self._inner.close()

    async def end(self) -> StreamEnd:
        """See ByteStream."""
        return await self._inner.end()

    def _trace(self, arrow: str, data: bytes) -> None:
        if self._show is None:
            return
        try:
            for body in self._decoders[arrow].feed(data):
                more = f"... ({len(body)} bytes)" if len(body) > TRACE_BYTES else ""
                self._show(f"{arrow} {mask(body[:TRACE_BYTES].decode('utf-8', 'replace'), limit=None)}{more}")
        except Exception:
            self._show = None
            logger.exception("the trace failed and ends here")


def _sink(target: bool | str | Callable[[str], None]) -> Callable[[str], None]:
    if callable(target):
        return target
    if target is True:
        return trace_logger.debug
    path = Path(str(target))

    def append(line: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    return append
