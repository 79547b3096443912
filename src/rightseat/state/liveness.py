"""Which workers are alive. Reservations of a dead worker are booked, so a live worker must never be taken for dead, and a dead one must be noticed soon.

With a file, every worker holds a lock on a small file of its own beside the database, which the kernel releases when the process ends,
however it ends: no clock is asked. With PostgreSQL, it holds an advisory lock of its session, and is seen every second by the server's
clock; no worker's clock is ever compared with another's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, select, text

from rightseat.state.lane import Transaction
from rightseat.state.tables import OTHER_WORKERS, reservations, seen_statement

BEAT_SECONDS = 1.0
# A worker whose lock is free may only have lost its connection, and takes its lock again with its next beat.
GRACE_SECONDS = 3.0
# A worker that holds its lock and does not beat has stopped, or its machine is gone and the server does not know yet.
LEASE_SECONDS = 15.0
_LOCKS = 0x72736B77  # first half of our advisory locks
_HELD = text(
    "select objid::bigint from pg_locks where locktype = 'advisory' and granted and objsubid = 2 and classid::bigint = :locks "
    "and database = (select oid from pg_database where datname = current_database())"
)
_STARTED = text("select extract(epoch from pg_postmaster_start_time())")
_TAKE = text("select pg_try_advisory_lock(:locks, :number)")


class Liveness(Protocol):
    """How a worker shows that it is alive, and finds dead ones."""

    def opened(self, db: Connection) -> None:
        """There is a new connection."""
        ...

    def live(self, tx: Transaction) -> None:
        """Be known as alive, with this transaction."""
        ...

    def dead(self, tx: Transaction) -> list[str]:
        """Ids of other workers that are known, or have reservations, and do not live."""
        ...

    def leave(self) -> None:
        """Be dead."""
        ...


class FileLiveness:
    """With an SQLite file.

    Args:
        database: the file.
        worker: our id.
    """

    def __init__(self, database: Path, worker: str) -> None:
        self._database, self._worker = database, worker
        self._handle = -1

    def opened(self, db: Connection) -> None:
        """See Liveness."""

    def live(self, tx: Transaction) -> None:
        """See Liveness."""
        if self._handle >= 0 and not self._is_ours():  # the file was removed
            self.leave()
        if self._handle < 0:
            self._handle = os.open(self._file(self._worker), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            tx.db.execute(seen_statement(tx.dialect), {"id": self._worker, "seen": tx.now, "lock": 0})

    def dead(self, tx: Transaction) -> list[str]:
        """See Liveness."""
        return [worker for worker in sorted(_others(tx, self._worker)) if not self._lives(worker)]

    def leave(self) -> None:
        """See Liveness."""
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                if self._is_ours():
                    self._file(self._worker).unlink()
            os.close(self._handle)
            self._handle = -1

    def _lives(self, worker: str) -> bool:
        try:
            handle = os.open(self._file(worker), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError:
            return True  # not ours to judge
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        else:
            with contextlib.suppress(OSError):
                self._file(worker).unlink()
            return False
        finally:
            os.close(handle)

    def _is_ours(self) -> bool:
        try:
            return self._file(self._worker).stat().st_ino == os.fstat(self._handle).st_ino
        except FileNotFoundError:
            return False

    def _file(self, worker: str) -> Path:
        name = "".join(c for c in worker if c.isalnum() or c == "-")
        return self._database.with_name(f".{self._database.name}.worker-{name}")


class ServerLiveness:
    """With PostgreSQL.

    Args:
        worker: our id.
        number: of our lock, 31 random bits.
    """

    def __init__(self, worker: str, number: int) -> None:
        self._worker, self._number = worker, number

    def opened(self, db: Connection) -> None:
        """See Liveness."""
        with db.begin():
            db.execute(_TAKE, {"locks": _LOCKS, "number": self._number})

    def live(self, tx: Transaction) -> None:
        """See Liveness."""
        tx.db.execute(seen_statement(tx.dialect), {"id": self._worker, "seen": tx.now, "lock": self._number})

    def dead(self, tx: Transaction) -> list[str]:
        """See Liveness."""
        # After a restart of the server no worker holds a lock, and none could beat before.
        started = float(tx.db.execute(_STARTED).scalar_one()) if tx.is_server_time else 0.0
        held = {int(number) for number in tx.db.execute(_HELD, {"locks": _LOCKS}).scalars()}
        return [
            worker
            for worker, (seen, number) in sorted(_others(tx, self._worker).items())
            if max(seen, started) < tx.now - (LEASE_SECONDS if number in held else GRACE_SECONDS)
        ]

    def leave(self) -> None:
        """See Liveness. The lock goes with the connection."""


def _others(tx: Transaction, me: str) -> dict[str, tuple[float, int]]:
    """Other workers -> when they were seen, and the number of their lock."""
    found = {row.id: (row.seen, row.lock) for row in tx.db.execute(OTHER_WORKERS, {"me": me})}
    reserving = tx.db.execute(select(reservations.c.worker).where(reservations.c.worker != me).distinct()).scalars()
    return {**dict.fromkeys(reserving, (0.0, -1)), **found}
