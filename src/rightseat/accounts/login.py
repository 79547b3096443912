"""Logging an account in: the device flow driven over HTTP, the account's name found, its first token fetched, all of it saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from rightseat.accounts.device_flow import Prompt, Wait, device_flow
from rightseat.accounts.hosts import Hosts
from rightseat.accounts.identity import Editor, github_headers
from rightseat.accounts.store import Account, AccountStore
from rightseat.accounts.tokens import TokenSource
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import LoginError
from rightseat.transport.http.base import SMALL, HttpRequest, HttpSender, fetch


async def log_in(
    store: AccountStore,
    sender: HttpSender,
    editor: Editor,
    host: str,
    base_url: str,
    on_prompt: Callable[[Prompt], None],
    clock: Clock = SYSTEM_CLOCK,
) -> Account:
    """Run a device login, and save the account.

    Args:
        store: where the account is kept.
        sender: sends requests.
        editor: who we say we are.
        host: "github.com", or "TENANT.ghe.com".
        base_url: where the account's requests shall go; "" for where its token says.
        on_prompt: shows the code to the person.
        clock: time.

    `host` and `base_url` are the owner's: from the settings file or the command line, never from a request over HTTP.

    Raises:
        LoginError: GitHub refused, or the login was not approved in time. Nothing is saved.
        TransportError: GitHub cannot be reached.
    """
    hosts = Hosts.of(host)
    token = await _github_token(sender, hosts, editor, on_prompt, clock)
    account = Account("", token, host=host, base_url=base_url)
    account = msgspec.structs.replace(account, login=await user_name(sender, editor, account))
    await store.save(account)
    source = TokenSource(store, sender, editor, clock)
    try:
        return await source.get(account)
    except LoginError:
        await store.remove(account.name)
        raise
    finally:
        await source.close()


async def _github_token(
    sender: HttpSender, hosts: Hosts, editor: Editor, on_prompt: Callable[[Prompt], None], clock: Clock
) -> str:
    flow = device_flow(hosts, editor)
    reply: Any = None
    while True:
        try:
            step = flow.send(reply)
        except StopIteration as done:
            return str(done.value)
        reply = None
        match step:
            case HttpRequest():
                reply = await fetch(sender, step)
            case Prompt():
                on_prompt(step)
            case Wait(seconds):
                await clock.sleep(seconds)


async def user_name(sender: HttpSender, editor: Editor, account: Account) -> str:
    """The login of an account, which GitHub is asked for with its token.

    Raises:
        LoginError: GitHub does not say.
        TransportError: GitHub cannot be reached.
    """
    url = f"{Hosts.of(account.host).api}/copilot_internal/user"
    headers = github_headers(editor, account.github_access_token)
    answer = await fetch(sender, HttpRequest("GET", url, headers, timeouts=SMALL, peer="GitHub"))
    try:
        name = json.loads(answer.body).get("login")
    except (ValueError, AttributeError):
        name = None
    if not isinstance(name, str) or not name:
        raise LoginError("unexpected", f"GitHub did not say whose token this is (HTTP {answer.status})")
    return name
