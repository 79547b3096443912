"""The one seam to the outer world: a stream of bytes in both directions.

Everything above it is tested with `transport.memory`, which is the proof that the seam is real.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class StreamEnd(Struct, frozen=True):
    """How a stream ended.

    Attributes:
        reason: one clause for people, such as "the Copilot CLI exited with status 1".
        exit_status: the child's exit status (negative: the signal that killed it), None without a child.
        stderr_tail: the last lines of the child's stderr, "" without any.
    """

    reason: str
    exit_status: int | None = None
    stderr_tail: str = ""


class ByteStream(Protocol):
    """A connected, ordered stream of bytes. Used by one event loop."""

    async def read(self) -> bytes:
        """Everything that has come, at least one byte; b"" once, and ever after, when the stream has ended.

        One call returns a batch: many small writes of the peer cost one wake of the loop.
        """
        ...

    def write(self, data: bytes) -> None:
        """Queue bytes for the peer, in order. Never blocks and never fails: a broken stream shows when it is read."""
        ...

    @property
    def congested(self) -> bool:
        """More than the high-water mark is queued: `await drain()` before writing more."""
        ...

    async def drain(self) -> None:
        """Return when the queue is short again, or the stream is broken."""
        ...

    async def close(self) -> None:
        """End the stream and everything that belongs to it. May be called twice."""
        ...

    async def end(self) -> StreamEnd:
        """How the stream ended. Call it after `read` has returned b"" or after `close`."""
        ...
