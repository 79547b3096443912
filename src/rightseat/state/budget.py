"""Whether a request of a limited key may go on: a pure decision over numbers that all workers share.

A budget is kept to within one request's size. What a request may use is reserved before it is sent, at the most it can be; as long as the
budget holds all that is reserved, requests go side by side, and when it does not, one at a time, until it is used up.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime

from msgspec import Struct

from rightseat.layers.rate import Bucket, Limit
from rightseat.state.keys import Key


class Used(Struct, frozen=True):
    """What is known of a key's use.

    Attributes:
        day, month: tokens so far in this day and month (UTC).
        reserved: tokens of requests under way.
        requests, tokens: the buckets of the limits per minute; None: full.
    """

    day: int = 0
    month: int = 0
    reserved: int = 0
    requests: Bucket | None = None
    tokens: Bucket | None = None


class Verdict(Struct, frozen=True):
    """The decision.

    Attributes:
        refused: the reason, "" for none: "requests_per_minute", "tokens_per_minute", "daily_tokens" or "monthly_tokens".
        wait: seconds until it is worth asking again.
        requests, tokens: the buckets after it.
    """

    refused: str = ""
    wait: float = 0.0
    requests: Bucket | None = None
    tokens: Bucket | None = None


def decide(key: Key, used: Used, most: int, now: float) -> Verdict:
    """The verdict on one more request.

    Args:
        key: whose.
        used: so far.
        most: tokens that it can use at most.
        now: the wall clock, in seconds.
    """
    for name, budget, so_far, end in (
        ("monthly_tokens", key.monthly_tokens, used.month, month_ends),
        ("daily_tokens", key.daily_tokens, used.day, day_ends),
    ):
        if budget is None:
            continue
        if so_far >= budget:
            return Verdict(name, max(1.0, end(now) - now))
        if used.reserved and so_far + used.reserved + most > budget:
            return Verdict(name, 1.0)  # what is under way may use the rest up; it may also leave some
    requests, wait = _take(key.requests_per_minute, used.requests, 1.0, now)
    if wait:
        return Verdict("requests_per_minute", wait)
    tokens, wait = _take(key.tokens_per_minute, used.tokens, float(most), now)
    if wait:
        return Verdict("tokens_per_minute", wait)
    return Verdict(requests=requests, tokens=tokens)


def settled(key: Key, bucket: Bucket | None, most: int, actual: int, now: float) -> Bucket | None:
    """The bucket of tokens after a request that was thought to use `most` has used `actual`."""
    if bucket is None or key.tokens_per_minute is None:
        return bucket
    limit = _limit(key.tokens_per_minute)
    filled = bucket.filled(limit, now)
    return Bucket(min(limit.size, filled.level + min(most, limit.size) - actual), filled.at)


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
