"""Work on large bodies, in a small thread pool of its own. Each caller has one job running at a time.

A caller that sends many large bodies delays only itself, and other work never waits for these threads. Knows nothing of the work itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

R = TypeVar("R")

SMALL = 64 * 1024  # bytes of a body that is processed on the event loop
_THREADS = 2


class _CallerQueue:
    """The jobs of one caller.

    Attributes:
        lock: held by the job that runs.
        count: jobs that run or wait.
    """

    __slots__ = ("count", "lock")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.count = 0


class BodyWorkers:
    """The thread pool. Its threads start with the first large body."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, "bodies")
        self._queues: dict[str, _CallerQueue] = {}

    async def run(self, owner: str, size: int, work: Callable[[], R]) -> R:
        """Run `work`: at once for a small body, in a thread for a large one.

        Args:
            owner: the caller.
            size: bytes of the body.
            work: the job. It must not use anything that changes meanwhile.

        Raises:
            Whatever `work` raises.
        """
        if size < SMALL:
            return work()
        queue = self._queues.setdefault(owner, _CallerQueue())
        queue.count += 1
        try:
            async with queue.lock:
                job = asyncio.get_running_loop().run_in_executor(self._pool, work)
                try:
                    return await asyncio.shield(job)
                except (
                    asyncio.CancelledError
                ):  # the thread goes on: until it has ended, it is the caller's, and what it holds is, too
                    await asyncio.wait([job])
                    raise
        finally:
            queue.count -= 1
            if not queue.count:
                self._queues.pop(owner, None)
