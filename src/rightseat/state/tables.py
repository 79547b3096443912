"""The tables of the gateway's keys, and what every request of a limited key asks them, for SQLite and PostgreSQL.

Statements are made once, because to build one takes longer than to run it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    bindparam,
    delete,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

ALIVE_SECONDS = 30.0  # a worker that was not seen for so long is dead, and what it has reserved is free

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
reservations = Table(
    "reservations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("key_id", String(32), nullable=False, index=True),
    Column("worker", String(36), nullable=False),
    Column("tokens", BigInteger, nullable=False),
)
workers = Table("workers", metadata, Column("id", String(36), primary_key=True), Column("seen", Float, nullable=False))
changes = Table(
    "changes", metadata, Column("id", Integer, primary_key=True), Column("number", BigInteger, nullable=False)
)

COUNTED = ("requests", "input_tokens", "output_tokens", "cached_tokens")  # columns of `usage` that grow

_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
HOLD = select(keys.c.id).where(keys.c.id == bindparam("key")).with_for_update()
BUCKETS = select(buckets.c.name, buckets.c.level, buckets.c.at).where(buckets.c.key_id == bindparam("key"))


def _used_statement() -> Select[Any]:
    total = func.coalesce(func.sum(usage.c.input_tokens + usage.c.output_tokens), 0)
    of_key = usage.c.key_id == bindparam("key")
    alive = select(workers.c.id).where(workers.c.seen >= bindparam("since"))
    return select(
        select(total).where(of_key, usage.c.day == bindparam("day")).scalar_subquery(),
        select(total).where(of_key, usage.c.day.like(bindparam("month"))).scalar_subquery(),
        select(func.coalesce(func.sum(reservations.c.tokens), 0))
        .where(
            reservations.c.key_id == bindparam("key"),
            reservations.c.worker.in_(alive) | (reservations.c.worker == bindparam("me")),
        )
        .scalar_subquery(),
    )


def _put_bucket_statement(dialect: str) -> Any:
    row = _INSERT[dialect](buckets)
    new = {"level": row.excluded.level, "at": row.excluded.at}
    return row.on_conflict_do_update(index_elements=["key_id", "name"], set_=new)


def _add_statement(dialect: str) -> Any:
    row = _INSERT[dialect](usage)
    more = {name: usage.c[name] + row.excluded[name] for name in COUNTED}
    return row.on_conflict_do_update(index_elements=["key_id", "day"], set_=more)


USED = _used_statement()
PUT_BUCKET = {dialect: _put_bucket_statement(dialect) for dialect in _INSERT}
ADD = {dialect: _add_statement(dialect) for dialect in _INSERT}
RESERVE = reservations.insert()
FREE = delete(reservations).where(reservations.c.id == bindparam("reservation"))
