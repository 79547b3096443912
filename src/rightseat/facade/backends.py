"""Where answers come from, by the kind of key: the Copilot API, a server that speaks OpenAI's dialect, or somebody's own handler."""

from __future__ import annotations

import re
import time
from contextlib import AsyncExitStack
from pathlib import Path

from rightseat.accounts.store import Account, FileStore, MemoryStore, Store
from rightseat.backends.copilot import Copilot
from rightseat.backends.handlers import CompatibleHandler, CopilotHandler
from rightseat.errors import ConfigError, NotLoggedInError
from rightseat.handler import Handler
from rightseat.security.keys import kind_of, said_of
from rightseat.transport.http.aiohttp import AiohttpSender
from rightseat.transport.http.base import HttpSender
from rightseat.transport.http.compress import CompressingSender

_EXPIRES = re.compile(r"(?:^|;)exp=(\d+)")


async def open_backend(
    stack: AsyncExitStack,
    *,
    api_key: str | None,
    base_url: str | None,
    host: str,
    account: str | None,
    home: Path | None,
    compression: bool,
) -> Handler:
    """The handler for what was given, opened on `stack`.

    Raises:
        ConfigError: a key of a kind that cannot be used here; the kind is named, never the key.
        NotLoggedInError: no key, and no stored account.
    """
    if base_url is not None and api_key is not None and kind_of(api_key) in ("github", "github_app", "copilot"):
        raise ConfigError(
            "api_key: this is a GitHub or Copilot token; a server at base_url takes a key of its own. "
            "Leave base_url out to ask Copilot with it."
        )
    store = store_for(api_key, host, account, home) if base_url is None else None
    sender: HttpSender = await stack.enter_async_context(AiohttpSender())
    if compression:
        sender = CompressingSender(sender)
    if store is None:
        return CompatibleHandler(sender, base_url or "", api_key or "")
    copilot = Copilot(store, sender)
    stack.push_async_callback(copilot.close)
    return CopilotHandler(copilot)


def store_for(api_key: str | None, host: str, account: str | None, home: Path | None) -> Store:
    """The accounts that a key stands for. Raises as `open_backend` does."""
    if api_key is None:
        return _stored(account, home)
    kind = kind_of(api_key)
    if kind == "github":
        return MemoryStore(Account("api-key", api_key, host=host))
    if kind == "copilot":
        found = _EXPIRES.search(api_key)
        now = time.time()
        ends = float(found[1]) if found else now + 1500
        return MemoryStore(
            Account("api-key", "", host=host, access_token=api_key, expires_at=ends, refresh_in=1e9, last_refresh=now)
        )
    proxy = "; for a gateway or a proxy give its base_url too" if kind in ("openai", "other") else ""
    raise ConfigError(
        f"api_key: {said_of(api_key)}{proxy}. Copilot takes a GitHub token (gho_, ghu_, github_pat_) or one of its own (tid=)."
    )


def _stored(account: str | None, home: Path | None) -> Store:
    store = FileStore(home)
    accounts = store.list()
    if account is None:
        if not accounts:
            raise NotLoggedInError(
                "no api_key and no stored account: run `rightseat login`, or give api_key= (or set COPILOT_API_KEY)"
            )
        return store
    if store.load(account) is None:
        raise NotLoggedInError(f"no account {account!r}; there is: {', '.join(a.name for a in accounts) or 'none'}")
    return _One(store, account)


class _One(FileStore):
    """One account of several."""

    def __init__(self, store: FileStore, name: str) -> None:
        super().__init__(store._folder.parent)
        self._name = name

    def list(self) -> list[Account]:
        """See FileStore."""
        return [account for account in super().list() if account.name == self._name]
