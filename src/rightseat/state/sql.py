"""Where keys rest, and what they used: a database that all workers share, SQLite or PostgreSQL.

Every method blocks for a moment; the event loop calls them in a thread. What is decided about a key happens in one transaction that
holds the key's row, so that two workers never spend the same tokens. SQLite locks the whole file instead.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    delete,
    event,
    func,
    inspect,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from rightseat.chat import Usage
from rightseat.errors import ConfigError, KeyDatabaseError
from rightseat.layers.rate import Bucket
from rightseat.state.budget import Used, Verdict, day_of, decide, settled
from rightseat.state.keys import Key, digest_of, new_text
from rightseat.state.tables import (
    ADD,
    ALIVE_SECONDS,
    BUCKETS,
    FREE,
    HOLD,
    PUT_BUCKET,
    RESERVE,
    USED,
    changes,
    keys,
    reservations,
    usage,
    workers,
)

HEAD = "0001"  # of the migrations
CONNECT_SECONDS = 5  # for a server to let us in
_OPENING = 0x72696768  # PostgreSQL's advisory lock for who makes the tables


class Spent(Struct, frozen=True):
    """What a key used in a day or a month."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
        )


def spent_by(used: Usage | None, guess: int = 0) -> Spent:
    """One request's use; `guess` tokens of input where nobody told."""
    if used is None:
        return Spent(1, guess)
    return Spent(1, used.input_tokens, used.output_tokens, used.cached_tokens)


