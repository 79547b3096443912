"""Cooldowns and logins in a database, for several workers."""

from __future__ import annotations

from sqlalchemy import delete, select, update

from rightseat.state.base import StoredCooldown
from rightseat.state.lane import Lane, Transaction
from rightseat.state.memory import COOLDOWNS, LOGINS
from rightseat.state.tables import cooldowns, logins


class SqlCooldowns:
    """See Cooldowns.

    Args:
        lane: runs the statements.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    async def put(self, name: str, seconds: float, reason: str = "", detail: bytes = b"") -> None:
        """See Cooldowns."""

        def work(tx: Transaction) -> None:
            row = {"until": tx.now + seconds, "reason": reason, "detail": detail}
            found = tx.db.execute(select(cooldowns.c.until).where(cooldowns.c.name == name)).scalar()
            if found is None:
                tx.db.execute(cooldowns.insert().values(name=name, **row))
                newest = select(cooldowns.c.name).order_by(cooldowns.c.until.desc()).limit(COOLDOWNS)
                tx.db.execute(delete(cooldowns).where(cooldowns.c.name.not_in(newest.scalar_subquery())))
            elif found < row["until"]:
                tx.db.execute(update(cooldowns).where(cooldowns.c.name == name).values(**row))

        await self._lane.run(work)

    async def clear(self, name: str) -> None:
        """See Cooldowns."""
        await self._lane.run(lambda tx: tx.db.execute(delete(cooldowns).where(cooldowns.c.name == name)))

    async def all(self) -> dict[str, StoredCooldown]:
        """See Cooldowns."""

        def work(tx: Transaction) -> dict[str, StoredCooldown]:
            rows = tx.db.execute(select(cooldowns).where(cooldowns.c.until > tx.now))
            return {row.name: StoredCooldown(row.until - tx.now, row.reason, bytes(row.detail)) for row in rows}

        return await self._lane.run(work, reads=True)


class SqlLogins:
    """See Logins.

    Args:
        lane: runs the statements.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    async def put(self, login_id: str, data: bytes) -> None:
        """See Logins."""

        def work(tx: Transaction) -> None:
            changed = tx.db.execute(update(logins).where(logins.c.id == login_id).values(data=data))
            if not changed.rowcount:
                tx.db.execute(logins.insert().values(id=login_id, at=tx.now, data=data))
                newest = select(logins.c.id).order_by(logins.c.at.desc(), logins.c.id.desc()).limit(LOGINS)
                tx.db.execute(delete(logins).where(logins.c.id.not_in(newest.scalar_subquery())))

        await self._lane.run(work)

    async def get(self, login_id: str) -> bytes | None:
        """See Logins."""

        def work(tx: Transaction) -> bytes | None:
            data = tx.db.execute(select(logins.c.data).where(logins.c.id == login_id)).scalar()
            return None if data is None else bytes(data)

        return await self._lane.run(work, reads=True)

    async def remove(self, login_id: str) -> None:
        """See Logins."""
        await self._lane.run(lambda tx: tx.db.execute(delete(logins).where(logins.c.id == login_id)))
