"""Which stores a process uses. The SQL ones are loaded only if they are wanted."""

from __future__ import annotations

from pathlib import Path

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import ConfigError
from rightseat.state.base import State
from rightseat.state.key_record import Key
from rightseat.state.memory import MemoryDatabase, MemoryKeys, MemoryState


def open_state(where: str | Path | None, *, clock: Clock | None = None) -> State:
    """Choose the stores; `async with` opens them and lets go of them.

    Args:
        where: a database's address as SQLAlchemy writes it, or the path of an SQLite file; None: memory. Without SQLAlchemy, and while that
            file is not there, memory too: there are no keys, and none can be made.
        clock: the store's, in a test; None: its own.

    Raises:
        ConfigError: the address is of no use, or a package is missing. Entering raises it if the database cannot be opened.
    """
    if where is None:
        return MemoryState() if clock is None else MemoryState(clock=clock)
    try:
        from rightseat.state.sql import SqlState
    except ModuleNotFoundError as e:
        if isinstance(where, Path) and not where.exists():
            return _StateWithoutKeys()
        raise _needs(e.name) from e
    return SqlState(where, clock=clock)


class _NoKeys(MemoryKeys):
    """A table of keys where there can be none."""

    async def version(self) -> int:
        """See KeyTable."""
        return -1

    async def create(self, key: Key) -> None:  # noqa: ARG002
        """See KeyTable. Raises ConfigError."""
        raise _needs("sqlalchemy")


class _StateWithoutKeys(MemoryState):
    def __init__(self) -> None:
        super().__init__()
        self.keys = _NoKeys(MemoryDatabase(), SYSTEM_CLOCK)


def _needs(package: str | None) -> ConfigError:
    return ConfigError(f"the gateway's keys need the package {package}: pip install 'rightseat[gateway]'")
