"""Stores in memory: of one process, or of several workers of one test. Forgotten when the process ends."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import msgspec

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.state import budget
from rightseat.state.base import StoredCooldown
from rightseat.state.buckets import Bucket
from rightseat.state.budget import BudgetChanges, Decision, Hold, Settle, Sheet, Spent, day_of
from rightseat.state.key_record import Key

COOLDOWNS = 10_000
LOGINS = 100


class MemoryDatabase:
    """What workers of one process share. A `Book` of budgets as well."""

    def __init__(self) -> None:
        self.version = 0
        self.keys: dict[str, Key] = {}
        self.open: dict[str, Hold] = {}
        self.used: dict[tuple[str, str], Spent] = {}
        self.buckets: dict[str, tuple[Bucket | None, Bucket | None]] = {}
        self.alive: set[str] = set()
        self.cooldowns: OrderedDict[str, tuple[float, str, bytes]] = OrderedDict()  # until when, why, and the detail
        self.logins: OrderedDict[str, bytes] = OrderedDict()

    def sheets(self, key_ids: Sequence[str], day: str) -> dict[str, Sheet]:
        """See Book."""
        return {key_id: self._sheet(key_id, day) for key_id in key_ids}

    def _sheet(self, key_id: str, day: str) -> Sheet:
        month = sum(s.tokens for (k, d), s in self.used.items() if k == key_id and d[:7] == day[:7])
        holds = [hold for hold in self.open.values() if hold.key_id == key_id]
        oldest = min((hold.at for hold in holds), default=None)
        today = self.used.get((key_id, day), Spent()).tokens
        return Sheet(today, month, sum(h.most for h in holds), oldest, *self.buckets.get(key_id, (None, None)))

    def holds(self, ids: Sequence[str]) -> dict[str, Hold]:
        """See Book."""
        return {hold_id: self.open[hold_id] for hold_id in ids if hold_id in self.open}

    def write(self, changes: BudgetChanges, day: str) -> None:
        """See Book."""
        self.open.update((hold.id, hold) for hold in changes.begun)
        for hold_id in changes.ended:
            del self.open[hold_id]
        for key_id, spent in changes.spent.items():
            self.used[key_id, day] = self.used.get((key_id, day), Spent()) + spent
        for key_id, sheet in changes.sheets.items():
            self.buckets[key_id] = (sheet.requests, sheet.tokens)


class MemoryKeys:
    """See KeyTable."""

    def __init__(self, database: MemoryDatabase, clock: Clock) -> None:
        self._db, self._clock = database, clock

    async def version(self) -> int:
        """See KeyTable."""
        return self._db.version

    async def list(self) -> list[Key]:
        """See KeyTable."""
        return sorted(self._db.keys.values(), key=lambda key: (key.created_at, key.id))

    async def create(self, key: Key) -> None:
        """See KeyTable."""
        self._put(key)

    async def revoke(self, key_id: str) -> Key | None:
        """See KeyTable."""
        key = self._db.keys.get(key_id)
        if key is not None and key.revoked_at is None:
            key = self._put(msgspec.structs.replace(key, revoked_at=self._clock.wall()))
        return key

    async def rotate(self, key_id: str, digest: str, grace_seconds: float = 0.0) -> Key | None:
        """See KeyTable."""
        key = self._db.keys.get(key_id)
        if key is None or key.revoked_at is not None:
            return None
        return self._put(key.rotated(digest, self._clock.wall(), grace_seconds))

    def _put(self, key: Key) -> Key:
        self._db.keys[key.id] = key
        self._db.version += 1
        return key


class MemoryLedger:
    """See Ledger."""

    def __init__(self, database: MemoryDatabase, clock: Clock, worker: str) -> None:
        self._db, self._clock, self.worker = database, clock, worker
        database.alive.add(worker)

    async def enter(self, key: Key) -> Decision:
        """See Ledger."""
        return self._decide(budget.Enter(key))

    async def reserve(self, key: Key, hold: str, input_tokens: int, most: int) -> Decision:
        """See Ledger."""
        return self._decide(budget.Reserve(key, hold, input_tokens, most))

    async def settle(self, settlements: Sequence[Settle]) -> list[bool]:
        """See Ledger."""
        return [given is True for given in self._apply(settlements)]

    async def add(self, spent: Mapping[str, Spent]) -> None:
        """See Ledger."""
        self._apply([budget.Add(key_id, one) for key_id, one in spent.items()])

    async def spent(self) -> dict[str, dict[str, Spent]]:
        """See Ledger."""
        today = day_of(self._clock.wall())
        found: dict[str, dict[str, Spent]] = {}
        for (key_id, day), one in self._db.used.items():
            if day[:7] == today[:7]:
                of = found.setdefault(key_id, {"day": Spent(), "month": Spent()})
                of["month"] += one
                of["day"] += one if day == today else Spent()
        return found

    async def beat(self) -> None:
        """See Ledger."""
        self.expire(self._db.alive)

    def expire(self, alive: set[str]) -> None:
        """Book what others than those have reserved."""
        dead = [hold for hold in self._db.open.values() if hold.worker not in alive]
        budget.expire(self._db, dead, self._clock.wall())

    def _decide(self, operation: budget.Operation) -> Decision:
        self.expire(self._db.alive)
        (decision,) = self._apply([operation])
        assert isinstance(decision, Decision)
        return decision

    def _apply(self, operations: Sequence[budget.Operation]) -> list[Decision | bool]:
        return budget.apply(self._db, operations, self.worker, self._clock.wall())


class MemoryCooldowns:
    """See Cooldowns."""

    def __init__(self, database: MemoryDatabase, clock: Clock) -> None:
        self._clock = clock
        self._found = database.cooldowns

    async def put(self, name: str, seconds: float, reason: str = "", detail: bytes = b"") -> None:
        """See Cooldowns."""
        until = self._clock.wall() + seconds
        if name in self._found and self._found[name][0] >= until:
            return
        self._found[name] = (until, reason, detail)
        self._found.move_to_end(name)
        while len(self._found) > COOLDOWNS:
            self._found.popitem(last=False)

    async def clear(self, name: str) -> None:
        """See Cooldowns."""
        self._found.pop(name, None)

    async def all(self) -> dict[str, StoredCooldown]:
        """See Cooldowns."""
        now = self._clock.wall()
        for name in [name for name, (until, _, _) in self._found.items() if until <= now]:
            del self._found[name]
        return {
            name: StoredCooldown(until - now, reason, detail) for name, (until, reason, detail) in self._found.items()
        }


class MemoryLogins:
    """See Logins."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._found = database.logins

    async def put(self, login_id: str, data: bytes) -> None:
        """See Logins."""
        self._found[login_id] = data
        while len(self._found) > LOGINS:
            self._found.popitem(last=False)

    async def get(self, login_id: str) -> bytes | None:
        """See Logins."""
        return self._found.get(login_id)

    async def remove(self, login_id: str) -> None:
        """See Logins."""
        self._found.pop(login_id, None)


class MemoryState:
    """See State.

    Args:
        database: shared with other workers of the same process, or its own.
        clock: the store's.
        ids: names the worker.
    """

    def __init__(
        self, database: MemoryDatabase | None = None, *, clock: Clock = SYSTEM_CLOCK, ids: Ids = SYSTEM_IDS
    ) -> None:
        self._db = database or MemoryDatabase()
        self.keys = MemoryKeys(self._db, clock)
        self.ledger = MemoryLedger(self._db, clock, ids.uuid())
        self.cooldowns = MemoryCooldowns(self._db, clock)
        self.logins = MemoryLogins(self._db)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """See State."""
        await self.crash()
        self.ledger.expire(self._db.alive)

    async def crash(self) -> None:
        """See State."""
        self._db.alive.discard(self.ledger.worker)
