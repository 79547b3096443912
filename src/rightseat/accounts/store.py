"""Where accounts are kept: one JSON file each, readable by its owner only, replaced whole or not at all.

The file holds the fields `access_token` (Copilot's), `github_access_token`, `expires_at` and `refresh_in`, and what else is needed
to renew them; see `formats` for what else is read. A file that cannot be read is reported, and the other accounts are used. This
module does not know how tokens are got.
"""

from __future__ import annotations

import asyncio
import fcntl
import functools
import os
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct, field

from rightseat.accounts.formats import fields_of, hashed_login
from rightseat.accounts.hosts import copilot_url
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import ConfigError
from rightseat.log import logger
from rightseat.security.files import write_private

LOCK_SECONDS = 20.0  # more than an exchange can take: a process that holds the lock for longer has stopped
_LOCK_POLL_SECONDS = 0.05
MOST_BYTES = 256 * 1024  # of an account file
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_in_name = functools.lru_cache(maxsize=256)(re.compile(r"[^A-Za-z0-9.]+").sub)


class Account(Struct, frozen=True, omit_defaults=False):
    """One login and its current Copilot token.

    Attributes:
        login: the GitHub user name; `formats.hashed_login` while it is not known.
        github_access_token: the GitHub token; it renews the other.
        host: "github.com", "TENANT.ghe.com", or one URL that plays all of GitHub, for tests.
        access_token: the Copilot token, "" before the first exchange.
        expires_at: when that ends, in seconds of the wall clock.
        refresh_in: seconds after `last_refresh` when it should be renewed.
        last_refresh: when it was got, in seconds of the wall clock.
        api_url: the Copilot API that the token named, "" if it named none.
        base_url: the Copilot API that the owner configured, "" for none. Goes before all others.
        metadata: what other programs keep with an account. Its `base_url` counts where `base_url` is "". Kept as it is.
    """

    login: str
    github_access_token: str
    host: str = "github.com"
    access_token: str = ""
    expires_at: float = 0.0
    refresh_in: float = 0.0
    last_refresh: float = 0.0
    api_url: str = ""
    base_url: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where requests go: `base_url`, else the metadata's, else what the token named, else the official address of the host.

        Raises:
            ConfigError: an address cannot be used.
        """
        kept = self.metadata.get("base_url") or ""
        if not isinstance(kept, str):
            raise ConfigError("metadata.base_url: must be a string")
        return copilot_url(self.host, self.base_url.strip() or kept.strip(), self.api_url)

    @property
    def is_named(self) -> bool:
        """Whether the login is known."""
        return self.login != hashed_login(self.github_access_token)

    @property
    def name(self) -> str:
        """The account's name: the login, with the host where that is not github.com."""
        if self.host == "github.com":
            return self.login
        return f"{self.login}@{_in_name('-', self.host.partition('://')[2] or self.host)}"

    def __repr__(self) -> str:
        return f"Account({self.name!r})"


class AccountStore(Protocol):
    """Where accounts are kept. No method blocks the event loop."""

    @property
    def problem(self) -> str:
        """Why nothing can be written at the moment; "" for nothing wrong. It names the place."""
        ...

    async def list(self) -> list[Account]:
        """All accounts that can be read, by name."""
        ...

    def problems(self) -> tuple[str, ...]:
        """What could not be read when the accounts were last listed, and why."""
        ...

    async def load(self, name: str) -> Account | None:
        """One account, or None. Raises ConfigError: it is there and cannot be read."""
        ...

    async def save(self, account: Account) -> None:
        """Keep an account. Raises ConfigError: it cannot be written; what was there is untouched."""
        ...

    async def remove(self, name: str) -> bool:
        """Forget an account. False: there was none. Raises ConfigError: it cannot be removed."""
        ...

    def lock(self, name: str) -> AbstractAsyncContextManager[None]:
        """Be the only one who renews this account's token."""
        ...


def default_folder() -> Path:
    """`RIGHTSEAT_HOME`, else the folder `rightseat` where this user's settings are (XDG Base Directory)."""
    if home := os.environ.get("RIGHTSEAT_HOME"):
        return Path(home)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "rightseat"


