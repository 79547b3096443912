"""Tasks that end with their owner, in bounded time.

All background work is started here, so that a client can wait until none of it runs. This module
does not know what the work is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from rightseat.errors import RightseatError
from rightseat.log import logger
from rightseat.sdk.one_loop import OneLoop

CLOSE_SECONDS = 2.0  # what closing anything of the SDK takes at most, whatever the other side does


T = TypeVar("T")


class Tasks:
    """The background tasks of one client.

    Args:
        loop: the event loop that they run in.
    """

    def __init__(self, loop: OneLoop) -> None:
        self._loop = loop
        self._running: set[asyncio.Task[Any]] = set()

    def check(self) -> None:
        """Raises WrongLoopError in any other loop."""
        self._loop.check()

    def spawn(self, work: Awaitable[object], what: str) -> asyncio.Task[None]:
        """Run `work`. What it raises is logged as a failure of `what`.

        Raises:
            WrongLoopError: this is not the client's loop.
        """
        try:
            task = self.start(_logged(work, what))
        except RuntimeError:
            if isinstance(work, Coroutine):
                work.close()
            raise
        if isinstance(work, Coroutine):
            task.add_done_callback(lambda _: work.close())  # a task that is cancelled at once never begins it
        return task

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` for a caller that may leave before it is done. Its result, or its error, is for that caller only.

        Raises:
            WrongLoopError: this is not the client's loop.
        """
        try:
            self._loop.check()
        except RuntimeError:
            work.close()
            raise
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # it counts as seen

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


async def result_of(task: asyncio.Task[T]) -> T:
    """The result of a task. Cancelling the caller does not stop it."""
    await asyncio.wait((task,))
    return task.result()


async def _logged(work: Awaitable[object], what: str) -> None:
    try:
        await work
    except RightseatError as e:
        logger.warning("%s: %s", what, e)
    except Exception:
        logger.exception("%s failed", what)
