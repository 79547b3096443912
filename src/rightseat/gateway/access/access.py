"""Who may come in, and for what: the keys of the settings, the gateway's own keys, and their limits.

Keys are looked up in memory. A change by another worker or by `rightseat keys` is seen within half a second. Only keys with limits cost a
look into the database for each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from msgspec import Struct

from rightseat.chat import Usage
from rightseat.errors import CallerError, ConfigError, DeclinedError, KeyDatabaseError
from rightseat.gateway.access.lockout import Lockout, LockoutPolicy
from rightseat.gateway.config import Settings
from rightseat.gateway.errors import ClientKeyError
from rightseat.log import logger
from rightseat.security.files import write_private
from rightseat.security.keys import kind_of, said_of
from rightseat.security.sources import find_secret
from rightseat.state.keys import PREFIX, Key, split

if TYPE_CHECKING:
    from rightseat.state.sql import KeyStore, Spent

T = TypeVar("T")
POLL_SECONDS = 0.5
LOOK_SECONDS = 0.05  # when a key is not known, the database is asked again after so long
BEAT_SECONDS = 5.0
SERVER_THREADS = 8  # transactions at a time with a database server
MANAGEMENT = "management"  # the caller's id for whoever shows the management key
_DATA_URL = re.compile(rb"data:[a-z0-9.+/-]{3,60};base64,[A-Za-z0-9+/=]*")
_IMAGE_TOKENS = 2000
_UNKNOWN_OUTPUT = 8192  # tokens, where neither client nor model says how long an answer may be


class LockedOutError(DeclinedError):
    """Too many wrong keys came from this address."""

    status_hint = 429

    def __init__(self, wait: float) -> None:
        super().__init__(f"too many wrong keys came from this address; next try in {wait:.0f} s")
        self.retry_after = wait


class ScopeError(CallerError):
    """The key may not be used for this."""

    status_hint = 403


class KeyLimitError(DeclinedError):
    """The key's own limit or budget.

    Attributes:
        limit: its name, as in "daily_tokens".
    """

    status_hint = 429

    def __init__(self, limit: str, wait: float) -> None:
        what = "budget" if limit.endswith(("daily_tokens", "monthly_tokens")) else "limit"
        message = f"the key's {what} {limit} is used up; it is worth asking again in {wait:.0f} s"
        super().__init__(message, code=f"key_{limit}")
        self.limit = limit
        self.retry_after = wait


class Caller(Struct, frozen=True):
    """Who asks.

    Attributes:
        id: of the key; "" where none is needed.
        key: one of the gateway's own, or None.
    """

    id: str = ""
    key: Key | None = None

    def check_model(self, model: str) -> None:
        """Raises ScopeError: the key may not use the model. It is asked by its id: a name may stand for another model."""
        if self.key is not None and not self.key.allows(model):
            allowed = ", ".join(self.key.models)
            raise ScopeError(f"model: this key may not use {model!r}; it may use {allowed}", field="model")


ANYBODY = Caller()


class Grant:
    """A request that may go on. Settle it, however it ends."""

    def __init__(self, access: Access, key: Key | None, most: int, guess: int, reservation: str = "") -> None:
        self._access = access
        self._key = key
        self._most = most
        self._guess = guess
        self._reservation = reservation

    def settle(self, usage: Usage | None, *, answered: bool, pieces: int = 0) -> None:
        """The request is over. Does not wait.

        Args:
            usage: what the answer told.
            answered: the answer had begun. If so and it told nothing, what was sent and received is reckoned.
            pieces: how many pieces of it were sent; about a token each.
        """
        if self._key is None:
            return
        key, self._key = self._key, None
        if usage is None and answered:
            usage = Usage(self._guess, pieces)
        self._access.spend(key, self._reservation, self._most, usage)


class Access:
    """The doorkeeper: `async with Access(settings) as access`.

    Args:
        settings: see Settings.

    Raises:
        ConfigError: the database of keys cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._given = [(f"config-{i}", key.encode()) for i, key in enumerate(settings.keys, 1)]
        self._where: str | Path = settings.database or settings.folder / "keys.sqlite"
        self._store: KeyStore | None = None
        self._keys: dict[str, Key] = {}
        self._pepper = b""
        self._version = -1
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self._unwritten: dict[str, Spent] = {}
        self._unsettled: list[Callable[[], None]] = []
        threads = SERVER_THREADS if isinstance(self._where, str) else 1  # SQLite has one writer
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="rightseat-keys")
        self._tasks: set[asyncio.Task[Any]] = set()
        policy = LockoutPolicy(failures=settings.lockout_failures)
        self._lockout, self._admin_lockout = Lockout(policy), Lockout(policy)
        self.refusals: dict[str, int] = {}  # reason -> how often

    async def __aenter__(self) -> Self:
        await self._look()
        self._poller = asyncio.ensure_future(self._poll())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._poller.cancel()
        await asyncio.gather(self._poller, *self._tasks, return_exceptions=True)
        if self._store is not None:
            with contextlib.suppress(KeyDatabaseError):
                await self._write()
            await self._run(self._store.close)
        self._threads.shutdown()

    # who

    async def identify(self, headers: Mapping[str, str], address: str, scope: str) -> Caller:
        """Who asks, by the key that is shown.

        Args:
            headers: names in lower case.
            address: where the request comes from.
            scope: what it wants to do; see `key.SCOPES`.

        Raises:
            ClientKeyError: no key, or a wrong one. LockedOutError: too many of them. ScopeError: not for this.
        """
        text = shown_key(headers)
        kind = kind_of(text)
        if kind in ("github", "github_app", "copilot"):
            self._refused("token", address)
            raise ClientKeyError(f"{said_of(text)}; the gateway takes keys of its own and never a token")
        parts = split(text)
        key = self._keys.get(parts[0]) if parts is not None else None
        if parts is not None and key is None:  # another worker may just have made it
            await self._look_soon()
            key = self._keys.get(parts[0])
        if not self.is_needed and key is None:
            if scope == "metrics" and self._settings.management_key:
                self.check_management(headers, address)
            return ANYBODY
        caller = self._own(parts, key) if parts is not None and self._store is not None else self._given_key(text)
        # Right or wrong, the answer is the same while an address is locked out: else it would tell.
        if wait := self._lockout.wait(address, caller.id if caller is not None else "", time.monotonic()):
            self.count("locked_out")
            raise LockedOutError(wait)
        if caller is None and scope == "metrics" and self._is_management(text):
            return Caller(MANAGEMENT)
        if caller is None:
            self._refused("missing" if kind == "empty" else "wrong", address)
            raise _wrong(text, kind)
        self._lockout.passed(address, caller.id)
        if caller.key is not None:
            state = caller.key.state(time.time())
            if state != "active":
                self.count(state)
                raise ClientKeyError(f"this key is {state}")
            self._check_scope(caller.key, scope)
        return caller

    def still(self, caller: Caller, scope: str) -> Caller:
        """The same caller now, for connections that live long.

        Args:
            caller: as it was identified.
            scope: what it wants to do this time.

        Raises:
            ClientKeyError: the key has ended. ScopeError: not for this.
        """
        if caller.key is None:
            return caller
        key = self._keys.get(caller.key.id)
        state = key.state(time.time()) if key is not None else "revoked"
        if key is None or state != "active":
            self.count(state)
            raise ClientKeyError(f"this key is {state}")
        self._check_scope(key, scope)
        return Caller(key.id, key)

    def _check_scope(self, key: Key, scope: str) -> None:
        if scope not in key.scopes:
            self.count("scope")
            raise ScopeError(f"this key may not be used for {scope}; it may for {', '.join(key.scopes)}")

    def check_management(self, headers: Mapping[str, str], address: str) -> None:
        """Raises ClientKeyError or LockedOutError: the management key was not shown."""
        now = time.monotonic()
        if wait := self._admin_lockout.wait(address, "", now):
            self.count("locked_out")
            raise LockedOutError(wait)
        if not self._is_management(shown_key(headers)):
            self.count("management")
            if shown_key(headers) and self._admin_lockout.failed(address, now):
                logger.warning("%s showed too many wrong management keys and is locked out", address)
            raise ClientKeyError("the management key is needed: Authorization: Bearer KEY, or x-api-key")

    @property
    def is_needed(self) -> bool:
        """A key must be shown."""
        return bool(self._given or self._settings.require_key or self._keys)

    def counted(self, inspect: Callable[[dict[str, Any]], T], body: dict[str, Any]) -> T:
        """Inspect a body; one that is blocked counts as turned away. Raises what `inspect` does."""
        try:
            return inspect(body)
        except CallerError:
            self.count("content")
            raise

    # how much

    async def admit(self, caller: Caller, data: bytes, output_limit: int | None, *, vision: bool = False) -> Grant:
        """A request may go on, as far as the key's limits say.

        Args:
            caller: who asks.
            data: the body that is sent.
            output_limit: tokens of the answer at most; None: not known.
            vision: it holds images.

        Raises:
            KeyLimitError: naming the limit, and when it is worth asking again.
            KeyDatabaseError: it cannot be asked, and who has a limit must not go on without.
        """
        key = caller.key
        if key is None or self._store is None:
            return Grant(self, None, 0, 0)
        size, images = len(data), 0
        if vision:
            found = _DATA_URL.findall(data)
            size, images = size - sum(map(len, found)), len(found)
        guess = size // 4 + images * _IMAGE_TOKENS
        most = size // 3 + images * _IMAGE_TOKENS + (output_limit or _UNKNOWN_OUTPUT)
        if not key.is_limited:
            return Grant(self, key, most, guess)
        store = self._store
        verdict, reservation = await self._run(lambda: store.admit(key, most))
        if verdict.refused:
            self.count(verdict.refused)
            raise KeyLimitError(verdict.refused, verdict.wait)
        return Grant(self, key, most, guess, reservation)

    def spend(self, key: Key, reservation: str, most: int, usage: Usage | None) -> None:
        """Book what a request has used."""
        from rightseat.state.sql import Spent, spent_by

        store = self._store
        if store is None:
            return
        spent = spent_by(usage) if usage is not None else Spent(1)
        if not reservation:
            self._unwritten[key.id] = self._unwritten.get(key.id, Spent()) + spent
            return
        task = asyncio.ensure_future(self._settle(lambda: store.settle(key, reservation, most, spent)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self, booking: Callable[[], None]) -> None:
        """Book, now or later. At least once: a server that dies after writing and before saying so gets it again."""
        try:
            await self._run(booking)
        except KeyDatabaseError as e:  # tried again: else what was reserved stays so
            logger.error("what a request used is booked later: %s", e)
            self._unsettled.append(booking)

    # for management

    async def store(self) -> KeyStore:
        """The database of keys; made if there is none. Raises ConfigError."""
        if self._store is None:
            await self._run(lambda: self._open(make=True))
        assert self._store is not None
        return self._store

    async def change(self, what: Callable[[KeyStore], T]) -> T:
        """Do something with the database, in its thread, and look at the keys again."""
        store = await self.store()
        found = await self._run(lambda: what(store))
        await self._look()
        return found

    async def _poll(self) -> None:
        beat, failing = 0.0, False
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._look()
                if self._store is not None:
                    await self._write()
                    if time.monotonic() - beat >= BEAT_SECONDS:
                        await self._run(self._store.beat)
                        beat = time.monotonic()
                if failing:
                    logger.warning("the database of keys is back")
                failing = False
            except (ConfigError, KeyDatabaseError) as e:
                if not failing:  # said once, not twice a second
                    logger.error("%s", e)
                failing = True
            except Exception:
                logger.exception("keys could not be looked at")

    async def _look_soon(self) -> None:
        """See whether keys have changed, but not more often than a guesser should be able to make us."""
        came = time.monotonic()
        async with self._looking:
            if self._looked_at < came:  # nobody has looked since
                await asyncio.sleep(max(0.0, self._looked_at + LOOK_SECONDS - time.monotonic()))
                await self._look_alone()

    async def _look(self) -> None:
        """See whether keys have changed."""
        async with self._looking:  # else an older look may end after a newer one
            await self._look_alone()

    async def _look_alone(self) -> None:
        if self._store is None and (isinstance(self._where, str) or self._where.exists()):
            await self._run(lambda: self._open(make=False))
        store = self._store
        if store is None:
            return
        self._looked_at = time.monotonic()

        def read() -> tuple[int, list[Key] | None]:
            version = store.version()
            return version, store.list() if version != self._version else None

        self._version, found = await self._run(read)
        if found is not None:
            self._keys = {key.id: key for key in found}

    async def _write(self) -> None:
        while self._unsettled:
            booking = self._unsettled.pop()
            try:
                await self._run(booking)
            except KeyDatabaseError:
                self._unsettled.append(booking)
                raise
        if self._unwritten and self._store is not None:
            store, spent, self._unwritten = self._store, self._unwritten, {}
            try:
                await self._run(lambda: store.add(spent))
            except KeyDatabaseError:  # not written: kept for the next time
                for key_id, one in spent.items():
                    self._unwritten[key_id] = one + self._unwritten.get(key_id, type(one)())
                raise

    def _open(self, *, make: bool) -> None:
        self._pepper = pepper_of(self._settings, make=make)
        self._store = open_store(self._settings, self._pepper)
        self._store.beat()

    async def _run(self, what: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, what)

    def _own(self, parts: tuple[str, str], key: Key | None) -> Caller | None:
        known = key or _NOBODY  # compared all the same, so that the time tells nothing
        fits = known.fits(parts[1], self._pepper, time.time())
        return Caller(known.id, known) if fits and key is not None else None

    def _given_key(self, text: str) -> Caller | None:
        given = text.encode("utf-8", "replace")
        found = [name for name, key in self._given if hmac.compare_digest(given, key)]  # all are compared, always
        return Caller(found[0]) if found else None

    def _is_management(self, text: str) -> bool:
        key = self._settings.management_key
        return bool(key) and hmac.compare_digest(text.encode("utf-8", "replace"), key.encode())

    def _refused(self, reason: str, address: str) -> None:
        self.count(reason)
        if reason != "missing" and self._lockout.failed(address, time.monotonic()):
            logger.warning("%s showed too many wrong keys and is locked out", address)

    def count(self, reason: str) -> None:
        """A request was turned away."""
        self.refusals[reason] = self.refusals.get(reason, 0) + 1


_NOBODY = Key(id="nobody", name="nobody", digest="0" * 64, created_at=0.0)


def shown_key(headers: Mapping[str, str]) -> str:
    """The key that a client shows: `x-api-key`, or the bearer of `Authorization`."""
    return headers.get("x-api-key") or headers.get("authorization", "").partition(" ")[2].strip()


def pepper_of(settings: Settings, *, make: bool) -> bytes:
    """What keys the hashes: the secret RIGHTSEAT_KEY_PEPPER, else the file `pepper` beside the accounts.

    Raises:
        ConfigError: there is none, and none may be made because keys were made with one.
    """
    given = find_secret("RIGHTSEAT_KEY_PEPPER", folder=settings.folder)
    if given is not None:
        return given.reveal().encode()
    path = settings.folder / "pepper"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    except OSError as e:
        raise ConfigError(f"the pepper of the keys {path} cannot be read: {e.strerror}") from e
    if settings.database:
        raise ConfigError(
            "where `database` is set, the pepper of its keys must be given, the same to all gateways: set the secret RIGHTSEAT_KEY_PEPPER "
            "(make one: openssl rand -hex 32), and keep it as long as its keys"
        )
    database = settings.folder / "keys.sqlite"
    if not make or database.exists():
        raise ConfigError(
            f"the pepper of the keys is gone: {path} is not there, and RIGHTSEAT_KEY_PEPPER is not set. "
            "Restore it from a backup, or remove the database of keys and make new ones."
        )
    fresh = path.with_name(f".pepper-{os.getpid()}")
    try:
        write_private(fresh, os.urandom(32).hex().encode())
        try:
            with contextlib.suppress(FileExistsError):  # another process was quicker; its pepper counts
                os.link(fresh, path)
        finally:
            fresh.unlink()
        return path.read_bytes()
    except OSError as e:
        raise ConfigError(f"the pepper of the keys {path} cannot be made: {e.strerror}") from e


def open_store(settings: Settings, pepper: bytes) -> KeyStore:
    """The database of keys. Raises ConfigError."""
    try:
        from rightseat.state.sql import KeyStore
    except ModuleNotFoundError as e:
        raise ConfigError(f"the gateway's keys need the package {e.name}: pip install 'rightseat[gateway]'") from e
    return KeyStore(settings.database or settings.folder / "keys.sqlite", pepper)


def _wrong(text: str, kind: str) -> ClientKeyError:
    if kind == "empty":
        return ClientKeyError("an API key is needed: Authorization: Bearer KEY, or x-api-key")
    foreign = (
        "" if kind == "other" or text.startswith(PREFIX) else f": {said_of(text)}; the gateway takes keys of its own"
    )
    return ClientKeyError(f"Invalid API key{foreign}")