class FileStore:
    """Accounts in the folder `accounts` below `folder` (0700), a file each (0600).

    Args:
        folder: None: see `default_folder`.
        only: the name of the one account that is seen.
        clock: time.

    Attributes:
        problem: see AccountStore.
    """

    def __init__(self, folder: Path | None = None, *, only: str | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._folder = (folder or default_folder()) / "accounts"
        self._only = only
        self._clock = clock
        self._damaged: dict[Path, str] = {}
        self.problem = ""

    def list(self) -> list[Account]:
        """All accounts that can be read, by name. What cannot be is logged once, left as it is, and told by `problems`."""
        damaged: dict[Path, str] = {}
        found = self._all(damaged)
        for path, problem in damaged.items():
            if self._damaged.get(path) != problem:
                logger.warning("%s", problem)
        self._damaged = damaged
        return [found[name] for name in sorted(found) if self._only in (None, name)]

    def _all(self, damaged: dict[Path, str]) -> dict[str, Account]:
        """The accounts by name. Files that cannot be read, or are a second one of an account, go to `damaged`, with the reason."""
        read: dict[Path, Account] = {}
        for path in self._files(damaged):
            try:
                read[path] = self._read(path)
            except ConfigError as e:
                damaged[path] = str(e)
        names = {account.github_access_token: account.name for account in read.values() if account.is_named}
        found: dict[str, Account] = {}
        for path, account in read.items():
            name = account.name if account.is_named else names.get(account.github_access_token, account.name)
            if name != account.name or name in found or (path.stem != name and self._path(name) in read):
                damaged[path] = f"the account file {path} is a second file of {name} and is ignored"
            else:
                found[name] = account
        return found

    def problems(self) -> tuple[str, ...]:
        """See AccountStore."""
        return tuple(self._damaged.values())

    def load(self, name: str) -> Account | None:
        """One account, or None.

        Raises:
            ConfigError: its file cannot be read; the message names it.
        """
        path = self._path(name)
        try:
            path = self._file_of(name)
            return self._read(path) if path.exists() else None
        except OSError as e:
            raise _unreadable(path, e) from e

    def save(self, account: Account) -> None:
        """Write an account: the old file or the new one is there at any moment, never a torn one.

        Raises:
            ConfigError: it cannot be written (a full disk, a forbidden folder); what was there is untouched.
        """
        path = self._file_of(account.name)
        data = msgspec.json.format(msgspec.json.encode(account), indent=1)
        try:
            self._make_folder()
            write_private(path, data)
        except OSError as e:
            self.problem = f"accounts cannot be saved in {self._folder}: {e.strerror or e}"
            raise ConfigError(
                f"the account {account.name} cannot be saved in {self._folder}: {e.strerror or e}",
                public="the account cannot be saved",
            ) from e
        self.problem = ""

    def remove(self, name: str) -> bool:
        """See AccountStore."""
        path = self._file_of(name)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as e:
            raise ConfigError(
                f"the account file {path} cannot be removed: {e.strerror or e}",
                public="the account cannot be removed",
            ) from e
        return True

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        """Be the only one on this machine who renews this account's token; see `open_lock` and `held`."""
        async with self.held(self.open_lock(name), name):
            yield

    def open_lock(self, name: str) -> int | None:
        """Open the lock file of an account. None: it cannot be made."""
        path = self._folder / f".{self._path(name).stem}.lock"
        try:
            self._make_folder()
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as e:
            self.problem = f"accounts cannot be saved in {self._folder}: {e.strerror or e}"
            return None

    @asynccontextmanager
    async def held(self, handle: int | None, name: str) -> AsyncIterator[None]:
        """Hold an opened lock file.

        Waits for at most LOCK_SECONDS, and not at all where no lock can be made: two renewals are better than none.
        """
        try:
            if handle is not None:
                await self._wait_for(handle, name)
            yield
        finally:
            if handle is not None:
                os.close(handle)

    async def _wait_for(self, handle: int, name: str) -> None:
        patience = self._clock.now() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._clock.now() >= patience:
                    logger.warning(
                        "another process has held the lock of %s for %g s; continuing without it", name, LOCK_SECONDS
                    )
                    return
                await self._clock.sleep(_LOCK_POLL_SECONDS)
            except OSError:  # a file system without locks
                return
            else:
                return

    def _make_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._folder.stat().st_mode & 0o777 != 0o700:
            self._folder.chmod(0o700)

    def _files(self, damaged: dict[Path, str]) -> Iterable[Path]:
        try:
            return sorted(path for path in self._folder.iterdir() if path.suffix == ".json" and path.name[0] != ".")
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as e:
            damaged[self._folder] = f"the folder of accounts {self._folder} cannot be read: {e.strerror or e}"
            return []

    def _file_of(self, name: str) -> Path:
        """The file that holds an account: another program's, too, whatever it is called; else the one to be made."""
        path = self._path(name)
        if os.path.lexists(path):
            return path
        for other in self._files({}):
            try:
                if self._read(other).name == name:
                    return other
            except ConfigError:
                continue
        return path

    def _read(self, path: Path) -> Account:
        where = f"the account file {path}"
        try:
            if not path.is_file() or path.stat().st_size > MOST_BYTES:
                raise ConfigError(f"{where} is damaged (no file of an account's size)")
            account = account_in(path.read_bytes(), where)
        except OSError as e:
            raise _unreadable(path, e) from e
        self._path(account.name)  # a name that cannot be one
        return account

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name.replace("@", ".")):
            raise ConfigError(f"{name!r} cannot be the name of an account")
        return self._folder / f"{name}.json"


