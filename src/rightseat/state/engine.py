"""The database behind the stores: where it is, how a connection to it is made, and its tables brought up to date.

Every wait has a limit. A connection is one thread's; see `lane`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, func, inspect, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError

from rightseat.errors import ConfigError
from rightseat.state.tables import create_tables

HEAD = "0003"  # of the migrations
CONNECT_SECONDS = 2  # for a server to let us in; libpq takes no less
BUSY_SECONDS = 2.0  # for another process to let go of an SQLite file
_OPENING = 0x72696768  # PostgreSQL's advisory lock for who makes the tables
# A connection over which nothing comes any more is found dead by the kernel.
_SERVER_OPTIONS = {
    "connect_timeout": CONNECT_SECONDS, "keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
    "tcp_user_timeout": 5000, "application_name": "rightseat",
}  # fmt: skip
# Limits of the server's own, in each transaction, because a pooler forgets those of a session. With them comes the server's clock.
_BEGIN = text(
    "select set_config('statement_timeout', '2500', true), set_config('lock_timeout', '2000', true), "
    "set_config('idle_in_transaction_session_timeout', '5000', true), extract(epoch from clock_timestamp())"
)


_BEGIN_TO_OPEN = text(
    "select set_config('statement_timeout', '25000', true), set_config('lock_timeout', '25000', true)"
)


def place_of(where: str | Path) -> Path | URL:
    """A file, or the address of a server. Raises ConfigError: it is neither."""
    if "://" not in str(where):
        return Path(where)
    try:
        at = make_url(str(where))
    except (SQLAlchemyError, ValueError) as e:
        raise ConfigError(f"database: {shown(where)} cannot be used: {first_line(e)}") from None
    if at.drivername == "sqlite" and at.database not in (None, "", ":memory:"):
        return Path(str(at.database))
    if at.drivername in ("postgres", "postgresql"):  # as everybody writes it
        at = at.set(drivername="postgresql+psycopg")
    if at.drivername != "postgresql+psycopg":
        raise ConfigError(f"database: {shown(where)} must be PostgreSQL's, or the path of an SQLite file")
    return at


def make_engine(place: Path | URL, on_connect: Callable[[Any], None] | None = None) -> Engine:
    """An engine that keeps no connection by itself.

    Args:
        place: see `place_of`.
        on_connect: given each connection of the driver as soon as there is one.

    Raises:
        ConfigError: a package is missing, or the file cannot be made.
    """
    return _file_engine(place) if isinstance(place, Path) else _server_engine(place, on_connect)


def _server_engine(at: URL, on_connect: Callable[[Any], None] | None) -> Engine:
    try:
        engine = create_engine(at, poolclass=NullPool, connect_args=_SERVER_OPTIONS)
    except ModuleNotFoundError as e:
        raise ConfigError(
            f"database: PostgreSQL needs the package {e.name}: pip install 'rightseat[postgres]'"
        ) from None
    except (SQLAlchemyError, ValueError) as e:
        raise ConfigError(f"database: {shown(at)} cannot be used: {first_line(e)}") from None
    if on_connect is not None:

        @event.listens_for(engine, "do_connect")
        def _connect(dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
            made = dialect.connect(*arguments, **options)
            on_connect(made)
            return made

    return engine


def _file_engine(path: Path) -> Engine:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    except OSError as e:
        raise ConfigError(f"the database of keys cannot be made in {path.parent}: {e.strerror}") from e
    options = {"check_same_thread": False, "timeout": BUSY_SECONDS}
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool, connect_args=options)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we begin ourselves, see below
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")  # what was reserved is on the disk before it is used

    @event.listens_for(engine, "begin")
    def _begin_now(db: Connection) -> None:
        # "immediate": else two workers read the same and then both write.
        db.exec_driver_sql("begin" if db.get_execution_options().get("reads") else "begin immediate")

    return engine


def server_time(db: Connection) -> float:
    """The first statement of each transaction with a server: its clock, in seconds since 1970, and its limits for the rest."""
    return float(db.execute(_BEGIN).one()[3])


def open_tables(engine: Engine, place: Path | URL) -> None:
    """Bring the tables to `HEAD`; one process after another. Raises SQLAlchemyError."""
    with _one_at_a_time(place):
        _migrate(engine)


def _migrate(engine: Engine) -> None:
    with engine.connect() as db, db.begin():
        if db.dialect.name == "postgresql":  # SQLite's file is locked already
            db.execute(_BEGIN_TO_OPEN)
            db.execute(select(func.pg_advisory_xact_lock(_OPENING)))
        if inspect(db).has_table("alembic_version"):
            at = db.execute(text("select version_num from alembic_version")).scalar()
            if at == HEAD:
                return
            from rightseat.state.migrations import upgrade  # Alembic is loaded only if there is something to do

            upgrade(db)
        else:
            create_tables(db, HEAD)


@contextlib.contextmanager
def _one_at_a_time(place: Path | URL) -> Iterator[None]:
    """Be the only process that opens a file: SQLite does not wait while another one changes its journal's mode."""
    if not isinstance(place, Path):
        yield
        return
    handle = os.open(place.with_name(f".{place.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def shown(where: str | Path | URL) -> str:
    """The database without its password."""
    head, at, tail = str(where).rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if at else str(where)


def first_line(error: BaseException) -> str:
    """What a database says, without the statement."""
    return str(error).splitlines()[0].split("[SQL", maxsplit=1)[0][:200] if str(error) else type(error).__name__
