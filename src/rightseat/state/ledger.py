"""What keys used and what is reserved, in a database. Operations that wait are done together, in one transaction by one thread.

Does not know how a budget is reckoned: see `budget`.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Row, func, select

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import ConfigError, KeyDatabaseError
from rightseat.log import logger
from rightseat.state.buckets import Bucket
from rightseat.state.budget import (
    Add,
    BudgetChanges,
    Decision,
    Enter,
    Hold,
    Operation,
    Reserve,
    Settle,
    Sheet,
    Spent,
    apply,
    day_of,
    expire,
)
from rightseat.state.key_record import Key
from rightseat.state.lane import ANSWER_SECONDS, Lane, Transaction
from rightseat.state.liveness import Liveness
from rightseat.state.tables import (
    BUCKETS,
    END,
    FORGET_WORKERS,
    HOLDS,
    HOLDS_OF,
    LOCK_KEYS,
    RESERVE,
    RESERVED,
    USED,
    add_statement,
    put_bucket_statement,
    usage,
)

Given: TypeAlias = Decision | bool
GROUP = 500  # operations in one transaction
WAITING = 20_000  # operations that may wait
LOOK_SECONDS = 0.5  # how often those who are refused may have dead workers looked for
_REAPING = 0x72736B78  # PostgreSQL's advisory lock for who books what the dead have reserved


class SqlBook:
    """A `Book` of budgets, within a transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._db, self._dialect = tx.db, tx.dialect

    def lock(self, key_ids: Sequence[str]) -> None:
        """No other transaction decides about these keys until this one ends. SQLite's file is locked already."""
        if key_ids and self._dialect != "sqlite":
            self._db.execute(LOCK_KEYS, {"keys": list(key_ids)})

    def sheets(self, key_ids: Sequence[str], day: str) -> dict[str, Sheet]:
        """See Book."""
        sheets = {key_id: Sheet() for key_id in key_ids}
        if not sheets:
            return sheets
        asked = {"keys": list(key_ids)}
        month = {"day": day, "first": f"{day[:7]}-01", "last": f"{day[:7]}-31"}
        for key_id, of_day, of_month in self._db.execute(USED, asked | month):
            sheets[key_id].day, sheets[key_id].month = int(of_day), int(of_month)
        for key_id, reserved, oldest in self._db.execute(RESERVED, asked):
            sheets[key_id].reserved, sheets[key_id].oldest = int(reserved), oldest
        for key_id, name, level, at in self._db.execute(BUCKETS, asked):
            setattr(sheets[key_id], name, Bucket(level, at))
        return sheets

    def holds(self, ids: Sequence[str]) -> dict[str, Hold]:
        """See Book."""
        return {row.id: _hold(row) for row in self._db.execute(HOLDS, {"ids": list(ids)})} if ids else {}

    def write(self, changes: BudgetChanges, day: str) -> None:
        """See Book."""
        if changes.begun:
            self._db.execute(RESERVE, [_row(hold) for hold in changes.begun])
        if changes.ended:
            self._db.execute(END, {"ids": changes.ended})
        # In one order, or two workers wait for each other.
        if rows := [{"key_id": k, "day": day, **msgspec.to_builtins(s)} for k, s in sorted(changes.spent.items()) if s]:
            self._db.execute(add_statement(self._dialect), rows)
        buckets = [
            {"key_id": key_id, "name": name, "level": bucket.level, "at": bucket.at}
            for key_id, sheet in sorted(changes.sheets.items())
            for name, bucket in (("requests", sheet.requests), ("tokens", sheet.tokens))
            if bucket is not None
        ]
        if buckets:
            self._db.execute(put_bucket_statement(self._dialect), buckets)