class KeyStore:
    """The database.

    Args:
        url: as SQLAlchemy writes it, or the path of an SQLite file.
        pepper: keys the hashes.
        now: the wall clock, in seconds.

    Raises:
        ConfigError: the database cannot be opened. Every method may raise KeyDatabaseError.
    """

    def __init__(self, url: str | Path, pepper: bytes, now: Callable[[], float] = time.time) -> None:
        self._where = str(url)
        self._pepper = pepper
        self._now = now
        self.worker = str(uuid.uuid4())
        place = _place(url)
        self._engine = _engine(place)
        # SQLite has one connection, so one transaction at a time.
        self._turn = threading.Lock() if self._engine.dialect.name == "sqlite" else contextlib.nullcontext()
        try:
            with _one_at_a_time(place):
                self._migrate()
        except SQLAlchemyError as e:
            self._engine.dispose()
            raise ConfigError(f"the database of keys ({_shown(url)}) cannot be used: {_first_line(e)}") from None

    def close(self) -> None:
        """Let go of what this worker has reserved, and of the database."""
        with contextlib.suppress(KeyDatabaseError), self._begin() as db:
            db.execute(delete(reservations).where(reservations.c.worker == self.worker))
            db.execute(delete(workers).where(workers.c.id == self.worker))
        self._engine.dispose()

    # keys

    def create(self, name: str, **fields: Any) -> tuple[Key, str]:
        """A new key, and its text, which is shown this once. Raises ConfigError: a field makes no sense; the message names it."""
        whole, key_id, secret = new_text()
        try:
            key = Key(id=key_id, name=name, digest=digest_of(secret, self._pepper), created_at=self._now(), **fields)
        except TypeError as e:
            raise ConfigError(str(e)) from e
        with self._begin() as db:
            db.execute(keys.insert().values(**_row(key)))
            self._changed(db)
        return key, whole

    def list(self) -> list[Key]:
        """All keys, the oldest first; revoked ones too."""
        with self._begin() as db:
            return [_key(row) for row in db.execute(select(keys).order_by(keys.c.created_at, keys.c.id)).mappings()]

    def revoke(self, key_id: str) -> Key | None:
        """End a key, for good. None: there is none of that id."""
        with self._begin() as db:
            db.execute(
                update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=self._now())
            )
            self._changed(db)
            row = db.execute(select(keys).where(keys.c.id == key_id)).mappings().first()
            return _key(row) if row is not None else None

    def rotate(self, key_id: str, grace_seconds: float = 0.0) -> tuple[Key, str] | None:
        """A new secret for a key, and its text; the old one counts for `grace_seconds` more. None: there is no such active key."""
        now = self._now()
        with self._begin() as db:
            row = db.execute(select(keys).where(keys.c.id == key_id).with_for_update()).mappings().first()
            if row is None or (old := _key(row)).state(now) == "revoked":
                return None
            whole, _, secret = new_text(key_id)
            until = now + grace_seconds if grace_seconds > 0 else None
            key = msgspec.structs.replace(
                old,
                digest=digest_of(secret, self._pepper),
                previous_digest=old.digest if until else "",
                previous_until=until,
            )
            db.execute(update(keys).where(keys.c.id == key_id).values(**_row(key)))
            self._changed(db)
            return key, whole

    def version(self) -> int:
        """Grows with every change of a key, by whatever process."""
        with self._begin() as db:
            return int(db.execute(select(changes.c.number).where(changes.c.id == 1)).scalar() or 0)

    # use

    def beat(self) -> None:
        """This worker is alive; what dead ones have reserved is free."""
        now = self._now()
        with self._begin() as db:
            db.execute(select(changes.c.id).with_for_update())  # one worker after another, or two wait for each other
            if not db.execute(update(workers).where(workers.c.id == self.worker).values(seen=now)).rowcount:
                db.execute(workers.insert().values(id=self.worker, seen=now))
            dead = select(workers.c.id).where(workers.c.seen < now - ALIVE_SECONDS)
            db.execute(delete(reservations).where(reservations.c.worker.in_(dead)))
            db.execute(delete(workers).where(workers.c.seen < now - ALIVE_SECONDS))

    def admit(self, key: Key, most: int) -> tuple[Verdict, str]:
        """Decide about a request that uses `most` tokens at most; with a reservation's id if it may go on."""
        now = self._now()
        with self._begin() as db:
            _hold(db, key.id)
            verdict = decide(key, self._used(db, key, now), most, now)
            if verdict.refused:
                return verdict, ""
            _put_buckets(db, key.id, {"requests": verdict.requests, "tokens": verdict.tokens})
            reservation = str(uuid.uuid4())
            db.execute(RESERVE, {"id": reservation, "key_id": key.id, "worker": self.worker, "tokens": most})
            return verdict, reservation

    def settle(self, key: Key, reservation: str, most: int, spent: Spent) -> None:
        """A request that was admitted is over."""
        now = self._now()
        with self._begin() as db:
            _hold(db, key.id)
            db.execute(FREE, {"reservation": reservation})
            _add(db, key.id, day_of(now), spent)
            bucket = _buckets(db, key).get("tokens")
            after = settled(key, bucket, most, spent.input_tokens + spent.output_tokens, now)
            _put_buckets(db, key.id, {"tokens": after})

    def add(self, spent: dict[str, Spent]) -> None:
        """What keys without limits have used since the last time."""
        day = day_of(self._now())
        with self._begin() as db:
            for key_id, one in sorted(spent.items()):  # in one order, or two workers wait for each other
                _hold(db, key_id)
                _add(db, key_id, day, one)

    def spent(self) -> dict[str, dict[str, Spent]]:
        """Key id -> "day" and "month" -> what was used."""
        today = day_of(self._now())
        found: dict[str, dict[str, Spent]] = {}
        with self._begin() as db:
            for row in db.execute(select(usage).where(usage.c.day.like(f"{today[:7]}-%"))).mappings():
                one = Spent(row["requests"], row["input_tokens"], row["output_tokens"], row["cached_tokens"])
                of = found.setdefault(row["key_id"], {"day": Spent(), "month": Spent()})
                of["month"] += one
                if row["day"] == today:
                    of["day"] += one
        return found

    def _used(self, db: Connection, key: Key, now: float) -> Used:
        today = day_of(now)
        asked = {
            "key": key.id,
            "day": today,
            "month": f"{today[:7]}-%",
            "since": now - ALIVE_SECONDS,
            "me": self.worker,
        }
        day, month, reserved = db.execute(USED, asked).one()
        known = _buckets(db, key)
        return Used(int(day), int(month), int(reserved), known.get("requests"), known.get("tokens"))

    def _changed(self, db: Connection) -> None:
        db.execute(update(changes).where(changes.c.id == 1).values(number=changes.c.number + 1))

    @contextlib.contextmanager
    def _begin(self) -> Iterator[Connection]:
        """One transaction."""
        try:
            with self._turn, self._engine.begin() as db:
                yield db
        except SQLAlchemyError as e:
            raise KeyDatabaseError(f"the database of keys ({_shown(self._where)}) failed: {_first_line(e)}") from None

    def _migrate(self) -> None:
        """Bring the tables to `HEAD`. Alembic is loaded only if there is something to do."""
        with self._engine.begin() as db:
            if db.dialect.name == "postgresql":  # SQLite's file is locked already
                db.execute(select(func.pg_advisory_xact_lock(_OPENING)))
            if inspect(db).has_table("alembic_version"):
                at = db.execute(text("select version_num from alembic_version")).scalar()
                if at == HEAD:
                    return
            from rightseat.state.migrations import upgrade

            upgrade(db)


