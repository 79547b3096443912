"""The twin of the seam: an Exchange without a socket, for tests and for callers in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.gateway.http.exchange import ClientGoneError, Exchange, Fields, Head


class MemoryExchange(Exchange):
    """A request made in this process.

    Args:
        head: of the request.
        request_id: see Exchange.
        data: the body.
        clock: time.

    Attributes:
        headers: of the answer; empty until it begins.
        written: the body of the answer, in the pieces that were written.
        aborted: the answer was cut, so that no client takes it for a whole one.
    """

    def __init__(self, head: Head, request_id: str, data: bytes = b"", clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(head, request_id, clock)
        self.headers: Mapping[str, str] = {}
        self.written: list[bytes] = []
        self.aborted = False
        self._data = data
        self._room = asyncio.Event()
        self._room.set()

    @property
    def answer(self) -> bytes:
        """The body of the answer so far."""
        return b"".join(self.written)

    async def body(self) -> bytes:
        """See Exchange."""
        await SYSTEM_CLOCK.sleep(0)
        if self.gone:
            raise ClientGoneError("the client left before it had sent its request")
        return self._data

    def stall(self) -> None:
        """The client reads no more: writing waits until `resume`."""
        self._room.clear()

    def resume(self) -> None:
        """The client reads again."""
        self._room.set()

    def leave(self) -> None:
        """See Exchange. Writing no longer waits."""
        super().leave()
        self._room.set()

    def abort(self) -> None:
        """See Exchange."""
        self.aborted = True

    async def _start(self, status: int, headers: Fields) -> None:  # noqa: ARG002 - the status is kept by Exchange
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}

    async def _write(self, data: bytes, *, last: bool) -> None:  # noqa: ARG002 - nothing follows the last anyway
        await self._room.wait()
        if data and not self.gone:
            self.written.append(data)
