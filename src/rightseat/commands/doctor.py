"""`rightseat doctor`: checks an installation and suggests fixes."""

from __future__ import annotations

import asyncio
import email.utils
import importlib.metadata
import importlib.util
import json
import os
import resource
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import click
import msgspec
from msgspec import Struct

from rightseat import CliNotFoundError, CliNotRunnableError, __version__, find_cli
from rightseat.accounts.from_environment import open_accounts
from rightseat.accounts.hosts import Hosts, is_loopback
from rightseat.accounts.identity import github_headers
from rightseat.accounts.quota import fetch_quota
from rightseat.accounts.store import Account
from rightseat.backends.copilot import CopilotBackend
from rightseat.commands.output import show_beside
from rightseat.errors import ConfigError, RightseatError
from rightseat.gateway.access.pepper import pepper_of
from rightseat.gateway.config import Settings, ignored_variables, load_settings
from rightseat.masking import mask
from rightseat.security.environment import cli_environment
from rightseat.security.sources import default_sources, first, secrets_file, unsafe_backend
from rightseat.transport.http.base import HttpRequest, HttpSender, fetch
from rightseat.transport.http.choice import sender_of

SKEW_SECONDS = 60.0
NETWORK_SECONDS = 15.0
_EXTRAS = {
    "re2": ("redact", "finding secrets in prompts is a hundred times slower"),
    "splintr": ("tokens", "tokens are estimated, not counted"),
    "uvloop": ("gateway", "the event loop is slower by a third"),
    "sqlalchemy": ("gateway", "the gateway has no keys of its own"),
    "cryptography": ("secrets", "the encrypted file of secrets cannot be used"),
    "opentelemetry.sdk": ("otel", "there are no traces"),
}


_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


class Check(Struct, frozen=True):
    """What was looked at.

    Attributes:
        name: of it.
        state: "ok", "warning" or "failed".
        found: what was found.
        advice: what to do; "" for nothing.
    """

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    advice: str = ""


@click.command()
@click.option("--config", "path", type=click.Path(path_type=Path), help="A TOML file with settings.")
@click.option("--offline", is_flag=True, help="Do not use the network.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(path: Path | None, *, offline: bool, as_json: bool) -> None:
    """Check this installation and suggest fixes.

    Looks at versions, settings, folders, accounts and their tokens, the network, the clock, the Copilot CLI, keyrings and limits.
    Exit status 1 if something cannot work as it is.
    """
    checks = []
    for check in run_checks(path, offline=offline):
        checks.append(check)
        if not as_json:
            show_beside(f"{check.state:<8}", f"{check.name}: {check.found}", _COLOURS[check.state])
            if check.advice:
                show_beside("        do: ", check.advice)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(checks), indent=2))
    if any(check.state == "failed" for check in checks):
        raise SystemExit(1)


def run_checks(path: Path | None = None, *, offline: bool = False) -> Iterator[Check]:
    """All checks, one after another."""
    yield from _versions()
    yield from _extras()
    try:
        settings = load_settings(path)
        yield Check("settings", "ok", f"in force for {settings.host}:{settings.port}, home {settings.folder}")
    except ConfigError as e:
        yield Check("settings", "failed", str(e), "correct it; `rightseat config check` shows the settings in force")
        settings = Settings()
    for name, hint in ignored_variables(os.environ):
        yield Check(
            "settings", "warning", f"{name} is not a setting and is ignored{hint}", "correct its name, or unset it"
        )
    yield from _exposure(settings)
    yield from _files(settings.folder)
    yield _cli()
    yield _keyring()
    yield from _sealed(settings)
    yield from _keys(settings)
    yield _descriptors(settings)
    yield _port(settings)
    store = open_accounts(settings.folder, settings.github_host)
    accounts = asyncio.run(store.list())
    for problem in store.problems():
        yield Check("accounts", "failed", problem, "remove the file and run `rightseat login`")
    if accounts:
        yield Check("accounts", "ok", ", ".join(account.name for account in accounts))
    elif not store.problems():
        yield Check("accounts", "failed", "not logged in", "run `rightseat login`")
    if not offline:
        yield from asyncio.run(_online(settings, accounts))