def count_active(url: str | Path, now: float) -> int | None:
    """How many keys could be used, without changing anything; None: the tables are not made yet. Raises ConfigError."""
    engine = _engine(_place(url))
    try:
        with engine.connect() as db:
            if not inspect(db).has_table(keys.name):
                return None
            rows = db.execute(select(keys)).mappings()
            return sum(_key(row).state(now) == "active" for row in rows)
    except SQLAlchemyError as e:
        raise ConfigError(f"the database of keys ({_shown(url)}) cannot be used: {_first_line(e)}") from None
    finally:
        engine.dispose()


def _place(url: str | Path) -> Path | URL:
    """A file, or the address of a server."""
    if "://" not in str(url):
        return Path(url)
    try:
        at = make_url(str(url))
    except (SQLAlchemyError, ValueError) as e:
        raise ConfigError(f"database: {_shown(url)} cannot be used: {_first_line(e)}") from None
    if at.drivername == "sqlite" and at.database not in (None, "", ":memory:"):
        return Path(str(at.database))
    if at.drivername in ("postgres", "postgresql"):  # as everybody writes it
        at = at.set(drivername="postgresql+psycopg")
    if at.drivername != "postgresql+psycopg":
        raise ConfigError(f"database: {_shown(url)} must be PostgreSQL's, or the path of an SQLite file")
    return at


def _engine(place: Path | URL) -> Engine:
    return _file_engine(place) if isinstance(place, Path) else _server_engine(place)


def _server_engine(at: URL) -> Engine:
    try:
        return create_engine(at, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_SECONDS})
    except ModuleNotFoundError as e:
        raise ConfigError(
            f"database: PostgreSQL needs the package {e.name}: pip install 'rightseat[postgres]'"
        ) from None
    except (SQLAlchemyError, ValueError) as e:
        raise ConfigError(f"database: {_shown(at)} cannot be used: {_first_line(e)}") from None


def _file_engine(path: Path) -> Engine:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    except OSError as e:
        raise ConfigError(f"the database of keys cannot be made in {path.parent}: {e.strerror}") from e
    engine = create_engine(
        f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False, "timeout": 10}
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we begin ourselves, see below
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=normal")

    @event.listens_for(engine, "begin")
    def _begin_now(db: Connection) -> None:
        db.exec_driver_sql("begin immediate")  # else two workers read the same and then both write

    return engine


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


def _shown(url: str | Path | URL) -> str:
    """The database without its password."""
    head, at, tail = str(url).rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if at else str(url)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].split("[SQL", maxsplit=1)[0][:200] if str(error) else type(error).__name__


def _row(key: Key) -> dict[str, Any]:
    return {**msgspec.to_builtins(key), "scopes": ",".join(key.scopes), "models": ",".join(key.models)}


def _key(row: Any) -> Key:
    lists = {name: tuple(part for part in row[name].split(",") if part) for name in ("scopes", "models")}
    return Key(**{**row, **lists})


def _hold(db: Connection, key_id: str) -> None:
    """Nobody else decides about this key until the transaction ends. SQLite's file is locked already."""
    if db.dialect.name != "sqlite":
        db.execute(HOLD, {"key": key_id})


def _buckets(db: Connection, key: Key) -> dict[str, Bucket]:
    if key.requests_per_minute is None and key.tokens_per_minute is None:
        return {}
    return {name: Bucket(level, at) for name, level, at in db.execute(BUCKETS, {"key": key.id})}


def _put_buckets(db: Connection, key_id: str, given: dict[str, Bucket | None]) -> None:
    rows = [{"key_id": key_id, "name": n, "level": b.level, "at": b.at} for n, b in given.items() if b is not None]
    if rows:
        db.execute(PUT_BUCKET[db.dialect.name], rows)


def _add(db: Connection, key_id: str, day: str, spent: Spent) -> None:
    db.execute(ADD[db.dialect.name], {"key_id": key_id, "day": day, **msgspec.to_builtins(spent)})
