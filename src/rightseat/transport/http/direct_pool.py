"""Which connection takes a request: the one that was used last, if it is still good. It decides, and opens nothing.

Connections that wait are bounded in number and time, closed ones leave at once. Does not know addresses: a key says what is alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from rightseat.transport.http.direct_connection import HttpConnection

IDLE_SECONDS = 30.0  # nginx: 60 s, hyper: 90 s, aiohttp: 15 s
IDLE_CONNECTIONS = 1024  # that wait, of all keys together; nginx: as configured, Go: 100
AGE_SECONDS = 3600.0  # then an address is looked up anew; nginx: 1 h
MARGIN_SECONDS = 1.0  # before the time that a server names


class Pool:
    """Connections that wait. Belongs to one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Hashable, dict[HttpConnection, float]] = {}  # until when; the last one was used last
        self._keys: dict[HttpConnection, tuple[Hashable, float]] = {}  # all that are open, and when they began
        self._sweeper: asyncio.TimerHandle | None = None
        self._count = 0
        self._empty: asyncio.Future[None] | None = None

    def add(self, connection: HttpConnection, key: Hashable) -> None:
        """One is open."""
        self._keys[connection] = key, self._loop.time()

    def take(self, key: Hashable) -> HttpConnection | None:
        """One that is good, if one waits."""
        waiting = self._waiting.get(key)
        now = self._loop.time()
        while waiting:
            connection, until = waiting.popitem()
            self._count -= 1
            if now < until and connection.usable:
                return connection
            connection.abort()
        return None

    def give(self, connection: HttpConnection) -> None:
        """It can take another request."""
        key, began = self._keys[connection]
        now = self._loop.time()
        seconds = IDLE_SECONDS if connection.idle is None else min(IDLE_SECONDS, connection.idle - MARGIN_SECONDS)
        if self._empty is not None or self._count >= IDLE_CONNECTIONS or seconds <= 0 or now - began > AGE_SECONDS:
            connection.abort()
            return
        self._waiting.setdefault(key, {})[connection] = now + seconds
        self._count += 1
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(IDLE_SECONDS / 4, self._sweep)

    def lost(self, connection: HttpConnection) -> None:
        """It is closed."""
        key, _ = self._keys.pop(connection, (None, 0.0))
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.pop(connection, None) is not None:
            self._count -= 1
        if self._empty is not None and not self._keys and not self._empty.done():
            self._empty.set_result(None)

    async def aclose(self) -> None:
        """Close all, used or not."""
        self._empty = self._loop.create_future()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._keys):
            connection.end()
        if self._keys:
            await self._empty

    def _sweep(self) -> None:
        """Close what has waited too long."""
        self._sweeper = None
        now = self._loop.time()
        for waiting in list(self._waiting.values()):
            for connection in [one for one, until in waiting.items() if now >= until]:
                del waiting[connection]
                self._count -= 1
                connection.abort()
        self._waiting = {key: waiting for key, waiting in self._waiting.items() if waiting}
        if self._waiting:
            self._sweeper = self._loop.call_later(IDLE_SECONDS / 4, self._sweep)