def account_in(data: bytes, where: str) -> Account:
    """The account that a JSON file holds, in any form that `formats` knows.

    Args:
        data: the file.
        where: what to call it in errors.

    Raises:
        ConfigError: it is none, or cannot be used. The message has no token.
    """
    try:
        account = msgspec.convert(fields_of(msgspec.json.decode(data)), Account)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise ConfigError(f"{where} is damaged ({_said_of(e)}); remove it and log in again") from e
    except ConfigError as e:
        raise ConfigError(f"{where} cannot be used: {e}") from e
    _check(account, where)
    return account


def _said_of(error: Exception) -> str:
    """What is wrong with a file, in our words: the field, where one has a value of the wrong kind."""
    found = re.search(r"at `\$\.(\w{1,60})", str(error)) if isinstance(error, msgspec.ValidationError) else None
    return f"{found[1]} has a value of the wrong kind" if found is not None else "it is not JSON"


def _check(account: Account, where: str) -> None:
    """Tokens become headers, and hosts addresses: what cannot be one is found here, and not when a request is sent."""
    for name, token in (("github_access_token", account.github_access_token), ("access_token", account.access_token)):
        if not is_token(token):
            raise ConfigError(f"{where} is damaged: {name} is no token; remove it and log in again")
    try:
        _ = account.address
    except ConfigError as e:
        raise ConfigError(f"{where} cannot be used: {e}") from e


def is_token(text: str) -> bool:
    """Whether a text can be a token: visible ASCII, or nothing at all."""
    return text.isascii() and text.isprintable() and " " not in text


def _unreadable(path: Path, e: OSError) -> ConfigError:
    return ConfigError(f"the account file {path} cannot be read: {e.strerror or e}", public="an account cannot be read")


class MemoryAccounts:
    """An AccountStore in memory, of one process."""

    def __init__(self, *accounts: Account) -> None:
        self._accounts = {account.name: account for account in accounts}
        self._locks: dict[str, asyncio.Lock] = {}
        self.problem = ""

    async def list(self) -> list[Account]:
        """See AccountStore."""
        return [self._accounts[name] for name in sorted(self._accounts)]

    def problems(self) -> tuple[str, ...]:
        """See AccountStore."""
        return ()

    async def load(self, name: str) -> Account | None:
        """See AccountStore."""
        return self._accounts.get(name)

    async def save(self, account: Account) -> None:
        """See AccountStore."""
        self._accounts[account.name] = account

    async def remove(self, name: str) -> bool:
        """See AccountStore."""
        self._locks.pop(name, None)
        return self._accounts.pop(name, None) is not None

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        """See AccountStore."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            yield
