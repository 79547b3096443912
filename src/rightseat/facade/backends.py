"""Where answers come from, by the kind of key: the Copilot API, or a server that speaks OpenAI's dialect."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from rightseat.accounts.file_accounts import FileAccounts
from rightseat.accounts.from_environment import account_of_key
from rightseat.accounts.store import AccountStore, FileStore, MemoryAccounts, default_folder
from rightseat.backends.base import Backend
from rightseat.backends.factory import open_backend
from rightseat.errors import ConfigError, NotLoggedInError
from rightseat.security.key_material import kind_of, said_of
from rightseat.security.sources import default_sources, missing, secrets_file


async def backend_for(
    stack: AsyncExitStack,
    *,
    api_key: str | None,
    base_url: str | None,
    host: str,
    account: str | None,
    home: Path | None,
    compression: bool,
) -> Backend:
    """The backend for what was given, opened on `stack`.

    Raises:
        ConfigError: a key of a kind that cannot be used here; the kind is named, never the key.
        NotLoggedInError: no key, and no stored account.
    """
    if base_url is not None and api_key is not None and kind_of(api_key) in ("github", "github_app", "copilot"):
        raise ConfigError(
            "api_key: this is a GitHub or Copilot token; a server at base_url takes a key of its own. "
            "Leave base_url out to ask Copilot with it."
        )
    if base_url is not None:
        return await open_backend(stack, base_url=base_url, api_key=api_key or "", compression=compression)
    store = await store_for(api_key, host, account, home)
    return await open_backend(stack, store=store, compression=compression)


async def store_for(api_key: str | None, host: str, account: str | None, home: Path | None) -> AccountStore:
    """The accounts for a key. Raises as `backend_for` does."""
    if api_key is None:
        return await _stored(account, home)
    given = account_of_key("api-key", api_key, host)
    if given is not None:
        return MemoryAccounts(given)
    proxy = "; for a gateway or a proxy give its base_url too" if kind_of(api_key) in ("openai", "other") else ""
    raise ConfigError(
        f"api_key: {said_of(api_key)}{proxy}. Copilot takes a GitHub token (gho_, ghu_, github_pat_) or one of its own (tid=)."
    )


async def _stored(account: str | None, home: Path | None) -> AccountStore:
    store = FileAccounts(FileStore(home))
    accounts = await store.list()
    if account is None:
        if not accounts:
            damaged = "".join(f"; {problem}" for problem in store.problems())
            raise NotLoggedInError(
                "no api_key and no stored account: run `rightseat login`, or give api_key=. "
                + missing("COPILOT_API_KEY", default_sources(folder=home), secrets_file(folder=home))
                + f", and accounts in {(home or default_folder()) / 'accounts'}"
                + damaged
            )
        return store
    if await store.load(account) is None:
        raise NotLoggedInError(f"no account {account!r}; there is: {', '.join(a.name for a in accounts) or 'none'}")
    return FileAccounts(FileStore(home, only=account))
