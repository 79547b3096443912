"""The stores of an SQLite file that may not be there yet.

Until it is, there are no keys, cooldowns and logins are kept in memory, and SQLAlchemy is not loaded, which takes as long as all else when a
gateway starts. The file is made with the first key, by this process or another one. Does not know what is in the file: see `sql`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import ConfigError, KeyDatabaseError
from rightseat.state.base import Cooldowns, KeyTable, Ledger, Logins, StoredCooldown
from rightseat.state.budget import Decision, Settle, Spent
from rightseat.state.key_record import Key
from rightseat.state.memory import MemoryCooldowns, MemoryDatabase, MemoryLogins

if TYPE_CHECKING:
    from rightseat.state.sql import SqlState

_OPEN_SECONDS = 35  # the tables may be made, by one process after another


class DeferredState:
    """See State. Entering opens the file if it is there.

    Args:
        path: the file.
        clock: the store's own, in a test; None: the machine's.
    """

    def __init__(self, path: Path, *, clock: Clock | None = None) -> None:
        self._file = _DeferredFile(path, clock)
        self.keys = _DeferredKeys(self._file)
        self.ledger = _DeferredLedger(self._file)
        self.cooldowns = _DeferredCooldowns(self._file)
        self.logins = _DeferredLogins(self._file)

    async def __aenter__(self) -> Self:
        """Open it, if it is there. Raises ConfigError."""
        await self._file.found()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """See State."""
        if self._file.opened is not None:
            await self._file.opened.close()

    async def crash(self) -> None:
        """See State."""
        if self._file.opened is not None:
            await self._file.opened.crash()


class _DeferredFile:
    """The file, opened when it is there or needed.

    Attributes:
        opened: its stores; None: nobody needed them.
        cooldowns: those from before it was opened.
        logins: likewise.
    """

    def __init__(self, path: Path, clock: Clock | None) -> None:
        self._path, self._clock = path, clock
        self._database = MemoryDatabase()
        self._turn = asyncio.Lock()
        self.cooldowns = MemoryCooldowns(self._database, clock or SYSTEM_CLOCK)
        self.logins = MemoryLogins(self._database)
        self.opened: SqlState | None = None

    async def found(self) -> SqlState | None:
        """The stores; None: the file does not exist. Raises ConfigError, KeyDatabaseError."""
        return self.opened or (await self.open() if self._path.exists() else None)

    async def open(self) -> SqlState:
        """The stores of the file, which is made where there is none. Raises ConfigError, KeyDatabaseError."""
        try:
            async with asyncio.timeout(_OPEN_SECONDS), self._turn:
                if self.opened is None:
                    self.opened = await self._open()
                return self.opened
        except TimeoutError:
            raise KeyDatabaseError(f"the database of keys ({self._path}) has not opened in {_OPEN_SECONDS} s") from None

    async def _open(self) -> SqlState:
        state = await asyncio.to_thread(_load, self._path, self._clock)
        try:
            await state.__aenter__()
            for name, kept in (await self.cooldowns.all()).items():
                await state.cooldowns.put(name, kept.seconds, kept.reason, kept.detail)
            for login_id, data in self._database.logins.items():
                await state.logins.put(login_id, data)
        except BaseException:
            await state.crash()
            raise
        return state


def _load(path: Path, clock: Clock | None) -> SqlState:
    try:
        from rightseat.state.sql import SqlState
    except ModuleNotFoundError as e:
        raise ConfigError(f"the gateway's keys need the package {e.name}: pip install 'rightseat[gateway]'") from e
    return SqlState(path, clock=clock)


class _DeferredKeys:
    """See KeyTable."""

    def __init__(self, file: _DeferredFile) -> None:
        self._file = file

    async def version(self) -> int:
        """See KeyTable. -1: there is no file."""
        return await state.keys.version() if (state := await self._file.found()) else -1

    async def list(self) -> list[Key]:
        """See KeyTable."""
        return await state.keys.list() if (state := await self._file.found()) else []

    async def create(self, key: Key) -> None:
        """See KeyTable."""
        keys: KeyTable = (await self._file.open()).keys
        await keys.create(key)

    async def revoke(self, key_id: str) -> Key | None:
        """See KeyTable."""
        return await state.keys.revoke(key_id) if (state := await self._file.found()) else None

    async def rotate(self, key_id: str, digest: str, grace_seconds: float = 0.0) -> Key | None:
        """See KeyTable."""
        state = await self._file.found()
        return await state.keys.rotate(key_id, digest, grace_seconds) if state else None


class _DeferredLedger:
    """See Ledger."""

    def __init__(self, file: _DeferredFile) -> None:
        self._file = file

    async def enter(self, key: Key) -> Decision:
        """See Ledger."""
        return await (await self._ledger()).enter(key)

    async def reserve(self, key: Key, hold: str, input_tokens: int, most: int) -> Decision:
        """See Ledger."""
        return await (await self._ledger()).reserve(key, hold, input_tokens, most)

    async def settle(self, settlements: Sequence[Settle]) -> list[bool]:
        """See Ledger."""
        return await (await self._ledger()).settle(settlements)

    async def add(self, spent: Mapping[str, Spent]) -> None:
        """See Ledger."""
        await (await self._ledger()).add(spent)

    async def spent(self) -> dict[str, dict[str, Spent]]:
        """See Ledger."""
        return await state.ledger.spent() if (state := await self._file.found()) else {}

    async def beat(self) -> None:
        """See Ledger."""
        if state := await self._file.found():
            await state.ledger.beat()

    async def _ledger(self) -> Ledger:
        return (self._file.opened or await self._file.open()).ledger


class _DeferredCooldowns:
    """See Cooldowns."""

    def __init__(self, file: _DeferredFile) -> None:
        self._file = file

    async def put(self, name: str, seconds: float, reason: str = "", detail: bytes = b"") -> None:
        """See Cooldowns."""
        await (await self._cooldowns()).put(name, seconds, reason, detail)

    async def clear(self, name: str) -> None:
        """See Cooldowns."""
        await (await self._cooldowns()).clear(name)

    async def all(self) -> dict[str, StoredCooldown]:
        """See Cooldowns."""
        return await (await self._cooldowns()).all()

    async def _cooldowns(self) -> Cooldowns:
        state = await self._file.found()
        return self._file.cooldowns if state is None else state.cooldowns


class _DeferredLogins:
    """See Logins."""

    def __init__(self, file: _DeferredFile) -> None:
        self._file = file

    async def put(self, login_id: str, data: bytes) -> None:
        """See Logins."""
        await (await self._logins()).put(login_id, data)

    async def get(self, login_id: str) -> bytes | None:
        """See Logins."""
        return await (await self._logins()).get(login_id)

    async def remove(self, login_id: str) -> None:
        """See Logins."""
        await (await self._logins()).remove(login_id)

    async def _logins(self) -> Logins:
        state = await self._file.found()
        return self._file.logins if state is None else state.logins