def _versions() -> Iterator[Check]:
    python = sys.version.split()[0]
    yield Check("versions", "ok", f"rightseat {__version__}, Python {python} on {sys.platform}")
    both = [name for name in ("rightseat", "rightseat-core") if list(importlib.metadata.distributions(name=name))]
    if len(both) == 2:
        advice = "uninstall both, and install one: rightseat has all that rightseat-core has"
        yield Check("versions", "warning", "rightseat and rightseat-core are both installed, over each other", advice)


def _extras() -> Iterator[Check]:
    missing = [(name, extra, loss) for name, (extra, loss) in _EXTRAS.items() if not _is_there(name)]
    for name, extra, loss in missing:
        yield Check("packages", "warning", f"{name} is not installed: {loss}", f"pip install 'rightseat[{extra}]'")
    if not missing:
        yield Check("packages", "ok", "all extras are installed")


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _exposure(settings: Settings) -> Iterator[Check]:
    if not is_loopback(settings.host) and not settings.keys:
        yield Check("exposure", "ok", f"listens on {settings.host}; clients need a key of `rightseat keys`")
    if settings.log_content:
        yield Check(
            "privacy",
            "warning",
            "log_content is on: prompts and answers are logged, redacted",
            "turn it off when you are done",
        )
    if "*" in settings.allowed_origins:
        yield Check(
            "exposure", "warning", "allowed_origins holds '*': every web page may use the gateway", "name the pages"
        )


