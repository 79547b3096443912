"""Work on large bodies, beside the event loop: in few threads of its own, and for each caller one body after another.

So whoever sends many large bodies waits for themselves, and work of other kinds never waits for a thread. Refuses to know what the work is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

R = TypeVar("R")

SMALL = 64 * 1024  # bytes of a body that is worked on at once
_THREADS = 2


class _Turn:
    """Who works for one caller.

    Attributes:
        lock: held by whose turn it is.
        count: how many work or wait.
    """

    __slots__ = ("count", "lock")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.count = 0


class Aside:
    """Where the work is done. Its threads begin with the first large body."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, "bodies")
        self._turns: dict[str, _Turn] = {}

    async def run(self, owner: str, size: int, work: Callable[[], R]) -> R:
        """Do some work.

        Args:
            owner: whose it is.
            size: bytes of the body that it is about.
            work: what is to be done. It uses nothing that others change meanwhile.

        Raises:
            Whatever `work` raises.
        """
        if size < SMALL:
            return work()
        turn = self._turns.setdefault(owner, _Turn())
        turn.count += 1
        try:
            async with turn.lock:
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            turn.count -= 1
            if not turn.count:
                self._turns.pop(owner, None)