class SqlLedger:
    """See Ledger.

    Args:
        lane: does it.
        liveness: of this worker and others.
        worker: our id.
        clock: for the pauses between looks; never for what is written.
    """

    def __init__(self, lane: Lane, liveness: Liveness, worker: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self.worker = worker
        self._lane, self._liveness, self._clock = lane, liveness, clock
        self._waiting: deque[tuple[Operation, asyncio.Future[Given]]] = deque()
        self._draining: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")
        self._reserves = False

    async def enter(self, key: Key) -> Decision:
        """See Ledger."""
        return _verdict(await self._do(Enter(key)))

    async def reserve(self, key: Key, hold: str, input_tokens: int, most: int) -> Decision:
        """See Ledger."""
        reserve = Reserve(key, hold, input_tokens, most)
        decision = _verdict(await self._do(reserve))
        if decision.reserved and await self._found_dead():
            decision = _verdict(await self._do(msgspec.structs.replace(reserve, again=True)))
        return decision

    async def settle(self, settlements: Sequence[Settle]) -> list[bool]:
        """See Ledger."""
        return [given is True for given in await asyncio.gather(*map(self._do, settlements))]

    async def add(self, spent: Mapping[str, Spent]) -> None:
        """See Ledger."""
        await self._lane.run(lambda tx: self._apply(tx, [Add(key_id, one) for key_id, one in spent.items()]))

    async def spent(self) -> dict[str, dict[str, Spent]]:
        """See Ledger."""
        return await self._lane.run(_spent, reads=True)

    async def beat(self) -> None:
        """See Ledger."""
        if self._reserves:
            await self._lane.run(self._liveness.live)
        await self._book_dead()

    async def close(self) -> None:
        """Book in full what this worker has reserved and not settled, and leave."""
        while self._draining is not None and not self._draining.done():
            await asyncio.wait([self._draining])
        if self._reserves:
            await self._lane.run(self._leave)
        self._liveness.leave()

    def crash(self) -> None:
        """Leave as a killed process would."""
        self._liveness.leave()

    async def _found_dead(self) -> bool:
        """Whether a dead worker's reservations were booked just now."""
        now = self._clock.now()
        if now < self._looked_at + LOOK_SECONDS:
            return False
        self._looked_at = now
        return await self._book_dead() > 0

    async def _book_dead(self) -> int:
        ended = await self._lane.run(self._reap)
        if ended:
            logger.warning("%d requests of a worker that has died were booked in full", ended)
        return ended

    async def _do(self, operation: Operation) -> Given:
        """Have an operation done with all others that wait."""
        if len(self._waiting) >= WAITING:
            raise KeyDatabaseError("the database of keys is too slow: too many operations wait for it")
        future: asyncio.Future[Given] = asyncio.get_running_loop().create_future()
        self._waiting.append((operation, future))
        if self._draining is None or self._draining.done():
            self._draining = asyncio.ensure_future(self._drain())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await future
        except TimeoutError:
            raise KeyDatabaseError(f"the database of keys has not answered within {ANSWER_SECONDS:g} s") from None

    async def _drain(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
            group = [(operation, future) for operation, future in group if not future.done()]  # some have left
            operations = [operation for operation, _ in group]
            try:
                given = await self._lane.run(functools.partial(self._apply, operations=operations)) if group else []
            except (KeyDatabaseError, ConfigError) as e:
                for _, future in group:
                    if not future.done():
                        future.set_exception(type(e)(str(e)))
            else:
                for (_, future), one in zip(group, given, strict=True):
                    if not future.done():
                        future.set_result(one)

    # in the lane's thread

    def _apply(self, tx: Transaction, operations: Sequence[Operation]) -> list[Given]:
        book = SqlBook(tx)
        book.lock(sorted({op.key_id if isinstance(op, Add) else op.key.id for op in operations}))
        given = apply(book, operations, self.worker, tx.now)
        if any(isinstance(op, Reserve) for op in operations):
            self._liveness.live(tx)
            self._reserves = True
        return given

    def _reap(self, tx: Transaction) -> int:
        """Book what dead workers have reserved; how many reservations."""
        if tx.dialect == "postgresql":
            tx.db.execute(select(func.pg_advisory_xact_lock(_REAPING)))
        dead = self._liveness.dead(tx)
        if not dead:
            return 0
        ended = self._expire(tx, lambda: tx.db.execute(HOLDS_OF, {"workers": dead}).all())
        tx.db.execute(FORGET_WORKERS, {"ids": dead})
        return ended

    def _leave(self, tx: Transaction) -> None:
        self._expire(tx, lambda: tx.db.execute(HOLDS_OF, {"workers": [self.worker]}).all())
        tx.db.execute(FORGET_WORKERS, {"ids": [self.worker]})

    def _expire(self, tx: Transaction, find: Callable[[], Sequence[Row[Any]]]) -> int:
        book = SqlBook(tx)
        book.lock(sorted({row.key_id for row in find()}))
        return expire(
            book, [_hold(row) for row in find()], tx.now
        )  # those still there, now that no other worker can end them


def _spent(tx: Transaction) -> dict[str, dict[str, Spent]]:
    today = day_of(tx.now)
    found: dict[str, dict[str, Spent]] = {}
    for row in tx.db.execute(select(usage).where(usage.c.day.like(f"{today[:7]}-%"))):
        one = Spent(row.requests, row.input_tokens, row.output_tokens, row.cached_tokens)
        of = found.setdefault(row.key_id, {"day": Spent(), "month": Spent()})
        of["month"] += one
        of["day"] += one if row.day == today else Spent()
    return found


def _verdict(given: Given) -> Decision:
    assert isinstance(given, Decision)
    return given


def _hold(row: Row[Any]) -> Hold:
    return Hold(row.id, row.key_id, row.worker, row.input_tokens, row.tokens, row.at)


def _row(hold: Hold) -> dict[str, object]:
    return {
        "id": hold.id, "key_id": hold.key_id, "worker": hold.worker, "tokens": hold.most, "input_tokens": hold.input_tokens, "at": hold.at,
    }  # fmt: skip
