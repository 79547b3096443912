"""The gateway's own keys in memory: the table of the database, looked at again every half second, and who wants to know of changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import ConfigError, KeyDatabaseError
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.log import logger
from rightseat.state.base import KeyTable
from rightseat.state.key_record import Key, digest_of, new_text

LOOK_SECONDS = 0.05  # when a key does not fit, the database is asked again after so long
ANSWER_SECONDS = 4.5  # for that
OnChange = Callable[[frozenset[str]], None]


class KeyRing:
    """The keys.

    Args:
        table: where they are kept.
        pepper: returns the pepper of the hashes; creates it if asked to while there are no keys.
        clock: time.
        ids: makes new keys.
    """

    def __init__(
        self,
        table: KeyTable,
        pepper: Callable[[bool], Awaitable[bytes]],
        *,
        clock: Clock = SYSTEM_CLOCK,
        ids: Ids = SYSTEM_IDS,
    ) -> None:
        self._table, self._find_pepper, self._clock, self._ids = table, pepper, clock, ids
        self._pepper: bytes | None = None
        self._keys: dict[str, Key] = {}
        self._version = -1
        self._looked_at, self._looks = float("-inf"), 0
        self._looking = asyncio.Lock()
        self._listeners: list[OnChange] = []
        self._checked_at = clock.wall()
        self._next_end: float | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key_id: str) -> Key | None:
        """The key of an id, revoked or not; None: not known here."""
        return self._keys.get(key_id)

    def digest(self, secret: str) -> str:
        """What would be kept of a secret."""
        return digest_of(secret, self._pepper or b"")

    def on_change(self, listener: OnChange) -> Callable[[], None]:
        """Be told the ids of keys that were made, changed or ended, by whatever process and by time. "" is among them when keys have become needed.

        Returns:
            Call it to be told no more.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def look(self) -> None:
        """See whether keys have changed. Raises KeyDatabaseError, or ConfigError: there is no pepper."""
        async with self._looking:  # else an older look may end after a newer one
            await self._look_alone()

    async def refresh(self) -> None:
        """Look once more, after this call; all who ask meanwhile share a look. Raises KeyDatabaseError."""
        before = self._looks
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._looking:
                if self._looks == before:  # no other look has begun since
                    await self._clock.sleep(max(0.0, self._looked_at + LOOK_SECONDS - self._clock.now()))
                    await self._look_alone()
        except TimeoutError:
            raise KeyDatabaseError("the database of keys does not answer") from None

    # for management

    async def create(self, name: str, **fields: Any) -> tuple[Key, str]:
        """A new key, and its text, which is shown this once. Raises ConfigError: a field makes no sense; the message names it."""
        text, key_id, secret = new_text(ids=self._ids)
        now = self._clock.wall()
        try:
            Key(id=key_id, name=name, digest="", created_at=now, **fields)
            await self._load_pepper(make=True)
            key = Key(id=key_id, name=name, digest=self.digest(secret), created_at=now, **fields)
        except TypeError as e:
            raise ConfigError(str(e)) from e
        await self._table.create(key)
        await self.look()
        return key, text

    async def revoke(self, key_id: str) -> Key | None:
        """Revoke a key. None: there is none of that id."""
        key = await self._table.revoke(key_id)
        await self.look()
        return key

    async def rotate(self, key_id: str, grace_seconds: float = 0.0) -> tuple[Key, str] | None:
        """Rotate a key: give it a new secret, and its text; the old one counts for `grace_seconds` more. None: there is no such key, or it is revoked."""
        await self._load_pepper()
        text, _, secret = new_text(key_id, self._ids)
        key = await self._table.rotate(key_id, self.digest(secret), grace_seconds)
        await self.look()
        return (key, text) if key is not None else None

    async def list(self) -> list[Key]:
        """All keys, as the database has them now."""
        return await self._table.list()

    async def _look_alone(self) -> None:
        self._looked_at, self._looks = self._clock.now(), self._looks + 1
        version = await self._table.version()
        if version >= 0:
            await self._load_pepper()
        if version != self._version:
            self._put({key.id: key for key in await self._table.list()})
            self._version = version
        self._check_time()

    async def _load_pepper(self, *, make: bool = False) -> None:
        if self._pepper is None and (make or self._version >= 0 or await self._table.version() >= 0):
            self._pepper = await self._find_pepper(make)

    def _put(self, found: dict[str, Key]) -> None:
        before, self._keys = self._keys, found
        changed = {key_id for key_id in before.keys() | found.keys() if before.get(key_id) != found.get(key_id)}
        if bool(before) != bool(found):
            changed.add("")
        self._next_end = self._first_end(self._checked_at)
        self.tell(changed)

    def _check_time(self) -> None:
        """Tell of keys, and of secrets before a rotation, that have ended by themselves."""
        now = self._clock.wall()
        if self._next_end is not None and self._next_end <= now:
            ended = {key.id for key in self._keys.values() if any(self._checked_at < at <= now for at in key.ends())}
            self._next_end = self._first_end(now)
            self.tell(ended)
        self._checked_at = now

    def _first_end(self, after: float) -> float | None:
        return min((at for key in self._keys.values() for at in key.ends() if at > after), default=None)

    def tell(self, key_ids: set[str]) -> None:
        """Tell the listeners that these keys may have ended."""
        if not key_ids:
            return
        for listener in list(self._listeners):
            try:
                listener(frozenset(key_ids))
            except Exception:
                logger.exception("a listener for changes of keys failed")
