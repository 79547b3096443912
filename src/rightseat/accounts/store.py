"""Where accounts rest: one JSON file each, readable by its owner only, replaced whole or not at all.

The file holds the fields `access_token` (Copilot's), `github_access_token`, `expires_at` and `refresh_in`, and what else is needed
to renew them. This module refuses to know how tokens are got.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from rightseat.errors import ConfigError
from rightseat.security.files import write_private

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Account(Struct, frozen=True, omit_defaults=False):
    """One login and its current Copilot token.

    Attributes:
        login: the GitHub user name.
        github_access_token: the GitHub token; it renews the other.
        host: "github.com", "TENANT.ghe.com", or one URL that plays all of GitHub, for tests.
        access_token: the Copilot token, "" before the first exchange.
        expires_at: when that ends, in seconds of the wall clock.
        refresh_in: seconds after `last_refresh` when it should be renewed.
        last_refresh: when it was got, in seconds of the wall clock.
        api_url: the Copilot API that the token named, "" if it named none.
        base_url: the Copilot API that the owner configured, "" for none. Goes before all others.
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

    @property
    def name(self) -> str:
        """The account's name: the login, with the host where that is not github.com."""
        if self.host == "github.com":
            return self.login
        return f"{self.login}@{re.sub(r'[^A-Za-z0-9.]+', '-', self.host.partition('://')[2] or self.host)}"

    def __repr__(self) -> str:
        return f"Account({self.name!r})"


def default_folder() -> Path:
    """`RIGHTSEAT_HOME`, else the folder `rightseat` where this user's settings are (XDG Base Directory)."""
    if home := os.environ.get("RIGHTSEAT_HOME"):
        return Path(home)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "rightseat"


class FileStore:
    """Accounts in the folder `accounts` below `folder` (0700), a file each (0600)."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = (folder or default_folder()) / "accounts"

    def list(self) -> list[Account]:
        """All accounts, by name.

        Raises:
            ConfigError: a file cannot be read; the message names it. It is left as it is.
        """
        if not self._folder.is_dir():
            return []
        return [self._read(path) for path in sorted(self._folder.glob("*.json"))]

    def load(self, name: str) -> Account | None:
        """One account, or None. Raises as `list` does."""
        path = self._path(name)
        return self._read(path) if path.exists() else None

    def save(self, account: Account) -> None:
        """Write an account: the old file or the new one is there at any moment, never a torn one.

        Raises:
            ConfigError: it cannot be written (a full disk, a forbidden folder); what was there is untouched.
        """
        path = self._path(account.name)
        data = msgspec.json.format(msgspec.json.encode(account), indent=1)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._folder.chmod(0o700)
            write_private(path, data)
        except OSError as e:
            raise ConfigError(f"the account {account.name} cannot be saved in {self._folder}: {e.strerror}") from e

    def remove(self, name: str) -> bool:
        """Forget an account. False: there was none."""
        path = self._path(name)
        if not path.exists():
            return False
        path.unlink()
        return True

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        """Be the only one on this machine who renews this account's token."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self._folder / f".{self._path(name).stem}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await asyncio.to_thread(fcntl.flock, handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _read(self, path: Path) -> Account:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Account)
        except OSError as e:
            raise ConfigError(f"the account file {path} cannot be read: {e.strerror}") from e
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            raise ConfigError(f"the account file {path} is damaged ({e}); remove it and log in again") from e

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name.replace("@", ".")):
            raise ConfigError(f"{name!r} cannot be the name of an account")
        return self._folder / f"{name}.json"


class MemoryStore:
    """The same, for one process and as long as it lives."""

    def __init__(self, *accounts: Account) -> None:
        self._accounts = {account.name: account for account in accounts}
        self._locks: dict[str, asyncio.Lock] = {}

    def list(self) -> list[Account]:
        """See FileStore."""
        return [self._accounts[name] for name in sorted(self._accounts)]

    def load(self, name: str) -> Account | None:
        """See FileStore."""
        return self._accounts.get(name)

    def save(self, account: Account) -> None:
        """See FileStore."""
        self._accounts[account.name] = account

    def remove(self, name: str) -> bool:
        """See FileStore."""
        return self._accounts.pop(name, None) is not None

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        """See FileStore."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            yield


Store = FileStore | MemoryStore
