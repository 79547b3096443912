"""Guessing keys: an address that shows wrong ones too often is not listened to for a while. Pure; who calls tells the time.

What was let in from an address before goes on being let in: many people may share an address, and one of them must not lock the others out.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from msgspec import Struct

ADDRESSES = 10_000


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
    __slots__ = ("failed", "known", "locked", "until")

    def __init__(self) -> None:
        self.failed: deque[float] = deque()
        self.known: set[str] = set()
        self.locked = 0
        self.until = 0.0


class Lockout:
    """What is known of each address."""

    def __init__(self, policy: LockoutPolicy | None = None) -> None:
        self.policy = policy or LockoutPolicy()
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    def wait(self, address: str, key_id: str, now: float) -> float:
        """Seconds until the address is listened to again; 0: now, or always for a key that was let in from there before."""
        known = self._addresses.get(address)
        if known is None or (key_id and key_id in known.known):
            return 0.0
        return max(0.0, known.until - now)

    def failed(self, address: str, now: float) -> bool:
        """A wrong key. True: this locks the address out."""
        if not self.policy.failures:
            return False
        one = self._of(address)
        one.failed.append(now)
        while one.failed[0] <= now - self.policy.window:
            one.failed.popleft()
        if len(one.failed) < self.policy.failures:
            return False
        one.failed.clear()
        one.until = now + min(self.policy.longest, self.policy.first * 2**one.locked)
        one.locked = min(one.locked + 1, 16)
        return True

    def passed(self, address: str, key_id: str) -> None:
        """A right key."""
        known = self._addresses.get(address)
        if known is None:
            known = self._of(address)
        if len(known.known) < 1000:
            known.known.add(key_id)

    def _of(self, address: str) -> _Address:
        one = self._addresses.get(address)
        if one is None:
            one = self._addresses[address] = _Address()
            if len(self._addresses) > ADDRESSES:
                self._addresses.popitem(last=False)
        else:
            self._addresses.move_to_end(address)
        return one
