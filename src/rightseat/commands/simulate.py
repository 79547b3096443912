"""`rightseat simulate`: serve the simulator, or run a command inside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from rightseat.accounts.store import Account, FileStore
from rightseat.commands.programs import with_our_programs
from rightseat.errors import CliNotFoundError, ConfigError
from rightseat.sdk.runtime import find_cli
from rightseat.security.environment import without_our_secrets
from rightseat.simulator.app import DEFAULT_MODELS, LOGIN, SimulatorApp
from rightseat.simulator.cloud import Behaviour, Cloud
from rightseat.simulator.environment import DUMMY_TOKEN, accounts_folder, simulated_environment
from rightseat.simulator.model import SimulatedModel
from rightseat.simulator.script import load_script
from rightseat.simulator.server import SimulatorServer


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on; 0 takes a free one.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on. The simulator has no protection."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same answers.")
@click.option("--words", type=click.IntRange(1), default=60, show_default=True, help="Length of an answer.")
@click.option(
    "--pace", type=click.FloatRange(0), default=100.0, show_default=True, help="Tokens a second; 0: no pauses."
)
@click.option("--script", type=click.Path(path_type=Path), help="A .toml or .py file with exact answers.")
@click.option("--model", "models", multiple=True, help="A model id to offer; may be repeated.")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder that keeps accounts, keys and the CLI's state; default: one that is removed at the end.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="When serving, print the address and the environment as one line of JSON."
)
@click.argument("command", nargs=-1, metavar="[-- COMMAND ...]")
def command(
    port: int,
    host: str,
    seed: int,
    words: int,
    pace: float,
    script: Path | None,
    models: tuple[str, ...],
    home: Path | None,
    as_json: bool,
    command: tuple[str, ...],
) -> None:
    """Play GitHub and the Copilot API on this machine, so that the real Copilot CLI works offline.

    With a COMMAND, run it in an environment that points the CLI and the SDK at the simulator, and return its exit status:

        rightseat simulate -- python my_agent.py

    An account is logged in. The Python and the programs of this installation come first on PATH. What is logged in and saved lasts as long as the
    command; with --home FOLDER it is there the next time.

    The command gets your environment without Rightseat's secrets (RIGHTSEAT_KEYS ...); what it shall have of them is set by
    `rightseat simulate -- env NAME=VALUE COMMAND`.

    Without one, serve until Ctrl-C and print the environment to set.
    """
    model = SimulatedModel(seed=seed, words=words, pace=pace, script=load_script(script) if script else None)
    cloud = Cloud(Behaviour(interval=1))  # people who try a login do not want to wait
    server = SimulatorServer(SimulatorApp(model, models or DEFAULT_MODELS, cloud), host, port)
    sys.exit(asyncio.run(_run(server, command, home) if command else _serve(server, home, as_json=as_json)))


async def _run(server: SimulatorServer, command: tuple[str, ...], kept: Path | None) -> int:
    base = with_our_programs(without_our_secrets(os.environ))
    program = shutil.which(command[0], path=base["PATH"])
    if program is None:
        click.echo(f"rightseat simulate: {command[0]}: no such command", err=True)
        return 127
    async with server:
        with _home(kept, server.url) as home:
            env = simulated_environment(server.url, home, base, cli=_cli())
            with _signals_for() as come:
                process = await asyncio.create_subprocess_exec(program, *command[1:], env=env)
                hand_on = asyncio.ensure_future(_hand_on(come, process))
                status = await process.wait()
                hand_on.cancel()
    return status if status >= 0 else 128 - status


@contextlib.contextmanager
def _home(kept: Path | None, url: str) -> Iterator[Path]:
    """The folder of a simulation, with an account logged in at `url`. Accounts that it has kept are moved to that address."""
    with contextlib.ExitStack() as stack:
        if kept is None:
            prefix = "rightseat-"
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)))
        else:
            home = kept.absolute()
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
        store = FileStore(accounts_folder(home))
        known = store.list()
        if any(not account.host.startswith("http://") for account in known):
            raise ConfigError(f"--home: {home} holds accounts of GitHub; the simulator needs a folder of its own")
        for account in known:
            store.remove(account.name)
            store.save(msgspec.structs.replace(account, host=url, access_token="", expires_at=0.0, api_url=""))
        if not known:
            store.save(Account(LOGIN, DUMMY_TOKEN, host=url))
        yield home


async def _serve(server: SimulatorServer, kept: Path | None, *, as_json: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with server:
        with _home(kept, server.url) as home:
            changed = {
                name: value
                for name, value in simulated_environment(server.url, home, {}, cli=_cli()).items()
                if name != "NO_PROXY"
            }
            if as_json:
                click.echo(json.dumps({"url": server.url, "environment": changed}))
            else:
                click.echo(f"# The simulator listens on {server.url}. Ctrl-C ends it. In another terminal:")
                click.echo("\n".join(f"export {name}={value}" for name, value in changed.items()))
            sys.stdout.flush()
            await stop.wait()
    return 0


def _cli() -> Path | None:
    """The CLI, where one is found: the command may do without."""
    try:
        return find_cli().absolute()
    except CliNotFoundError:
        return None


@contextlib.contextmanager
def _signals_for() -> Iterator[asyncio.Queue[signal.Signals]]:
    """Signals that are for the command, from before it is started. Ctrl-C at a terminal reaches it without our help."""
    loop = asyncio.get_running_loop()
    come: asyncio.Queue[signal.Signals] = asyncio.Queue()
    at_terminal = sys.stdin is not None and sys.stdin.isatty()
    loop.add_signal_handler(signal.SIGINT, (lambda: None) if at_terminal else lambda: come.put_nowait(signal.SIGINT))
    loop.add_signal_handler(signal.SIGTERM, lambda: come.put_nowait(signal.SIGTERM))
    try:
        yield come
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        loop.remove_signal_handler(signal.SIGTERM)


async def _hand_on(come: asyncio.Queue[signal.Signals], process: asyncio.subprocess.Process) -> None:
    while True:
        number = await come.get()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
