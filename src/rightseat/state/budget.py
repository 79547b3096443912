"""Budgets and reservations: what a key may still use, and how operations change it. Pure; does not know where numbers are kept.

A budget is kept to within one request's size. What a request may use is reserved before it is sent, at the most it can be; as long as the
budget holds all that is reserved, requests go side by side, and when it does not, one at a time, until it is used up.

A reservation (`Hold`) is ended once: by a `Settle` with what was used, or, when its worker has died, by booking all of it as used.
`apply` runs a group of operations against a `Book`; every store runs this same code, in one transaction.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from msgspec import Struct, field

from rightseat.state.buckets import Bucket, Limit
from rightseat.state.key_record import Key

LEAST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds of `retry-after` while a budget is only reserved


class Spent(Struct, frozen=True, gc=False):
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

    @property
    def tokens(self) -> int:
        """Those that count against a budget."""
        return self.input_tokens + self.output_tokens


class Hold(Struct, frozen=True, gc=False):
    """A reservation that is open.

    Attributes:
        id: chosen by the caller.
        worker: the process that reserved.
        input_tokens: of `most`, about what the request says.
        most: tokens that the request can use at most.
        at: when it was made, by the store's clock.
    """

    id: str
    key_id: str
    worker: str
    input_tokens: int
    most: int
    at: float

    @property
    def in_full(self) -> Spent:
        """All of it as used, for a reservation whose outcome is unknown."""
        return Spent(0, min(self.input_tokens, self.most), max(0, self.most - self.input_tokens))


class Decision(Struct, frozen=True, gc=False):
    """The decision about a request.

    Attributes:
        refused: the limit that refuses it, "" for none: "requests_per_minute", "tokens_per_minute", "daily_tokens" or "monthly_tokens".
        wait: seconds until it is worth asking again.
        reserved: the budget is not used up, only reserved by requests under way.
    """

    refused: str = ""
    wait: float = 0.0
    reserved: bool = False


class Enter(Struct, frozen=True, gc=False):
    """A request of a key arrives: counted, or refused by what is known before its body is. Gives a Decision."""

    key: Key


class Reserve(Struct, frozen=True, gc=False):
    """A request that has entered wants to use up to `most` tokens. Gives a Decision; refused, the request no longer counts.

    Attributes:
        again: it was refused a moment ago.
    """

    key: Key
    hold: str
    input_tokens: int
    most: int
    again: bool = False


class Settle(Struct, frozen=True, gc=False):
    """End a reservation with what was used. Gives False if it has ended already."""

    key: Key
    hold: str
    spent: Spent


class Add(Struct, frozen=True, gc=False):
    """Book what a key without limits used. Gives True."""

    key_id: str
    spent: Spent


Operation: TypeAlias = Enter | Reserve | Settle | Add


class Sheet:
    """One key's numbers, while operations are applied to them.

    Attributes:
        day, month: tokens used so far in this day and month (UTC).
        reserved: tokens of requests under way.
        oldest: when the oldest reservation under way was made; None: there is none.
        requests, tokens: the buckets of the limits per minute; None: full.
    """

    __slots__ = ("day", "month", "oldest", "requests", "reserved", "tokens")

    def __init__(
        self,
        day: int = 0,
        month: int = 0,
        reserved: int = 0,
        oldest: float | None = None,
        requests: Bucket | None = None,
        tokens: Bucket | None = None,
    ) -> None:
        self.day, self.month, self.reserved, self.oldest = day, month, reserved, oldest
        self.requests, self.tokens = requests, tokens

    def enter(self, key: Key, now: float) -> Decision:
        """One more request, before its size is known."""
        decision = self._budgets(key, None, now)
        if decision.refused:
            return decision
        bucket, wait = _take(key.requests_per_minute, self.requests, 1.0, now)
        if wait:
            return Decision("requests_per_minute", wait)
        self.requests = bucket
        return Decision()

    def reserve(self, key: Key, most: int, now: float) -> Decision:
        """One more request that can use `most` tokens."""
        decision = self._budgets(key, most, now)
        if decision.refused:
            return decision
        bucket, wait = _take(key.tokens_per_minute, self.tokens, float(most), now)
        if wait:
            return Decision("tokens_per_minute", wait)
        self.tokens = bucket
        self.reserved += most
        self.oldest = now if self.oldest is None else min(self.oldest, now)
        return Decision()

    def settle(self, key: Key, most: int, spent: Spent, now: float) -> None:
        """A request that was thought to use `most` has used something else."""
        self.reserved -= most
        self.day += spent.tokens
        self.month += spent.tokens
        if self.tokens is None or key.tokens_per_minute is None:
            return
        limit = _limit(key.tokens_per_minute)
        filled = self.tokens.filled(limit, now)
        self.tokens = Bucket(min(limit.size, filled.level + min(most, limit.size) - spent.tokens), filled.at)

    def _budgets(self, key: Key, most: int | None, now: float) -> Decision:
        for name, budget, so_far, end in (
            ("monthly_tokens", key.monthly_tokens, self.month, month_ends),
            ("daily_tokens", key.daily_tokens, self.day, day_ends),
        ):
            if budget is None:
                continue
            if so_far >= budget:
                return Decision(name, max(LEAST_WAIT, end(now) - now))
            if most is not None and self.reserved and so_far + self.reserved + most > budget:
                return Decision(name, self._wait(now), reserved=True)
        return Decision()

    def _wait(self, now: float) -> float:
        """What has run for so long may well run for as long again."""
        age = 0.0 if self.oldest is None else now - self.oldest
        return min(LONGEST_WAIT, max(LEAST_WAIT, age))


class BudgetChanges(Struct):
    """What a group of operations leaves to be written down.

    Attributes:
        ended: ids of reservations that are over.
        begun: new ones.
        spent: key id -> what is booked on this day.
        sheets: key id -> its numbers, as they are now; the buckets are to be kept.
    """

    ended: list[str] = field(default_factory=list)
    begun: list[Hold] = field(default_factory=list)
    spent: dict[str, Spent] = field(default_factory=dict)
    sheets: Mapping[str, Sheet] = field(default_factory=dict)

    def book(self, key_id: str, spent: Spent) -> None:
        """Book something."""
        self.spent[key_id] = self.spent.get(key_id, Spent()) + spent


class Book(Protocol):
    """A store's tables within one transaction that no other worker's can overtake."""

    def sheets(self, key_ids: Sequence[str], day: str) -> dict[str, Sheet]:
        """The numbers of keys, each of those asked for."""
        ...

    def holds(self, ids: Sequence[str]) -> dict[str, Hold]:
        """Those of the reservations that are open."""
        ...

    def write(self, changes: BudgetChanges, day: str) -> None:
        """Write it all down."""
        ...


def apply(book: Book, operations: Sequence[Operation], worker: str, now: float) -> list[Decision | bool]:
    """Apply operations one after another, and write down what they change.

    Args:
        book: the store's tables.
        operations: in the order they came.
        worker: who reserves.
        now: the store's clock, in seconds since 1970.

    Returns:
        What each gives; see there.
    """
    day = day_of(now)
    sheets = book.sheets(sorted({op.key.id for op in operations if not isinstance(op, Add)}), day)
    open_holds = book.holds([op.hold for op in operations if isinstance(op, Settle)])
    changes = BudgetChanges(sheets=sheets)
    given = [_apply(op, sheets, open_holds, changes, worker, now) for op in operations]
    book.write(changes, day)
    return given


def _apply(
    op: Operation,
    sheets: dict[str, Sheet],
    open_holds: dict[str, Hold],
    changes: BudgetChanges,
    worker: str,
    now: float,
) -> Decision | bool:
    if isinstance(op, Add):
        changes.book(op.key_id, op.spent)
        return True
    sheet = sheets[op.key.id]
    if isinstance(op, Enter):
        decision = sheet.enter(op.key, now)
        if not decision.refused:
            changes.book(op.key.id, Spent(1))
        return decision
    if isinstance(op, Reserve):
        decision = sheet.reserve(op.key, op.most, now)
        if bool(decision.refused) != op.again:  # counted when it came in; refused, it goes no further
            changes.book(op.key.id, Spent(1 if op.again else -1))
        if not decision.refused:
            hold = Hold(op.hold, op.key.id, worker, op.input_tokens, op.most, now)
            changes.begun.append(hold)
            open_holds[hold.id] = hold
        return decision
    ended = open_holds.pop(op.hold, None)
    if ended is None:
        return False
    sheet.settle(op.key, ended.most, op.spent, now)
    changes.ended.append(op.hold)
    changes.book(op.key.id, op.spent)
    return True


def expire(book: Book, holds: Iterable[Hold], now: float) -> int:
    """End reservations of workers that have died: all of each is booked as used, since the outcome is unknown. Gives how many."""
    changes = BudgetChanges()
    for hold in holds:
        changes.ended.append(hold.id)
        changes.book(hold.key_id, hold.in_full)
    if changes.ended:
        book.write(changes, day_of(now))
    return len(changes.ended)


def _take(per_minute: float | None, bucket: Bucket | None, amount: float, now: float) -> tuple[Bucket | None, float]:
    if per_minute is None:
        return None, 0.0
    limit = _limit(per_minute)
    return (bucket or Bucket(limit.size, now)).take(limit, now, amount)


def _limit(per_minute: float) -> Limit:
    return Limit(per_minute, burst=max(1.0, per_minute))  # a whole minute's worth at once, as people read "per minute"


def day_of(now: float) -> str:
    """The day, in UTC."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")


def day_ends(now: float) -> float:
    """When the day ends."""
    return (now // 86_400 + 1) * 86_400


def month_ends(now: float) -> float:
    """When the month ends."""
    at = datetime.fromtimestamp(now, UTC)
    days = calendar.monthrange(at.year, at.month)[1]
    return datetime(at.year, at.month, days, tzinfo=UTC).timestamp() + 86_400
