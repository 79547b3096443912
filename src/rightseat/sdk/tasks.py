"""Tasks that end with their owner, in bounded time.

All background work is started here, so that a client can wait until none of it runs. This module
refuses to know what the work is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine

from rightseat.errors import RightseatError
from rightseat.log import logger

CLOSE_SECONDS = 2.0  # what closing anything of the SDK takes at most, whatever the other side does


class Tasks:
    """The background tasks of one client."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Awaitable[object], what: str) -> asyncio.Task[None]:
        """Run `work`. What it raises is logged as a failure of `what`.

        Raises:
            RuntimeError: no event loop runs.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            if isinstance(work, Coroutine):
                work.close()
            raise
        task = loop.create_task(_logged(work, what))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if isinstance(work, Coroutine):
            task.add_done_callback(lambda _: work.close())  # a task that is cancelled at once never begins it
        return task

    async def end(self, grace: float, limit: float, but: asyncio.Task[object] | None = None) -> None:
        """Let what runs go on for `grace` seconds, then cancel it. Returns when all has ended, or after `limit` seconds.

        Args:
            grace: seconds without interference.
            limit: seconds altogether.
            but: a task that is left alone: one of ours that asked for this end.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit
        left = {task for task in self._running if task is not but}
        if left and grace > 0:
            _, left = await asyncio.wait(left, timeout=grace)
        for task in left:
            task.cancel()
        if left:
            _, left = await asyncio.wait(left, timeout=max(0.0, deadline - loop.time()))
        if left:
            logger.warning("%d tasks did not end when they were cancelled", len(left))


async def _logged(work: Awaitable[object], what: str) -> None:
    try:
        await work
    except RightseatError as e:
        logger.warning("%s: %s", what, e)
    except Exception:
        logger.exception("%s failed", what)
