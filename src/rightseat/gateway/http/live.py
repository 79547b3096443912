"""What is under way: every exchange and every socket, in one place, so that all of them, or those of one caller, can be ended.

Two things end work before its time: the server stops, and the secret of a caller ends. This module does not know what is asked and how
callers are known: it only holds them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import DeclinedError, RightseatError

C = TypeVar("C")

CHECK_SECONDS = 0.5  # how often callers are looked at again: a secret that has ended is noticed within a second
PATIENCE_SECONDS = 5.0  # for what was cut to tell its client


class ShuttingDownError(DeclinedError):
    """The gateway stops: what has not been answered is not."""

    status_hint = 503
    retry_after = 1.0

    def __init__(self) -> None:
        super().__init__("the gateway is shutting down; try again in a moment", code="shutting_down")


class Cuttable(Protocol):
    """Something that can be ended before its time."""

    def cut(self, error: RightseatError) -> None:
        """End it with an error that the client is told."""


D = TypeVar("D", bound=Cuttable)


class Drainable(Cuttable, Protocol):
    """A connection that carries requests."""

    def drain(self) -> None:
        """Take no new requests, and close when those that are under way have ended."""


class Live(Generic[C]):
    """The registry.

    Attributes:
        is_draining: the server stops, and new requests are refused.
    """

    def __init__(self) -> None:
        self.is_draining = False
        self._exchanges: dict[Cuttable, C | None] = {}
        self._sockets: dict[Drainable, C | None] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._exchanges) + len(self._sockets)

    # Exchanges.

    def enter(self, exchange: Cuttable, caller: C | None = None) -> None:
        """An exchange begins. Raises ShuttingDownError, and it is not registered."""
        if self.is_draining:
            raise ShuttingDownError
        self._exchanges[exchange] = caller

    def known(self, exchange: Cuttable, caller: C) -> None:
        """Whose it is."""
        if exchange in self._exchanges:
            self._exchanges[exchange] = caller

    def leave(self, exchange: Cuttable) -> None:
        """It is over."""
        self._exchanges.pop(exchange, None)
        self._changed.set()

    # Sockets.

    def open(self, socket: Drainable, caller: C) -> None:
        """A socket was accepted."""
        self._sockets[socket] = caller
        if self.is_draining:
            socket.drain()

    def closed(self, socket: Drainable) -> None:
        """It is closed."""
        self._sockets.pop(socket, None)
        self._changed.set()

    # The end of some, and of all.

    def check(self, still: Callable[[C], object]) -> None:
        """Cut what belongs to callers who may not ask any more.

        Args:
            still: raises a RightseatError for such a caller.
        """
        errors: dict[int, RightseatError | None] = {}  # callers are shared by many requests of one socket
        _cut_ended(self._exchanges, still, errors)
        _cut_ended(self._sockets, still, errors)

    async def watch(self, still: Callable[[C], object], clock: Clock = SYSTEM_CLOCK) -> None:
        """Check for ever: keys also end by the clock, without anybody saying so."""
        while True:
            await clock.sleep(CHECK_SECONDS)
            self.check(still)

    def cut_all(self, error: RightseatError) -> None:
        """End everything with an error that clients are told."""
        for thing in [*self._exchanges, *self._sockets]:
            thing.cut(error)

    async def wait_empty(self, seconds: float) -> bool:
        """Wait until nothing is under way; False: something still is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(self):
                    self._changed.clear()
                    await self._changed.wait()
        return not len(self)

    async def drain(self, seconds: float) -> None:
        """Refuse new requests, let those under way finish for some time, and cut the rest."""
        self.is_draining = True
        for socket in list(self._sockets):
            socket.drain()
        if not await self.wait_empty(seconds):
            self.cut_all(ShuttingDownError())
            await self.wait_empty(PATIENCE_SECONDS)


def _cut_ended(held: dict[D, C | None], still: Callable[[C], object], errors: dict[int, RightseatError | None]) -> None:
    for thing, caller in list(held.items()):
        if caller is None:
            continue
        if id(caller) not in errors:
            errors[id(caller)] = _error_of(still, caller)
        if (error := errors[id(caller)]) is not None:
            held[thing] = None  # once is enough
            thing.cut(error)


def _error_of(still: Callable[[C], object], caller: C) -> RightseatError | None:
    try:
        still(caller)
    except RightseatError as e:
        return e
    return None
