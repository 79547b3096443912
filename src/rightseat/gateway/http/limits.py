"""Bounds of what is held: bytes and places, in all and by owner. Does not know what the bytes are and who the owners are."""

from __future__ import annotations

import asyncio
from collections import OrderedDict


class MemoryBudget:
    """How many bytes may be held at once, in all and by each owner.

    Args:
        total: bytes of all owners together.
        each: bytes of one owner; 0: as many as all.
        spare: bytes beyond the total that owners may take who hold little: large ones do not shut them out.

    Attributes:
        used: bytes that are held now.
    """

    def __init__(self, total: int, each: int = 0, spare: int = 0) -> None:
        self._total, self._spare = total, spare
        self._each = min(each or total, total)
        self._owners: dict[str, int] = {}
        self._waiting: OrderedDict[asyncio.Future[None], tuple[str, int]] = OrderedDict()
        self.used = 0

    def held(self, owner: str) -> int:
        """Bytes that one owner holds now."""
        return self._owners.get(owner, 0)

    def take(self, owner: str, size: int) -> bool:
        """Hold some more; False: there is no room, and nothing is held."""
        held = self._owners.get(owner, 0) + size
        total = self._total + self._spare if held <= self._spare // 4 else self._total
        if self.used + size > total or held > self._each:
            return False
        self._owners[owner] = held
        self.used += size
        return True

    def give(self, owner: str, size: int) -> None:
        """Hold so much less."""
        left = self._owners.get(owner, 0) - size
        self.used -= size
        if left > 0:
            self._owners[owner] = left
        else:
            self._owners.pop(owner, None)
        if self._waiting:
            self._let_in()

    async def acquire(self, owner: str, size: int) -> None:
        """Hold some more, as soon as there is room. First come, first served among those whose owner has room.

        Raises:
            ValueError: it is more than one owner may hold.
        """
        if size > self._each:
            raise ValueError(f"{size} bytes never fit; one owner may hold {self._each}")
        if self.take(owner, size):
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[place] = (owner, size)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it was let in at the same moment
                self.give(owner, size)
            raise
        finally:
            self._waiting.pop(place, None)

    def _let_in(self) -> None:
        for place, (owner, size) in list(self._waiting.items()):
            if self.used >= self._total + self._spare:
                return
            if not place.done() and self.take(owner, size):
                del self._waiting[place]
                place.set_result(None)


class Places:
    """How many things each owner may have at once.

    Args:
        each: for one owner; 0: any number.
    """

    def __init__(self, each: int) -> None:
        self.each = each
        self._taken: dict[str, int] = {}

    def take(self, owner: str) -> bool:
        """Have one more; False: there are enough."""
        taken = self._taken.get(owner, 0)
        if self.each and taken >= self.each:
            return False
        self._taken[owner] = taken + 1
        return True

    def give(self, owner: str) -> None:
        """Have one less."""
        left = self._taken.get(owner, 0) - 1
        if left > 0:
            self._taken[owner] = left
        else:
            self._taken.pop(owner, None)
