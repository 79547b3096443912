"""Where answers come from, by the kind of key: the Copilot API, a server that speaks OpenAI's dialect, or somebody's own handler."""

from __future__ import annotations

import re
import time
from contextlib import AsyncExitStack
from pathlib import Path

from rightseat.errors import ConfigError, NotLoggedInError
from rightseat.handler import Handler
from rightseat.transport.http import AiohttpSender, CompressingSender, HttpSender
from rightseat.upstream.copilot import Copilot
from rightseat.upstream.handler import CompatibleHandler, CopilotHandler
from rightseat.upstream.store import Account, FileStore, MemoryStore, Store

_GITHUB = ("gho_", "ghu_", "ghp_", "github_pat_")
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
    if base_url is not None and api_key is not None and api_key.startswith((*_GITHUB, "tid=")):
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
    if api_key.startswith(_GITHUB):
        return MemoryStore(Account("api-key", api_key, host=host))
    if api_key.startswith("tid="):
        found = _EXPIRES.search(api_key)
        now = time.time()
        ends = float(found[1]) if found else now + 1500
        return MemoryStore(
            Account("api-key", "", host=host, access_token=api_key, expires_at=ends, refresh_in=1e9, last_refresh=now)
        )
    raise ConfigError(
        f"api_key: {_kind(api_key)} Copilot takes a GitHub token (gho_, ghu_, github_pat_) or one of its own (tid=)."
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


def _kind(key: str) -> str:
    if not key.strip():
        return "it is empty."
    if key.startswith("sk-ant-"):
        return "this is a key of Anthropic's API (sk-ant-...)."
    if key.startswith("sk-"):
        return "this is a key of OpenAI's API, or of a proxy (sk-...); for a proxy give its base_url too."
    if key.startswith("ghs_"):
        return "this is an installation token of a GitHub App (ghs_...), which has no Copilot."
    return "it has the form of no token that Copilot takes; for a gateway's key give its base_url too."
