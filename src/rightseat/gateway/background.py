"""Background tasks of a gateway. Knows nothing of what they do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator


@contextlib.contextmanager
def running(work: Coroutine[object, object, None]) -> Iterator[None]:
    """Run a task until the block ends."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
