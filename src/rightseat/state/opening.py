"""Which stores a process uses. The SQL ones are loaded only if they are wanted."""

from __future__ import annotations

from pathlib import Path

from rightseat.clock import Clock
from rightseat.errors import ConfigError
from rightseat.state.base import State
from rightseat.state.deferred import DeferredState
from rightseat.state.memory import MemoryState


def open_state(where: str | Path | None, *, clock: Clock | None = None) -> State:
    """Choose the stores; `async with` opens them and lets go of them.

    Args:
        where: a database's address as SQLAlchemy writes it, or the path of an SQLite file; None: memory.
        clock: the store's, in a test; None: its own.

    Raises:
        ConfigError: the address is of no use, or a package is missing. Entering raises it if the database cannot be opened.
    """
    if where is None:
        return MemoryState() if clock is None else MemoryState(clock=clock)
    if "://" not in str(where):
        return DeferredState(Path(where), clock=clock)
    try:
        from rightseat.state.engine import place_of
        from rightseat.state.sql import SqlState
    except ModuleNotFoundError as e:
        raise ConfigError(f"the gateway's keys need the package {e.name}: pip install 'rightseat[gateway]'") from e
    place = place_of(where)
    return DeferredState(place, clock=clock) if isinstance(place, Path) else SqlState(where, clock=clock)
