"""`rightseat serve` and `rightseat config check`."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import click

from rightseat.accounts.from_environment import open_accounts
from rightseat.accounts.importing import name_accounts
from rightseat.accounts.store import AccountStore
from rightseat.commands.allocator import give_memory_back
from rightseat.commands.secret_options import read_file, read_input, refused
from rightseat.gateway.config import Settings, load_settings
from rightseat.gateway.observe.logging import configure
from rightseat.gateway.run import serve as run
from rightseat.gateway.workers import FD_VARIABLE, SUPERVISOR_VARIABLE, Supervisor, worker_argv
from rightseat.transport.http.choice import sender_of

_CONFIG = click.option("--config", "path", type=click.Path(path_type=Path), help="A TOML file with settings.")


@click.command()
@_CONFIG
@click.option("--host", help="Address to listen on; default: the settings', 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; default: the settings', 4141.")
@click.option(
    "--key-file",
    "key_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A file with keys that clients must send, one a line; may be repeated.",
)
@click.option("--key", metavar="-", help='"-": read a key that clients must send from standard input.')
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that share the port."
)
def serve(
    path: Path | None, host: str | None, port: int | None, key_files: tuple[Path, ...], key: str | None, workers: int
) -> None:
    """Serve the gateway: any OpenAI client talks to Copilot.

    Settings come from a TOML file, the environment (RIGHTSEAT_PORT ...) and these options; `rightseat config check` shows them.
    Ctrl-C lets open streams finish; SIGHUP reads settings and keys again.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # until it can be answered, by reloading
    typed = _typed_key(key)
    read = partial(_read, path, {"host": host, "port": port}, key_files, typed)
    settings = read()
    logging.captureWarnings(True)  # Python would write them to standard error itself
    store = open_accounts(settings.folder, settings.github_host)
    if FD_VARIABLE in os.environ:
        listener = socket.socket(fileno=int(os.environ[FD_VARIABLE]))
        _runner()(_work(settings, listener, read, store))
        return
    accounts = asyncio.run(_named(settings, store))
    if workers > 1:
        argv = worker_argv(_for_workers(path, host, key_files, typed, settings))
        supervisor = Supervisor(settings, workers, argv, lambda url: _say_ready(url, settings, accounts))
        raise SystemExit(supervisor.run())
    _runner()(run(settings, lambda url: _ready(url, settings, accounts), reload=read, accounts=store))


def _read(path: Path | None, given: dict[str, Any], key_files: tuple[Path, ...], typed: tuple[str, ...]) -> Settings:
    """The settings as they are now, and the log as they say. Raises ConfigError: they are wrong, and nothing has changed."""
    keys = [each for file in key_files for each in read_file("--key-file", file).split()]
    settings = load_settings(path, given={**given, "keys": (*keys, *typed)})
    configure(settings.log, settings.log_level)
    return settings


def _for_workers(
    path: Path | None, host: str | None, key_files: tuple[Path, ...], typed: tuple[str, ...], settings: Settings
) -> list[str]:
    """The options of a worker. A key that was typed goes into its environment, which other users cannot read."""
    options = [*(("--config", str(path)) if path else ()), *(("--host", host) if host else ())]
    if typed:
        os.environ["RIGHTSEAT_KEYS"] = ",".join(settings.keys)
        return options
    return [*options, *(word for file in key_files for word in ("--key-file", str(file)))]


def _typed_key(key: str | None) -> tuple[str, ...]:
    """The key from standard input, if that was asked for. Raises ConfigError: a key is in an argument."""
    if key is not None and key != "-":
        raise refused("--key", "RIGHTSEAT_KEYS")
    return (read_input("--key"),) if key is not None else ()


async def _named(settings: Settings, store: AccountStore) -> list[str]:
    """The names of the accounts. GitHub is asked for the logins of those that came without one."""
    if any(not account.is_named for account in await store.list()):
        async with sender_of(settings.http_client) as sender:
            await name_accounts(store, sender, settings.editor)
    return [account.name for account in await store.list()]


async def _work(settings: Settings, listener: socket.socket, read: Callable[[], Settings], store: AccountStore) -> None:
    """One worker. It ends with its supervisor, however that ends."""
    stop, supervisor = asyncio.Event(), int(os.environ[SUPERVISOR_VARIABLE])

    async def watch() -> None:
        while os.getppid() == supervisor:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(1)
        stop.set()

    watching = asyncio.ensure_future(watch())
    try:
        await run(settings, lambda _: _settle(), stop, listener, read, store)
    finally:
        watching.cancel()


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Uvloop where it is installed: a third less time in the event loop."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.run
    return uvloop.run


def _settle() -> None:
    """What was made at start lives to the end: the garbage collector leaves it out, and runs less often.

    Measured: a quarter of the time of a paced stream.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    give_memory_back()


def _ready(url: str, settings: Settings, accounts: list[str]) -> None:
    _settle()
    _say_ready(url, settings, accounts)


def _say_ready(url: str, settings: Settings, accounts: list[str]) -> None:
    address = click.style(f"{url}/v1", bold=True)
    click.echo(f"{address} serves the models of {', '.join(accounts) or 'no account yet: rightseat login'}", err=True)
    key = "-H 'authorization: Bearer YOUR-KEY' " if settings.keys or settings.require_key else ""
    click.secho(f"try:  curl {key}{url}/v1/models", err=True, dim=True)


@click.group()
def config() -> None:
    """Show and check the settings."""


@config.command()
@_CONFIG
def check(path: Path | None) -> None:
    """Read all settings as `serve` would, and show the ones in force. Secrets are masked."""
    click.echo(json.dumps(load_settings(path).shown(), indent=2))