def _files(folder: Path) -> Iterator[Check]:
    if not folder.exists():
        yield Check("folder", "ok", f"{folder} is not there yet")
        return
    if not os.access(folder, os.W_OK):
        yield Check("folder", "failed", f"{folder} cannot be written", "change its owner, or set RIGHTSEAT_HOME")
    secret = [*folder.glob("accounts/*.json"), *folder.glob("keys.sqlite*"), folder / "pepper", folder / "secrets.json"]
    open_ones = [path for path in secret if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    for path in open_ones:
        mode = f"{stat.S_IMODE(path.stat().st_mode):04o}"
        yield Check("permissions", "failed", f"{path} has mode {mode}: others can read it", f"chmod 600 {path}")
    if not open_ones:
        yield Check("permissions", "ok", f"no other user can read the secrets in {folder}")


def _cli() -> Check:
    try:
        path = find_cli()
    except (CliNotFoundError, CliNotRunnableError) as e:
        return Check("Copilot CLI", "warning", str(e), "only CopilotClient needs it: npm install -g @github/copilot")
    try:
        done = subprocess.run(  # noqa: S603
            [str(path), "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=cli_environment(os.environ),
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        return Check("Copilot CLI", "failed", f"{path} does not run: {e}", "install it again, and check Node.js")
    if done.returncode:
        return Check("Copilot CLI", "failed", f"{path} ends with status {done.returncode}", "run it by hand to see why")
    return Check("Copilot CLI", "ok", f"{(done.stdout.strip().splitlines() or ['?'])[0][:60]} at {path}")


def _keyring() -> Check:
    if not _is_there("keyring"):
        return Check("keyring", "ok", "none; secrets come from the environment, files and vaults")
    import keyring

    backend = keyring.get_keyring()
    if reason := unsafe_backend(backend):
        return Check("keyring", "failed", reason, "uninstall keyrings.alt, or set RIGHTSEAT_KEYRING=off")
    name = f"{type(backend).__module__}.{type(backend).__name__}"
    return Check("keyring", "ok", "the system has none" if name.startswith("keyring.backends.fail") else name)


def _sealed(settings: Settings) -> Iterator[Check]:
    try:
        sources = default_sources(folder=settings.folder)
        if secrets_file(folder=settings.folder).exists():
            first(sources[-1:], "DOCTOR")
            said = "opens" if first(sources[:2], "RIGHTSEAT_SECRETS_PASSPHRASE") else "is there; no passphrase is set"
            yield Check("secrets", "ok", f"the encrypted file {said}")
    except ConfigError as e:
        yield Check("secrets", "failed", str(e), "see `rightseat secrets --help`")


def _keys(settings: Settings) -> Iterator[Check]:
    file = settings.folder / "keys.sqlite"
    if not settings.database and not file.exists():
        return
    try:
        from rightseat.state.sql import count_active
    except ModuleNotFoundError:
        return  # said under "packages"
    where = "PostgreSQL" if settings.database.startswith("postgres") else "SQLite"
    try:
        number = count_active(settings.database or file, time.time())
        pepper_of(settings, make=False)
    except ConfigError as e:
        yield Check(
            "keys",
            "failed",
            str(e),
            "see docs/operations/disaster-recovery.md: the database and its pepper are restored together",
        )
        return
    found = "the tables are made at the first start" if number is None else f"{number} can be used"
    yield Check("keys", "ok", f"{where} answers; {found}")


def _descriptors(settings: Settings) -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * settings.connections + 100  # a client and an upstream connection each
    if soft != resource.RLIM_INFINITY and soft < needed:
        advice = f"ulimit -n {needed} (LimitNOFILE= in systemd), or set connections to {max(1, (soft - 100) // 2)}"
        return Check(
            "open files", "warning", f"{soft} may be open; connections={settings.connections} can need {needed}", advice
        )
    return Check("open files", "ok", f"{soft} of at most {hard} may be open")


def _port(settings: Settings) -> Check:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as e:
            advice = "another gateway runs already, or choose another port"
            return Check("port", "warning", f"{settings.host}:{settings.port} cannot be used now: {e.strerror}", advice)
    return Check("port", "ok", f"{settings.host}:{settings.port} is free")


async def _online(settings: Settings, accounts: list[Account]) -> list[Check]:
    checks = []
    async with sender_of(settings.http_client) as sender:
        for host in sorted({account.host for account in accounts} or {settings.github_host}):
            checks += await _network(sender, settings, host)
        if all(check.state != "failed" for check in checks):
            for account in accounts:
                checks.append(await _account(sender, settings, account))
    return checks


async def _network(sender: HttpSender, settings: Settings, host: str) -> list[Check]:
    try:
        url = Hosts.of(host).api
        async with asyncio.timeout(NETWORK_SECONDS):
            answer = await fetch(sender, HttpRequest("GET", url, github_headers(settings.editor, "")))
    except (RightseatError, TimeoutError) as e:
        advice = "check the network, DNS and HTTPS_PROXY; a proxy that opens TLS needs SSL_CERT_FILE"
        return [Check("network", "failed", f"{host} cannot be reached: {mask(str(e)) or 'no answer in time'}", advice)]
    checks = [Check("network", "ok", f"{url} answers (HTTP {answer.status})")]
    try:
        theirs = email.utils.parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (ValueError, TypeError):
        return checks
    skew = time.time() - theirs
    if abs(skew) > SKEW_SECONDS:
        advice = "switch time synchronisation on: timedatectl set-ntp true"
        return [*checks, Check("clock", "warning", f"this machine's clock is {skew:+.0f} s off", advice)]
    return [*checks, Check("clock", "ok", f"{skew:+.0f} s off")]


async def _account(sender: HttpSender, settings: Settings, account: Account) -> Check:
    name = f"account {account.name}"
    copilot = CopilotBackend(open_accounts(settings.folder, settings.github_host), sender, settings.editor)
    try:
        async with asyncio.timeout(NETWORK_SECONDS):
            await copilot.refresh(account.name)
            quota = await fetch_quota(sender, settings.editor, account)
    except (RightseatError, TimeoutError) as e:
        advice = "run `rightseat login` again, and check that this user has Copilot"
        return Check(name, "failed", mask(str(e)) or "no answer in time", advice)
    finally:
        await copilot.aclose()
    used_up = [kind for kind, one in quota.snapshots.items() if one.percent_remaining is not None and one.percent_remaining <= 0 and not one.unlimited]  # fmt: skip
    if used_up:
        advice = f"wait until {quota.reset_date or 'the reset'}, or allow more than the quota at GitHub"
        return Check(name, "warning", f"used up: {', '.join(used_up)}", advice)
    return Check(name, "ok", f"has a fresh token; plan {quota.plan or 'unknown'}")
