"""Closing what others use at the moment: an answer that another task reads, a session whose backend hangs.

It does not know what is read and where it comes from.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

from rightseat.errors import NotStartedError
from rightseat.log import logger
from rightseat.sdk.tasks import CLOSE_SECONDS

T = TypeVar("T")


class ReadScope:
    """The reading of one answer, which can be ended from another task: a generator that waits cannot be closed."""

    def __init__(self) -> None:
        self._scope: asyncio.Timeout | None = None
        self._ended = asyncio.Event()

    @asynccontextmanager
    async def scope(self, at_end: Callable[[], object]) -> AsyncIterator[None]:
        """What stands in it is ended by `close`. Raises NotStartedError then."""
        try:
            async with asyncio.timeout(None) as self._scope:
                yield
        except TimeoutError:
            if self._scope is None or not self._scope.expired():
                raise
            raise NotStartedError("this stream was closed while it was read") from None
        finally:
            at_end()
            self._ended.set()

    async def close(self, pieces: AsyncGenerator[T, None]) -> None:
        """End it, whoever waits for the next piece."""
        if getattr(pieces, "ag_running", False) and self._scope is not None:
            self._scope.reschedule(0)
            await self._ended.wait()
        else:
            await pieces.aclose()


async def close_all(closing: Iterable[Awaitable[object]], callbacks: Iterable[Callable[[], object]]) -> None:
    """Close what is open, then call the callbacks; all of it within CLOSE_SECONDS."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await asyncio.gather(*closing)
            for callback in callbacks:
                result = callback()
                if inspect.isawaitable(result):
                    await result
    except TimeoutError:
        logger.warning("a session did not close within %g s and was given up", CLOSE_SECONDS)
