"""Accounts of other programs, read from where those keep them, and taken over: GitHub is asked for the login that a file does not name.

`formats` knows what the files look like. Nothing here changes another program's files.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from rightseat.accounts.formats import hashed_login, token_in
from rightseat.accounts.identity import Editor
from rightseat.accounts.login import user_name
from rightseat.accounts.store import MOST_BYTES, Account, AccountStore, account_in
from rightseat.errors import ConfigError, LoginError, TransportError
from rightseat.log import logger
from rightseat.transport.http.base import HttpSender

_LITELLM, _COPILOT_API, _TENANT = "access-token", "github_token", "enterprise_url"
_MOST_FILES = 1000


def read_accounts(path: Path, host: str = "github.com") -> tuple[list[Account], list[str]]:
    """The accounts in a file or folder of CLIProxyAPI, copilot-api, LiteLLM or Rightseat.

    Args:
        path: the file, or the folder in which the program keeps it.
        host: where a token belongs whose file names no host.

    Returns:
        The accounts, and what of a folder was left out, and why.

    Raises:
        ConfigError: there is no account in it; the message names the file and what is wrong. It has no token.
    """
    if not path.is_dir():
        return [_read(path, host)], []
    for name in (_LITELLM, _COPILOT_API):
        if (path / name).is_file():
            return [_read(path / name, host)], []
    found: list[Account] = []
    skipped: list[str] = []
    for file in sorted(path.glob("*.json"))[:_MOST_FILES]:
        try:
            found.append(_read(file, host))
        except ConfigError as e:
            skipped.append(str(e))
    if not found:
        why = "; ".join(skipped[:5]) or f"it has no {_LITELLM}, no {_COPILOT_API} and no .json file"
        raise ConfigError(f"{path}: there is no account in it: {why}")
    return found, skipped


async def take_over(store: AccountStore, sender: HttpSender, editor: Editor, account: Account) -> Account:
    """Save an account under its login, which GitHub is asked for where the account has none.

    Where GitHub cannot be reached the name stays `formats.hashed_login`, until the next time.

    Raises:
        LoginError: GitHub does not know the token. Nothing is saved.
        ConfigError: the account cannot be saved.
    """
    named = account
    if not account.is_named:
        try:
            named = msgspec.structs.replace(account, login=await user_name(sender, editor, account))
        except TransportError as e:
            logger.warning("GitHub cannot be asked whose account %s is: %s", account.name, e)
    await store.save(named)
    if named.name != account.name:
        await store.remove(account.name)
    return named


async def name_accounts(store: AccountStore, sender: HttpSender, editor: Editor) -> None:
    """Find the logins of accounts that have none yet. Failures are logged and do not stop the others."""
    for account in await store.list():
        if not account.is_named and account.github_access_token:
            try:
                await take_over(store, sender, editor, account)
            except (LoginError, ConfigError) as e:
                logger.warning("the account %s keeps its name: %s", account.name, e)


def _read(path: Path, host: str) -> Account:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as e:
        raise ConfigError(f"{path} cannot be read: {e.strerror or e}") from e
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{path} is larger than an account's file can be")
    if data.lstrip().startswith((b"{", b"[")):
        account = account_in(data, str(path))
        return account if account.host != "github.com" else _at(account, host)
    try:
        token = token_in(data.decode("utf-8", "replace"))
    except ConfigError as e:
        raise ConfigError(f"{path}: {e}") from None
    return _at(Account(hashed_login(token), token), _tenant_beside(path) or host)


def _tenant_beside(path: Path) -> str:
    """The host that copilot-api's `enterprise_url` names: a tenant's token must not go to github.com. "" for none."""
    file = path.with_name(_TENANT)
    if path.name != _COPILOT_API or not file.is_file():
        return ""
    text = file.read_text(encoding="utf-8", errors="replace")[:300].strip()
    return text.removeprefix("https://").rstrip("/")


def _at(account: Account, host: str) -> Account:
    moved = msgspec.structs.replace(account, host=host)
    _ = moved.address  # a host that is none
    return moved
