"""Token buckets: so much a minute, and a burst at once. Frozen values; does not know who waits, and where they are kept.

Over any stretch of time no more passes than the burst and what has flowed in since, also when the clock jumps: time that goes back
adds nothing and takes nothing away.
"""

from __future__ import annotations

import math

from msgspec import Struct

from rightseat.errors import InvalidOptionError


class Limit(Struct, frozen=True):
    """A limit.

    Attributes:
        per_minute: how much flows in.
        burst: how much may pass at once; None: a tenth of a minute's worth, at least 1.
    """

    per_minute: float
    burst: float | None = None

    def __post_init__(self) -> None:
        if not _is_number(self.per_minute) or self.per_minute <= 0:
            raise InvalidOptionError(f"per_minute: must be a number more than 0, not {self.per_minute!r}")
        if self.burst is not None and (not _is_number(self.burst) or self.burst < 1):
            raise InvalidOptionError(f"burst: must be a number of at least 1, not {self.burst!r}")

    @property
    def size(self) -> float:
        """How much the bucket holds."""
        return self.burst if self.burst is not None else max(1.0, self.per_minute / 10)


class Bucket(Struct, frozen=True, gc=False):
    """What was in a bucket, and when. Below zero: more was used than was thought when it was taken."""

    level: float
    at: float

    def filled(self, limit: Limit, now: float) -> Bucket:
        """The same, now. When the clock has jumped back, nothing has flowed in."""
        if now <= self.at:
            return Bucket(self.level, now)
        return Bucket(min(limit.size, self.level + (now - self.at) * limit.per_minute / 60), now)

    def take(self, limit: Limit, now: float, amount: float) -> tuple[Bucket, float]:
        """Take `amount`, or as much as the bucket holds at most: the bucket after it, and 0; or the seconds until there is enough."""
        filled = self.filled(limit, now)
        amount = min(amount, limit.size)
        missing = amount - filled.level
        if missing > 1e-9:
            # One nanosecond more than it takes: a caller that comes back then finds enough, in spite of rounding.
            return filled, missing * 60 / limit.per_minute + 1e-9
        return Bucket(filled.level - amount, filled.at), 0.0


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
