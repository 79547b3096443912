"""The twin of a WebSocket: a Socket without a network, for tests and for callers in the same process."""

from __future__ import annotations

import asyncio
from collections import deque

from rightseat.clock import SYSTEM_CLOCK
from rightseat.gateway.http.exchange import ClientGoneError, Fields, Head
from rightseat.gateway.http.websocket import HELLO_LIMIT, NORMAL, Socket


class MemorySocket(Socket):
    """A connection to a client in this process.

    Args:
        head: of the request that asks for it.

    Attributes:
        accepted: it was opened.
        refused: the status and body that it was refused with, or None.
        sent: messages to the client that it has not read.
        closed: the code it was closed with, or None.
        limit: bytes of a message that the client may send.
        owner: for whom they count.
    """

    def __init__(self, head: Head | None = None) -> None:
        super().__init__(head or Head("GET", "/v1/ws", {}, address="127.0.0.1"))
        self.accepted = False
        self.refused: tuple[int, bytes] | None = None
        self.sent: deque[bytes] = deque()
        self.closed: int | None = None
        self.limit, self.owner = HELLO_LIMIT, ""
        self._coming: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._reads = asyncio.Event()
        self._reads.set()

    # The client's side.

    def say(self, data: bytes) -> None:
        """The client sends a message."""
        self._coming.append(data)
        self._news.set()

    def hang_up(self) -> None:
        """The client is gone."""
        self.gone = True
        self._news.set()
        self._reads.set()

    def stall(self) -> None:
        """The client reads no more."""
        self._reads.clear()

    def read_on(self) -> None:
        """It reads again."""
        self._reads.set()

    # The gateway's side.

    async def accept(self) -> None:
        """See Socket."""
        await SYSTEM_CLOCK.sleep(0)
        self.accepted = True

    async def refuse(self, status: int, body: bytes, headers: Fields = ()) -> None:  # noqa: ARG002
        """See Socket."""
        self.refused = (status, body)
        self.hang_up()

    def allow(self, limit: int, owner: str) -> None:
        """See Socket."""
        self.limit, self.owner = limit, owner

    async def receive(self) -> bytes:
        """See Socket."""
        while not self._coming and not self.gone:
            self._news.clear()
            await self._news.wait()
        if self.gone or len(self._coming[0]) > self.limit:
            self.gone = True
            raise ClientGoneError("the client has closed the connection")
        return self._coming.popleft()

    async def send(self, data: bytes) -> None:
        """See Socket."""
        await SYSTEM_CLOCK.sleep(0)
        await self._reads.wait()
        if self.gone:
            raise ClientGoneError("the client has closed the connection")
        self.sent.append(data)

    async def close(self, code: int = NORMAL, reason: str = "") -> None:  # noqa: ARG002
        """See Socket."""
        if not self.gone:
            self.closed = code
            self.hang_up()

    def abort(self) -> None:
        """See Socket."""
        self.hang_up()
