"""The gateway's keys in a database. A change by any process makes the table's version grow."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import select, update

from rightseat.state.key_record import Key
from rightseat.state.lane import Lane, Transaction
from rightseat.state.tables import changes, keys


class SqlKeys:
    """See KeyTable.

    Args:
        lane: does it.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    async def version(self) -> int:
        """See KeyTable."""
        return await self._lane.run(_version, reads=True)

    async def list(self) -> list[Key]:
        """See KeyTable."""
        return await self._lane.run(list_keys, reads=True)

    async def create(self, key: Key) -> None:
        """See KeyTable."""

        def work(tx: Transaction) -> None:
            tx.db.execute(keys.insert().values(**_row(key)))
            _changed(tx)

        await self._lane.run(work)

    async def revoke(self, key_id: str) -> Key | None:
        """See KeyTable."""

        def work(tx: Transaction) -> Key | None:
            key = _find(tx, key_id)
            if key is None or key.revoked_at is not None:
                return key
            return _put(tx, msgspec.structs.replace(key, revoked_at=tx.now))

        return await self._lane.run(work)

    async def rotate(self, key_id: str, digest: str, grace_seconds: float = 0.0) -> Key | None:
        """See KeyTable."""

        def work(tx: Transaction) -> Key | None:
            key = _find(tx, key_id)
            if key is None or key.revoked_at is not None:
                return None
            return _put(tx, key.rotated(digest, tx.now, grace_seconds))

        return await self._lane.run(work)


def list_keys(tx: Transaction) -> list[Key]:
    """All keys, the oldest first."""
    return [_key(row) for row in tx.db.execute(select(keys).order_by(keys.c.created_at, keys.c.id)).mappings()]


def _version(tx: Transaction) -> int:
    return int(tx.db.execute(select(changes.c.number).where(changes.c.id == 1)).scalar() or 0)


def _find(tx: Transaction, key_id: str) -> Key | None:
    row = tx.db.execute(select(keys).where(keys.c.id == key_id).with_for_update()).mappings().first()
    return _key(row) if row is not None else None


def _put(tx: Transaction, key: Key) -> Key:
    tx.db.execute(update(keys).where(keys.c.id == key.id).values(**_row(key)))
    _changed(tx)
    return key


def _changed(tx: Transaction) -> None:
    tx.db.execute(update(changes).where(changes.c.id == 1).values(number=changes.c.number + 1))


def _row(key: Key) -> dict[str, object]:
    return {**msgspec.to_builtins(key), "scopes": ",".join(key.scopes), "models": ",".join(key.models)}


def _key(row: Any) -> Key:
    lists = {name: tuple(part for part in row[name].split(",") if part) for name in ("scopes", "models")}
    return Key(**{**row, **lists})
