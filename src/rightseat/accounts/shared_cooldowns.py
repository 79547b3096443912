"""Cooldowns of accounts, shared with other processes through a store.

Requests never wait for the store: cooldowns are written and read by a task in the background, about once a second while there are requests.
If the store fails, each process goes on with its own cooldowns. A cooldown of a single caller is not shared.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping

import msgspec

from rightseat.accounts.selection import Cooldown
from rightseat.clock import Clock
from rightseat.errors import ConfigError, KeyDatabaseError
from rightseat.log import logger
from rightseat.state.base import Cooldowns, StoredCooldown

SYNC_SECONDS = 1.0
_MOST_UNSAVED = 1000
_SHORT = 100  # characters of a model's name that stand in the name of its cooldown; a longer one is shortened to this,
_LONGEST = 1000  # and one that is longer than this is not shared
Found = Mapping[tuple[str, str], Cooldown]  # (account, model) -> what other processes and this one have stored

_Detail = tuple[int, str | None, str, bool, str]  # status, code, message, avoid, model

_encode = msgspec.json.Encoder().encode


class SharedCooldowns:
    """The cooldowns of one process, kept in step with a store.

    Args:
        store: where they are shared.
        take: called with all stored cooldowns whenever they were read.
        clock: time; `take` gets its seconds.
    """

    def __init__(self, store: Cooldowns, take: Callable[[Found], None], clock: Clock) -> None:
        self._store, self._take, self._clock = store, take, clock
        self._unsaved: dict[tuple[str, str], Cooldown] = {}
        self._cleared: set[str] = set()
        self._synced_at = float("-inf")
        self._failed = False
        self._task: asyncio.Task[None] | None = None

    def note(self, account: str, model: str, cooldown: Cooldown) -> None:
        """A cooldown has begun here. `model`: "" for the whole account."""
        if len(model) > _LONGEST:
            return
        self._unsaved[account, model] = cooldown
        if len(self._unsaved) > _MOST_UNSAVED:
            del self._unsaved[next(iter(self._unsaved))]
        self._begin()

    def clear(self, account: str) -> None:
        """All cooldowns of an account are over."""
        self._cleared.add(account)
        self._unsaved = {key: one for key, one in self._unsaved.items() if key[0] != account}
        self._begin()

    def look(self) -> None:
        """Read the store in the background, if that was not done within the last second."""
        if self._clock.now() - self._synced_at >= SYNC_SECONDS:
            self._begin()

    async def aclose(self) -> None:
        """Stop the background task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._sync())

    async def _sync(self) -> None:
        try:
            await self._write()
            found = await self._store.all()
            while self._unsaved or self._cleared:
                await self._write()
                found = await self._store.all()
        except (KeyDatabaseError, ConfigError) as e:
            if not self._failed:
                logger.warning("cooldowns of accounts are not shared: %s", e)
            self._failed = True
        else:
            self._failed = False
            self._take(self._read(found))
        self._synced_at = self._clock.now()

    async def _write(self) -> None:
        while self._cleared:
            account = next(iter(self._cleared))
            for name in await self._store.all():
                if name.partition("/")[0] == account:
                    await self._store.clear(name)
            self._cleared.discard(account)
        while self._unsaved:
            (account, model), one = next(iter(self._unsaved.items()))
            seconds = one.until - self._clock.now()
            if seconds > 0:
                detail = _encode((one.status, one.code, one.message, one.avoid, model))
                await self._store.put(f"{account}/{_short(model)}", seconds, one.reason, detail)
            if self._unsaved.get((account, model)) is one:
                del self._unsaved[account, model]

    def _read(self, found: Mapping[str, StoredCooldown]) -> Found:
        now, read = self._clock.now(), {}
        for name, one in found.items():
            account = name.partition("/")[0]
            try:
                status, code, message, avoid, model = msgspec.json.decode(one.detail, type=_Detail)
            except msgspec.DecodeError:
                continue  # of another version
            read[account, model] = Cooldown(now + one.seconds, status, code, message, avoid)
        return read


def _short(model: str) -> str:
    """A name for a model that is no other's."""
    if len(model) <= _SHORT:
        return model
    digest = hashlib.blake2b(model.encode("utf-8", "replace"), digest_size=16).hexdigest()
    return f"{model[: _SHORT - len(digest) - 1]}~{digest}"
