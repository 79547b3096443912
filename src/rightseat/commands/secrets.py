"""`rightseat secrets`: the encrypted file, the keyring, and a look at where a secret would come from."""

from __future__ import annotations

import os
import sys

import click
from rich.console import Console

from rightseat.errors import ConfigError
from rightseat.security.sealed import SealedFile
from rightseat.security.secret import Secret
from rightseat.security.sources import Environment, Keyring, NamedFile, default_sources, first, secrets_file

console = Console(stderr=True, highlight=False)
PASSPHRASE = "RIGHTSEAT_SECRETS_PASSPHRASE"  # noqa: S105 - the name of a variable


@click.group()
def secrets() -> None:
    """Keep keys out of files that others read.

    A secret is looked for in the environment, in the file that NAME_FILE names, in the system's keyring, in Vault (VAULT_ADDR,
    VAULT_TOKEN, RIGHTSEAT_VAULT_PATH), in Azure Key Vault (RIGHTSEAT_AZURE_VAULT), and in an encrypted file. Settings use one as
    "secret:NAME".
    """


@secrets.command("set")
@click.argument("name")
@click.option("--to", type=click.Choice(["file", "keyring"]), default="file", show_default=True, help="Where to.")
def set_(name: str, to: str) -> None:
    """Save the secret NAME; it is asked for, or read from standard input."""
    first([], name)  # refuses a bad name
    value = _value(f"{name}: ")
    if to == "keyring":
        Keyring().set(name, value)
    else:
        _file().set(name, value)
    console.print(f"saved {name} in the {'keyring' if to == 'keyring' else 'encrypted file'}")


@secrets.command()
@click.argument("name")
def get(name: str) -> None:
    """Print the secret NAME, wherever it is."""
    for source in default_sources():
        if (found := source.get(name)) is not None:
            console.print(f"[dim]from: {source.label}[/dim]")
            click.echo(found.reveal())
            return
    raise ConfigError(f"there is no secret {name!r}")


@secrets.command("list")
def list_() -> None:
    """List the names in the encrypted file, never the values."""
    for name in _file().names():
        click.echo(name)


@secrets.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget the secret NAME of the encrypted file."""
    if not _file().remove(name):
        raise ConfigError(f"there is no secret {name!r} in the encrypted file")
    console.print(f"removed {name}")


@secrets.command()
def rotate() -> None:
    """Seal the encrypted file anew with another passphrase.

    The new one is RIGHTSEAT_SECRETS_NEW_PASSPHRASE, or is asked for.
    """
    old = _file()
    new = first([Environment(os.environ), NamedFile(os.environ)], "RIGHTSEAT_SECRETS_NEW_PASSPHRASE")
    count = old.rotate(new or _asked("new passphrase: ", twice=True))
    console.print(f"{count} secrets are sealed with the new passphrase")


def _file() -> SealedFile:
    path = secrets_file()
    given = first([Environment(os.environ), NamedFile(os.environ)], PASSPHRASE)
    return SealedFile(path, given or _asked("passphrase: ", twice=not path.exists()))


def _value(prompt: str) -> Secret:
    if sys.stdin.isatty():
        return _asked(prompt)
    text = sys.stdin.read().removesuffix("\n")
    if not text:
        raise ConfigError("standard input is empty; there is nothing to save")
    return Secret(text)


def _asked(prompt: str, *, twice: bool = False) -> Secret:
    if not sys.stdin.isatty():
        raise ConfigError(f"there is no terminal to ask at; set {PASSPHRASE} or {PASSPHRASE}_FILE")
    return Secret(click.prompt(prompt.removesuffix(": "), hide_input=True, confirmation_prompt=twice, err=True))
