"""Lockout against guessing keys: an address that sends too many wrong keys is refused for some time. Pure: the caller passes the time.

Of IPv6 the first 64 bits count: one customer has all addresses behind them.

It is asked about wrong keys only. A right key is let in from any address: many people may share an address, and one of them must
not lock the others out.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from msgspec import Struct

from rightseat.errors import DeclinedError
from rightseat.gateway.http.addresses import neighbourhood

ADDRESSES = 10_000


class LockedOutError(DeclinedError):
    """Too many wrong keys came from this address."""

    status_hint = 429

    def __init__(self, wait: float) -> None:
        super().__init__(f"too many wrong keys came from this address; try again in {wait:.0f} s")
        self.retry_after = wait


class LockoutPolicy(Struct, frozen=True):
    """How often is too often.

    Attributes:
        failures: within `window` seconds; 0: never.
        window: seconds.
        first: seconds of the first lock-out; each further one is twice as long.
        longest: seconds.
    """

    failures: int = 10
    window: float = 60.0
    first: float = 30.0
    longest: float = 900.0


class _Address:
    __slots__ = ("failed", "locked", "until")

    def __init__(self) -> None:
        self.failed: deque[float] = deque()
        self.locked = 0
        self.until = 0.0


class Lockout:
    """What is known of each address."""

    def __init__(self, policy: LockoutPolicy | None = None) -> None:
        self.policy = policy or LockoutPolicy()
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    def wait(self, address: str, now: float) -> float:
        """Seconds for which wrong keys from the address are still answered as locked out; 0: they are not."""
        known = self._addresses.get(neighbourhood(address))
        return max(0.0, known.until - now) if known is not None else 0.0

    def failed(self, address: str, now: float) -> bool:
        """A wrong key. True: this locks the address out."""
        if not self.policy.failures:
            return False
        one = self._of(neighbourhood(address))
        one.failed.append(now)
        while one.failed[0] <= now - self.policy.window:
            one.failed.popleft()
        if len(one.failed) < self.policy.failures:
            return False
        one.failed.clear()
        one.until = now + min(self.policy.longest, self.policy.first * 2**one.locked)
        one.locked = min(one.locked + 1, 16)
        return True

    def _of(self, address: str) -> _Address:
        one = self._addresses.get(address)
        if one is None:
            one = self._addresses[address] = _Address()
            if len(self._addresses) > ADDRESSES:
                self._addresses.popitem(last=False)
        else:
            self._addresses.move_to_end(address)
        return one
