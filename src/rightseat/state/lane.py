"""A thread with a connection of its own, and a time limit around everything it is asked to do.

A database that hangs is not waited for: callers get an error in time, and the connection that hangs is cut, so that the thread is
free again. Does not know what is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import ConfigError, KeyDatabaseError
from rightseat.state.engine import first_line, make_engine, open_tables, server_time, shown

T = TypeVar("T")
ANSWER_SECONDS = 4.0  # for whatever is asked, waiting for the thread included
OPEN_SECONDS = 30.0  # for the first time, when the tables may be made, by one process after another
_Job = Callable[[], None]


class Transaction:
    """What work is given: a connection within a transaction, and the store's clock.

    Attributes:
        db: the connection.
        now: seconds since 1970.
        is_server_time: `now` is the server's own clock.
    """

    __slots__ = ("db", "is_server_time", "now")

    def __init__(self, db: Connection, now: float, *, is_server_time: bool = False) -> None:
        self.db, self.now, self.is_server_time = db, now, is_server_time

    @property
    def dialect(self) -> str:
        """Either "sqlite" or "postgresql"."""
        return self.db.dialect.name


class Lane:
    """One connection, used by one thread.

    Args:
        place: see `engine.place_of`.
        clock: the store's, in a test; None: a server's own, the machine's for a file.
        on_open: called in the thread with each new connection, outside a transaction.
        limit: seconds for everything that is asked.
    """

    def __init__(
        self,
        place: Path | URL,
        *,
        clock: Clock | None = None,
        on_open: Callable[[Connection], None] = lambda _: None,
        limit: float = ANSWER_SECONDS,
    ) -> None:
        self._place, self._clock, self._on_open, self._limit = place, clock, on_open, limit
        self._engine: Engine | None = None
        self._db: Connection | None = None
        self._spare = -1  # a second descriptor of the connection's socket, by which another thread can end it
        self._guard = threading.Lock()
        self._turn = asyncio.Lock()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def run(self, work: Callable[[Transaction], T], *, reads: bool = False) -> T:
        """Do something in one transaction.

        Args:
            work: in the thread; may be called a second time if the connection turns out to be dead before anything was done.
            reads: nothing is written.

        Raises:
            ConfigError: the database has never been opened, and cannot be.
            KeyDatabaseError: it failed, or has not answered in time; then it may or may not be done.
        """
        if self._closed:
            raise KeyDatabaseError(f"the database of keys ({shown(self._place)}) has been closed")
        limit = self._limit if self._engine is not None else OPEN_SECONDS
        try:
            async with asyncio.timeout(limit):
                await self._turn.acquire()
                job = self._submit(lambda: self._transact(work, reads=reads))
                return await asyncio.shield(job)
        except TimeoutError:
            self._cut()
            raise KeyDatabaseError(
                f"the database of keys ({shown(self._place)}) has not answered within {limit:g} s"
            ) from None

    async def close(self) -> None:
        """Give up the connection; the thread ends when it is free."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(KeyDatabaseError, TimeoutError):
            async with asyncio.timeout(self._limit):
                await self._turn.acquire()
                await asyncio.shield(self._submit(self._discard))
        self._cut()
        self._jobs.put(None)

    def _submit(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have the thread do something; the turn ends when the job ends, even if its caller has left."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def done(result: T | None, error: BaseException | None) -> None:
            self._turn.release()
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
                future.exception()  # the caller may have left
            else:
                future.set_result(result)  # type: ignore[arg-type]

        def job() -> None:
            result: T | None = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as e:
                error = e
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(done, result, error)

        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="rightseat-keys", daemon=True)
            self._thread.start()
        self._jobs.put(job)
        return future

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    # in the thread

    def _transact(self, work: Callable[[Transaction], T], *, reads: bool) -> T:
        try:
            was_open = self._db is not None
            try:
                return self._once(work, reads=reads)
            except _StaleError:
                if not was_open:
                    raise
                return self._once(work, reads=reads)  # the server went away since the last time, and may be back
        except (_StaleError, SQLAlchemyError) as e:
            cause = e.__cause__ if isinstance(e, _StaleError) and e.__cause__ is not None else e
            raise KeyDatabaseError(f"the database of keys ({shown(self._place)}) failed: {first_line(cause)}") from None

    def _once(self, work: Callable[[Transaction], T], *, reads: bool) -> T:
        db = self._connection()
        try:
            db.execution_options(reads=reads)
            with db.begin():
                now = self._now(db)
                own = self._clock is None and db.dialect.name != "sqlite"
                return work(Transaction(db, now, is_server_time=own))
        except _StaleError:
            self._discard()
            raise
        except DBAPIError as e:
            if e.connection_invalidated or db.dialect.name != "sqlite":
                self._discard()
            raise

    def _now(self, db: Connection) -> float:
        """The store's clock. With a server it is the transaction's first statement, so that a dead connection is found here."""
        if db.dialect.name == "sqlite":
            return (self._clock or SYSTEM_CLOCK).wall()
        try:
            now = server_time(db)
        except DBAPIError as e:
            raise _StaleError from e
        return now if self._clock is None else self._clock.wall()

    def _connection(self) -> Connection:
        if self._engine is None:
            self._engine = self._opened()
        if self._db is None:
            self._db = self._engine.connect()
            try:
                self._on_open(self._db)
            except BaseException:
                self._discard()
                raise
        return self._db

    def _opened(self) -> Engine:
        engine = make_engine(self._place, self._watch)
        try:
            open_tables(engine, self._place)
        except SQLAlchemyError as e:
            raise ConfigError(f"the database of keys ({shown(self._place)}) cannot be used: {first_line(e)}") from None
        finally:
            self._unwatch()
        return engine

    def _discard(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(Exception):
                db.invalidate()
            with contextlib.suppress(Exception):
                db.close()
        self._unwatch()

    def _watch(self, connection: Any) -> None:
        """Keep a second descriptor of a server's socket. The driver closes and forgets its own when it likes; this one is ours."""
        with self._guard:
            self._close_spare()
            self._spare = os.dup(connection.fileno())

    def _unwatch(self) -> None:
        with self._guard:
            self._close_spare()

    def _close_spare(self) -> None:
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    # in any thread

    def _cut(self) -> None:
        """End the connection under the thread that waits on it."""
        with self._guard:
            if self._spare < 0:
                return
            with socket.socket(fileno=os.dup(self._spare)) as same, contextlib.suppress(OSError):
                same.shutdown(socket.SHUT_RDWR)


class _StaleError(Exception):
    """The connection was dead before anything was done."""
