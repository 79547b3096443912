"""Account files for the event loop: every call that touches a file runs in a thread.

Knows nothing of what the files hold; see `store`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rightseat.accounts.store import Account, FileStore


class FileAccounts:
    """An AccountStore over account files.

    Args:
        files: reads and writes them.
    """

    def __init__(self, files: FileStore) -> None:
        self._files = files

    @property
    def problem(self) -> str:
        """See AccountStore."""
        return self._files.problem

    def problems(self) -> tuple[str, ...]:
        """See AccountStore."""
        return self._files.problems()

    async def list(self) -> list[Account]:
        """See AccountStore."""
        return await asyncio.to_thread(self._files.list)

    async def load(self, name: str) -> Account | None:
        """See AccountStore."""
        return await asyncio.to_thread(self._files.load, name)

    async def save(self, account: Account) -> None:
        """See AccountStore."""
        await asyncio.to_thread(self._files.save, account)

    async def remove(self, name: str) -> bool:
        """See AccountStore."""
        return await asyncio.to_thread(self._files.remove, name)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        """See AccountStore."""
        opening = asyncio.ensure_future(asyncio.to_thread(self._files.open_lock, name))
        try:
            handle = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close)
            raise
        async with self._files.held(handle, name):
            yield


def _close(opening: asyncio.Future[int | None]) -> None:
    """Close a lock file whose caller was cancelled while it was opened."""
    if not opening.cancelled() and opening.exception() is None and (handle := opening.result()) is not None:
        os.close(handle)
