"""`rightseat keys`: keys for the gateway's clients. A running gateway sees a change within half a second."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from rightseat.commands.output import show_block
from rightseat.errors import ConfigError
from rightseat.gateway.access.access import database_of
from rightseat.gateway.access.keys import KeyRing
from rightseat.gateway.access.pepper import pepper_of
from rightseat.gateway.access.views import key_fields, key_shown, keys_shown
from rightseat.gateway.config import load_settings
from rightseat.json_types import JsonObject
from rightseat.state.base import Ledger
from rightseat.state.key_record import SCOPES
from rightseat.state.opening import open_state

T = TypeVar("T")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_CONFIG = click.option("--config", "path", type=click.Path(path_type=Path), help="A TOML file with settings.")
_JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"([0-9]{1,6})([smhdw])", str(value))
        if match is None:
            self.fail(f"{value!r} is not a duration; write 90s, 30m, 12h, 30d or 4w", param, ctx)
        return int(match[1]) * float(_UNITS[match[2]])


@click.group()
def keys() -> None:
    """Keys for the gateway's clients.

    As soon as there is one, every client must show one.
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="A scope; default: chat, embeddings and models.",
)
@click.option("--model", "models", multiple=True, help="A model or a pattern such as 'gpt-*'; default: every model.")
@click.option("--rpm", type=click.FloatRange(0, min_open=True), help="Requests a minute.")
@click.option("--tpm", type=click.FloatRange(0, min_open=True), help="Tokens a minute.")
@click.option("--daily", type=click.IntRange(0), help="Tokens a day (UTC); 0: none.")
@click.option("--monthly", type=click.IntRange(0), help="Tokens a month (UTC); 0: none.")
@click.option("--expires", type=_Duration(), help="Lifetime of the key: 12h, 30d ...")
@_JSON
@_CONFIG
def create(name: str, path: Path | None, *, as_json: bool, **given: Any) -> None:
    """Make a key for NAME. It is shown this once."""
    body = {
        "name": name, "scopes": list(given["scopes"]) or None, "models": list(given["models"]) or None, "requests_per_minute": given["rpm"],
        "tokens_per_minute": given["tpm"], "daily_tokens": given["daily"], "monthly_tokens": given["monthly"], "expires_in": given["expires"],
    }  # fmt: skip
    fields = key_fields({field: value for field, value in body.items() if value is not None})
    key, text = _done(path, lambda ring, _: ring.create(**fields))
    _say(key_shown(key), text, as_json=as_json)


@keys.command("list")
@_JSON
@_CONFIG
def list_(path: Path | None, *, as_json: bool) -> None:
    """List the keys, their limits, and what they used. Never the keys themselves."""
    found = _done(path, keys_shown)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("no keys yet: rightseat keys create NAME", err=True)
        return
    for one in found:
        used = one["used"]
        rows = [
            ("name", one["name"]),
            ("scopes", " ".join(one["scopes"])),
            ("models", " ".join(one["models"]) or "all"),
            ("limits", _limits(one)),
            ("used", f"{_tokens(used.get('day'))} tokens today, {_tokens(used.get('month'))} this month"),
            ("expires", _date(one["expires_at"])),
        ]
        show_block(f"{one['id']}  {one['state']}", rows)


@keys.command()
@click.argument("key_id", metavar="ID")
@_CONFIG
def revoke(key_id: str, path: Path | None) -> None:
    """Revoke the key ID. Gateways refuse it within a second."""
    if _done(path, lambda ring, _: ring.revoke(key_id)) is None:
        raise ConfigError(f"there is no key {key_id!r}")
    click.echo(f"revoked {key_id}", err=True)


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--grace", type=_Duration(), default="0s", help="Grace period in which the old secret still works: 1h ..."
)
@_JSON
@_CONFIG
def rotate(key_id: str, grace: float, path: Path | None, *, as_json: bool) -> None:
    """Make a new secret for the key ID, with its limits and its use as they are. It is shown this once."""
    done = _done(path, lambda ring, _: ring.rotate(key_id, grace))
    if done is None:
        raise ConfigError(f"there is no active key {key_id!r}")
    _say(key_shown(done[0]), done[1], as_json=as_json)


def _done(path: Path | None, work: Callable[[KeyRing, Ledger], Coroutine[Any, Any, T]]) -> T:
    """Do something with the keys. Raises ConfigError, KeyDatabaseError."""

    async def run() -> T:
        settings = load_settings(path)
        async with open_state(database_of(settings)) as state:
            ring = KeyRing(state.keys, lambda make: asyncio.to_thread(pepper_of, settings, make=make))
            return await work(ring, state.ledger)

    return asyncio.run(run())


def _say(shown: JsonObject, text: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({**shown, "key": text}, indent=2))
        return
    click.echo(text)
    click.secho(f"{shown['id']} for {shown['name']}; keep it, it is not shown again", err=True, dim=True)


def _limits(one: JsonObject) -> str:
    names = {
        "requests_per_minute": "req/min",
        "tokens_per_minute": "tok/min",
        "daily_tokens": "tok/day",
        "monthly_tokens": "tok/month",
    }
    return ", ".join(f"{one[field]:g} {name}" for field, name in names.items() if one[field] is not None) or "none"


def _tokens(spent: dict[str, int] | None) -> str:
    return f"{spent['input_tokens'] + spent['output_tokens']:,}" if spent else "0"


def _date(at: float | None) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M") if at is not None else "never"
