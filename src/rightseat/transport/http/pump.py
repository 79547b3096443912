"""A loop that reads an async iterator of bytes and writes it into a sink.

Does not know where the bytes come from. It costs a task and, a chunk, what an iterator costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from rightseat.transport.http.base import Sink


class AnswerPump:
    """Writes every chunk into the sink, then ends it, once. Begins by itself, at the loop's next turn.

    Args:
        chunks: the source; what it raises is given to `sink.end`.
        sink: is written to.

    Attributes:
        untaken: what has come and is not written yet.
    """

    def __init__(self, chunks: AsyncIterator[bytes], sink: Sink) -> None:
        self._chunks = chunks
        self._sink: Sink | None = sink
        self.untaken = b""
        self._may_go = asyncio.Event()
        self._may_go.set()
        self._task = asyncio.ensure_future(self._run())

    def pause(self) -> None:
        """Write nothing more until `resume`."""
        self._may_go.clear()

    def resume(self) -> None:
        """Go on."""
        self._may_go.set()

    def stop(self) -> None:
        """Nothing is written and nothing is ended from now on."""
        self._sink = None
        self._task.cancel()

    async def _run(self) -> None:
        error: Exception | None = None
        try:
            await self._may_go.wait()
            async for chunk in self._chunks:
                self.untaken = chunk
                await self._may_go.wait()
                if self._sink is None:
                    return
                self.untaken = b""
                if chunk:
                    self._sink.write(chunk)
                await self._may_go.wait()
        except Exception as e:
            error = e
        await self._may_go.wait()
        if (sink := self._sink) is not None:
            self._sink = None
            sink.end(error)
