"""Accounts that the environment gives, beside those that are stored: for containers and CI, where nobody runs `rightseat login`.

`COPILOT_API_KEY` and `COPILOT_GITHUB_TOKEN` count, or a file that the same name with `_FILE` names. `GH_TOKEN` and `GITHUB_TOKEN` do not:
they are set for other programs, and a gateway would lend their owner's Copilot to all its clients.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from rightseat.accounts.file_accounts import FileAccounts
from rightseat.accounts.store import Account, AccountStore, FileStore, MemoryAccounts
from rightseat.clock import SYSTEM_CLOCK
from rightseat.errors import ConfigError
from rightseat.log import logger
from rightseat.security.key_material import kind_of, said_of
from rightseat.security.sources import Environment, NamedFile, Source, first

VARIABLES = ("COPILOT_API_KEY", "COPILOT_GITHUB_TOKEN")
_EXPIRES = re.compile(r"(?:^|;)exp=(\d{1,12})")
_SECONDS = 1500.0  # of a Copilot token that does not say when it ends


def account_of_key(name: str, key: str, host: str) -> Account | None:
    """The account that a GitHub token or a Copilot token is; None: the key is of another kind."""
    kind = kind_of(key)
    if kind == "github":
        return Account(name, key.strip(), host=host)
    if kind != "copilot":
        return None
    found, now = _EXPIRES.search(key), SYSTEM_CLOCK.wall()
    ends = float(found[1]) if found else now + _SECONDS
    return Account(name, "", host=host, access_token=key.strip(), expires_at=ends, refresh_in=1e9, last_refresh=now)


def open_accounts(folder: Path, host: str, environment: Mapping[str, str] | None = None) -> AccountStore:
    """The stored accounts, and those that the environment gives.

    A variable that holds a key of another kind, such as one of a gateway, is named in a warning and not used.

    Args:
        folder: where accounts are stored.
        host: where tokens of the environment belong.
        environment: ours otherwise.

    Raises:
        ConfigError: a file that a variable names cannot be read.
    """
    environment = os.environ if environment is None else environment
    sources: list[Source] = [Environment(environment), NamedFile(environment)]
    given: dict[str, Account] = {}
    for name in VARIABLES:
        key = first(sources, name)
        if key is None:
            continue
        account = account_of_key(name, key.reveal(), host)
        if account is None:
            logger.warning("%s is not used as an account: %s", name, said_of(key.reveal()))
        elif (
            same := next((one.name for one in given.values() if _token_of(one) == _token_of(account)), None)
        ) is not None:
            logger.warning("%s is not used: it holds the same token as %s", name, same)
        else:
            given[name] = account
    stored = FileAccounts(FileStore(folder))
    return _WithEnvironment(stored, given) if given else stored


def _token_of(account: Account) -> str:
    return account.github_access_token or account.access_token


class _WithEnvironment:
    """An AccountStore: `stored`, and beside it accounts that live in memory and cannot be removed."""

    def __init__(self, stored: FileAccounts, given: Mapping[str, Account]) -> None:
        self._stored = stored
        self._given = MemoryAccounts(*given.values())
        self._names = frozenset(account.name for account in given.values())

    @property
    def problem(self) -> str:
        """See AccountStore."""
        return self._stored.problem

    async def list(self) -> list[Account]:
        """See AccountStore. A token that is stored, too, is listed once."""
        stored = await self._stored.list()
        known = {account.github_access_token for account in stored}
        return sorted(
            [
                *stored,
                *(
                    one
                    for one in await self._given.list()
                    if not one.github_access_token or one.github_access_token not in known
                ),
            ],
            key=lambda account: account.name,
        )

    def problems(self) -> tuple[str, ...]:
        """See AccountStore."""
        return self._stored.problems()

    async def load(self, name: str) -> Account | None:
        """See AccountStore."""
        return await self._of(name).load(name)

    async def save(self, account: Account) -> None:
        """See AccountStore. An account of the environment is kept in memory."""
        await self._of(account.name).save(account)

    async def remove(self, name: str) -> bool:
        """See AccountStore. Raises ConfigError: the account is the environment's."""
        if name in self._names:
            raise ConfigError(f"the account {name} comes from the environment; unset the variable and start again")
        return await self._stored.remove(name)

    def lock(self, name: str) -> AbstractAsyncContextManager[None]:
        """See AccountStore."""
        return self._of(name).lock(name)

    def _of(self, name: str) -> FileAccounts | MemoryAccounts:
        return self._given if name in self._names else self._stored
