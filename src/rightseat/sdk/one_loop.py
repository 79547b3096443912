"""Objects that belong to one event loop, and a clear error when they are used in another.

Without it the same mistake shows as "attached to a different loop", or as a wait without end. This module does not know what
belongs to the loop.
"""

from __future__ import annotations

import asyncio

from rightseat.errors import WrongLoopError


class OneLoop:
    """The loop that an object belongs to: the first one that uses it.

    Args:
        what: the object, for the message.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> None:
        """Raises WrongLoopError where another loop runs, or none."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise WrongLoopError(f"{self._what} was used in a thread without a running event loop") from None
        if self._loop is None:
            self._loop = loop
        elif loop is not self._loop:
            first = "the first, which is closed" if self._loop.is_closed() else "the first"
            raise WrongLoopError(f"{self._what} was used in a second event loop, and belongs to {first}")

    def release(self) -> None:
        """Everything is closed: the next loop that uses the object may have it."""
        self._loop = None
