"""Stores in a database that several processes share: SQLite on one machine, PostgreSQL for several.

Two threads work for the event loop, one for the keys and one for the ledger, each with a connection of its own and a time limit around all
it is asked; see `lane`.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import ConfigError, KeyDatabaseError
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.state.engine import first_line, make_engine, place_of, shown
from rightseat.state.key_table import SqlKeys, list_keys
from rightseat.state.lane import Lane, Transaction
from rightseat.state.ledger import SqlLedger
from rightseat.state.liveness import FileLiveness, Liveness, ServerLiveness
from rightseat.state.small_tables import SqlCooldowns, SqlLogins
from rightseat.state.tables import keys


class SqlState:
    """See State.

    A file that does not exist yet is made; see `deferred` for one that should not be.

    Args:
        where: the database's address as SQLAlchemy writes it, or the path of an SQLite file.
        clock: the store's own, in a test; None: PostgreSQL's, or the machine's for a file.
        ids: names the worker.

    Raises:
        ConfigError: the address is of no use.
    """

    def __init__(self, where: str | Path, *, clock: Clock | None = None, ids: Ids = SYSTEM_IDS) -> None:
        place = place_of(where)
        worker = ids.uuid()
        liveness: Liveness = (
            FileLiveness(place, worker)
            if isinstance(place, Path)
            else ServerLiveness(worker, int.from_bytes(ids.entropy(4), "big") & 0x7FFFFFFF)
        )
        self._lanes = (Lane(place, clock=clock), Lane(place, clock=clock, on_open=liveness.opened))
        self.keys = SqlKeys(self._lanes[0])
        self.ledger = SqlLedger(self._lanes[1], liveness, worker, clock or SYSTEM_CLOCK)
        self.cooldowns = SqlCooldowns(self._lanes[0])
        self.logins = SqlLogins(self._lanes[0])

    async def __aenter__(self) -> Self:
        """Open it. Raises ConfigError."""
        try:
            await self.keys.version()
        except (KeyDatabaseError, ConfigError) as e:
            await self.crash()
            raise ConfigError(str(e)) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """See State."""
        with contextlib.suppress(KeyDatabaseError, ConfigError):
            await self.ledger.close()
        for lane in self._lanes:
            await lane.close()

    async def crash(self) -> None:
        """See State."""
        for lane in self._lanes:
            await lane.close()
        self.ledger.crash()


def count_active(where: str | Path, now: float) -> int | None:
    """How many keys could be used, without changing anything; None: the tables are not made yet. Blocks. Raises ConfigError."""
    engine = make_engine(place_of(where))
    try:
        with engine.connect() as db:
            if not inspect(db).has_table(keys.name):
                return None
            return sum(key.state(now) == "active" for key in list_keys(Transaction(db, now)))
    except SQLAlchemyError as e:
        raise ConfigError(f"the database of keys ({shown(where)}) cannot be used: {first_line(e)}") from None
    finally:
        engine.dispose()
