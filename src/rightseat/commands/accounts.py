"""`rightseat login`, `logout`, `accounts import`, `status`, `models`: accounts at the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from rightseat.accounts.device_flow import Prompt
from rightseat.accounts.file_accounts import FileAccounts
from rightseat.accounts.from_environment import open_accounts
from rightseat.accounts.hosts import clean_url
from rightseat.accounts.importing import name_accounts, read_accounts, take_over
from rightseat.accounts.login import log_in
from rightseat.accounts.quota import Quota, fetch_quota
from rightseat.accounts.store import Account, AccountStore, FileStore
from rightseat.backends.copilot import CopilotBackend
from rightseat.commands.output import show_block, show_table
from rightseat.errors import LoginError, TransportError, UpstreamError
from rightseat.gateway.config import Settings, load_settings
from rightseat.json_types import JsonObject
from rightseat.transport.http.base import HttpSender
from rightseat.transport.http.choice import sender_of

_QUOTA_SECONDS = 10.0

console = Console(stderr=True, highlight=False)


@click.command()
@click.option(
    "--host",
    default="github.com",
    show_default=True,
    envvar="RIGHTSEAT_GITHUB_HOST",
    help="github.com, or TENANT.ghe.com.",
)
@click.option("--base-url", default="", help="Address of the Copilot API; default: the one in the token.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser; the code is shown in any case.")
def login(host: str, base_url: str, no_browser: bool) -> None:
    """Log an account in by device code, and fetch its first Copilot token.

    Several accounts can be logged in, one after another. They are kept in a folder that only you can read.
    """
    settings = load_settings()
    account = asyncio.run(_login(settings, host, clean_url(base_url) if base_url else "", browser=not no_browser))
    console.print(f"[green]Logged in as {account.name}.[/green] `rightseat serve` uses it now.")


async def _login(settings: Settings, host: str, base: str, *, browser: bool) -> Account:
    def show(prompt: Prompt) -> None:
        console.print(f"Enter the code [bold]{prompt.user_code}[/bold] at [bold]{prompt.verification_uri}[/bold]")
        if browser:
            with contextlib.suppress(webbrowser.Error):
                webbrowser.open(prompt.verification_uri)

    async with sender_of(settings.http_client) as sender:
        return await log_in(FileAccounts(FileStore(settings.folder)), sender, settings.editor, host, base, show)


@click.command()
@click.argument("name", required=False)
@click.option("--all", "everyone", is_flag=True, help="Every account.")
def logout(name: str | None, everyone: bool) -> None:
    """Forget an account: NAME as `rightseat status` shows it, or the only one there is."""
    store = FileStore(load_settings().folder)
    names = [account.name for account in store.list()]
    if not everyone and name is None:
        if len(names) != 1:
            raise click.ClickException(f"which one? {', '.join(names)}" if names else "no account is logged in")
        name = names[0]
    for gone in names if everyone else [str(name)]:
        if not store.remove(gone):
            raise click.ClickException(f"no account {gone!r}; there is: {', '.join(names) or 'none'}")
        console.print(f"Logged out {gone}.")


@click.group()
def accounts() -> None:
    """Take over accounts of other programs."""


@accounts.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--host",
    default="github.com",
    show_default=True,
    envvar="RIGHTSEAT_GITHUB_HOST",
    help="Where tokens belong whose files do not say: github.com, or TENANT.ghe.com.",
)
def import_(paths: tuple[Path, ...], host: str) -> None:
    """Take over accounts of CLIProxyAPI, copilot-api or LiteLLM.

    PATHS are their files, or the folders that hold them:

    \b
    CLIProxyAPI   ~/.cli-proxy-api
    copilot-api   ~/.local/share/copilot-api
    LiteLLM       ~/.config/litellm/github_copilot

    Those files are read and left as they are. GitHub is asked for the login of
    a token whose file does not name it.
    """  # noqa: D301 - click's mark for a paragraph that is not wrapped
    settings = load_settings()
    found: list[Account] = []
    for path in paths:
        read, skipped = read_accounts(path, host)
        found += read
        for problem in skipped:
            console.print(f"left out: {problem}", markup=False)
    if not asyncio.run(_import(settings, found)):
        raise SystemExit(1)


async def _import(settings: Settings, found: Sequence[Account]) -> bool:
    """Save accounts. True: all of them are."""
    store, refused = FileAccounts(FileStore(settings.folder)), 0
    async with sender_of(settings.http_client) as sender:
        for account in found:
            try:
                saved = await take_over(store, sender, settings.editor, account)
            except LoginError as e:
                refused += 1
                console.print(f"[red]{account.name} is not taken over:[/red] {e}")
            else:
                console.print(f"[green]Took over {saved.name}.[/green] Its requests go to {saved.address}")
    return not refused


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.option("--offline", is_flag=True, help="Do not ask GitHub for the quota.")
def status(as_json: bool, offline: bool) -> None:
    """Show the accounts, how long their tokens live, and their quota. No secret is shown."""
    settings = load_settings()
    store = open_accounts(
        settings.folder, settings.github_host
    )  # what cannot be read is said by the log, on standard error
    known = asyncio.run(store.list() if offline else _named(settings, store))
    quotas = [None] * len(known) if offline else asyncio.run(_quotas(settings, known))
    rows = [_status_of(account, quota) for account, quota in zip(known, quotas, strict=True)]
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo("Not logged in: rightseat login")
        return
    for row in rows:
        left = row["token_seconds_left"]
        show_block(
            row["name"],
            [
                ("host", row["host"]),
                ("requests go to", row["base_url"]),
                ("token", f"{left / 60:.0f} min left" if left > 0 else "renewed at the next request"),
                ("plan and quota", "not asked" if offline else _quota_line(row["quota"])),
            ],
        )


async def _named(settings: Settings, store: AccountStore) -> list[Account]:
    """The accounts, once those without a login have been given theirs."""
    if any(not account.is_named for account in await store.list()):
        async with sender_of(settings.http_client) as sender:
            await name_accounts(store, sender, settings.editor)
    return await store.list()


async def _quotas(settings: Settings, accounts: Sequence[Account]) -> list[Quota | str]:
    """The quota of each account, or why it is not known."""

    async def ask(sender: HttpSender, account: Account) -> Quota | str:
        try:
            async with asyncio.timeout(_QUOTA_SECONDS):
                return await fetch_quota(sender, settings.editor, account)
        except TimeoutError:
            return f"GitHub did not answer within {_QUOTA_SECONDS:g} s"
        except (UpstreamError, TransportError) as e:
            return str(e)

    async with sender_of(settings.http_client) as sender:
        return await asyncio.gather(*(ask(sender, account) for account in accounts))


def _status_of(account: Account, quota: Quota | str | None) -> JsonObject:
    return {
        "name": account.name,
        "host": account.host,
        "base_url": account.address,
        "token_seconds_left": max(0, int(account.expires_at - time.time())) if account.access_token else 0,
        "quota": {"error": quota} if isinstance(quota, str) else msgspec.to_builtins(quota),
    }


def _quota_line(quota: JsonObject) -> str:
    """What is limited, of one account, in a line or two."""
    if "error" in quota:
        return str(quota["error"])
    kinds = [
        f"{name}: {shot['remaining']:g} of {shot['entitlement']:g} left"
        for name, shot in quota["snapshots"].items()
        if shot["entitlement"] and shot["remaining"] is not None
    ]
    billing = ["billed by tokens"] if quota["token_based_billing"] else []
    until = [f"until {quota['reset_date']}"] if kinds and quota["reset_date"] else []
    return "; ".join([quota["plan"] or "plan not told", *billing, *(kinds or ["nothing is limited"]), *until])


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the entries as JSON, as Copilot returns them.")
def models(as_json: bool) -> None:
    """List the models of the account; a placeholder list while no account is logged in."""
    settings = load_settings()
    registry = asyncio.run(_registry(settings))
    if as_json:
        click.echo(json.dumps([model.raw or {"id": model.id} for model in registry.models.values()]))
        return
    rows = []
    for model in registry.models.values():
        limits = [f"{n:,}" if n else "" for n in (model.max_prompt_tokens, model.max_output_tokens)]
        rows.append((model.id, *limits, model.vendor, " ".join(model.endpoints)))
    show_table(("model", "prompt", "output", "vendor", "endpoints"), rows, right=frozenset({1, 2}))
    if registry.seed:
        console.print("[dim]Not logged in: this is a placeholder list.[/dim]")


async def _registry(settings: Settings) -> Any:
    async with sender_of(settings.http_client) as sender:
        store = open_accounts(settings.folder, settings.github_host)
        copilot = CopilotBackend(store, sender, settings.editor, settings.aliases)
        try:
            return await copilot.models()
        finally:
            await copilot.aclose()
