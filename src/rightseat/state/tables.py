"""The tables of the gateway's keys, and the statements over them, for SQLite and PostgreSQL.

Statements are made once, because to build one takes longer than to run it.
"""

from __future__ import annotations

import functools
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    bindparam,
    case,
    delete,
    func,
    select,
)

metadata = MetaData()
keys = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Column("scopes", String, nullable=False),
    Column("models", String, nullable=False),
    Column("requests_per_minute", Float),
    Column("tokens_per_minute", Float),
    Column("daily_tokens", BigInteger),
    Column("monthly_tokens", BigInteger),
    Column("previous_digest", String(64), nullable=False, server_default=""),
    Column("previous_until", Float),
)
usage = Table(
    "usage",
    metadata,
    Column("key_id", String(32), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("requests", BigInteger, nullable=False, server_default="0"),
    Column("input_tokens", BigInteger, nullable=False, server_default="0"),
    Column("output_tokens", BigInteger, nullable=False, server_default="0"),
    Column("cached_tokens", BigInteger, nullable=False, server_default="0"),
)
buckets = Table(
    "buckets",
    metadata,
    Column("key_id", String(32), primary_key=True),
    Column("name", String(10), primary_key=True),
    Column("level", Float, nullable=False),
    Column("at", Float, nullable=False),
)
# The row is there as long as the reservation is open. `tokens` is the most it can use, `input_tokens` the part of it that is its input.
reservations = Table(
    "reservations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("key_id", String(32), nullable=False, index=True),
    Column("worker", String(36), nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False, server_default="0"),
    Column("at", Float, nullable=False, server_default="0"),
)
# Times are by the store's clock. `lock` is the number of PostgreSQL's advisory lock that the worker holds as long as it lives.
workers = Table(
    "workers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("seen", Float, nullable=False),
    Column("lock", Integer, nullable=False, server_default="0"),
)
changes = Table(
    "changes", metadata, Column("id", Integer, primary_key=True), Column("number", BigInteger, nullable=False)
)
cooldowns = Table(
    "cooldowns",
    metadata,
    Column("name", String(300), primary_key=True),
    Column("until", Float, nullable=False),
    Column("reason", String, nullable=False, server_default=""),
    Column("detail", LargeBinary, nullable=False),
)
logins = Table(
    "logins",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at", Float, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

# The form in which Alembic notes the last step that was done.
alembic_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))

COUNTED = ("requests", "input_tokens", "output_tokens", "cached_tokens")  # columns of `usage` that grow

_KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)


def _used_statement() -> Select[Any]:
    tokens = usage.c.input_tokens + usage.c.output_tokens
    return (
        select(usage.c.key_id, func.sum(case((usage.c.day == bindparam("day"), tokens), else_=0)), func.sum(tokens))
        .where(usage.c.key_id.in_(_KEYS), usage.c.day.between(bindparam("first"), bindparam("last")))
        .group_by(usage.c.key_id)
    )


def _insert(dialect: str, table: Table) -> Any:
    """An insert that can say what happens on a conflict. A dialect takes long to load: only the one that is used is."""
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


@functools.cache
def put_bucket_statement(dialect: str) -> Any:
    """Write a bucket."""
    row = _insert(dialect, buckets)
    new = {"level": row.excluded.level, "at": row.excluded.at}
    return row.on_conflict_do_update(index_elements=["key_id", "name"], set_=new)


@functools.cache
def add_statement(dialect: str) -> Any:
    """Add to what was used on a day."""
    row = _insert(dialect, usage)
    more = {name: usage.c[name] + row.excluded[name] for name in COUNTED}
    return row.on_conflict_do_update(index_elements=["key_id", "day"], set_=more)


@functools.cache
def seen_statement(dialect: str) -> Any:
    """A worker has been seen."""
    row = _insert(dialect, workers)
    return row.on_conflict_do_update(index_elements=["id"], set_={"seen": row.excluded.seen, "lock": row.excluded.lock})


# Locks keys until the transaction ends: in a fixed order, so that two workers never wait for each other.
LOCK_KEYS = select(keys.c.id).where(keys.c.id.in_(_KEYS)).order_by(keys.c.id).with_for_update()
USED = _used_statement()
RESERVED = (
    select(reservations.c.key_id, func.sum(reservations.c.tokens), func.min(reservations.c.at))
    .where(reservations.c.key_id.in_(_KEYS))
    .group_by(reservations.c.key_id)
)
BUCKETS = select(buckets.c.key_id, buckets.c.name, buckets.c.level, buckets.c.at).where(buckets.c.key_id.in_(_KEYS))
HOLDS = select(reservations).where(reservations.c.id.in_(_IDS))
HOLDS_OF = select(reservations).where(reservations.c.worker.in_(bindparam("workers", expanding=True)))
RESERVE = reservations.insert()
END = delete(reservations).where(reservations.c.id.in_(_IDS))
OTHER_WORKERS = select(workers).where(workers.c.id != bindparam("me"))
FORGET_WORKERS = delete(workers).where(workers.c.id.in_(_IDS))


def create_tables(db: Connection, version: str) -> None:
    """Make all tables in an empty database, as the migrations up to `version` would: they take longer than all else that is done then."""
    metadata.create_all(db)
    db.execute(changes.insert().values(id=1, number=0))
    alembic_version.create(db)
    db.execute(alembic_version.insert().values(version_num=version))
