"""Options for secrets: never as an argument, since everybody on a machine can read the arguments of its processes (`ps`).

A secret comes from a file (`--NAME-file`), from an environment variable, or from standard input (`--NAME -`: asked for at a terminal). The
word "any" is no secret, and stands for a server that takes any key.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from rightseat.errors import ConfigError

PLACEHOLDER = "any"
_MOST = 64 * 1024  # bytes of a file

Command = Callable[..., Any]


def secret_option(flag: str, variable: str, help_text: str) -> Callable[[Command], Command]:
    """The options `flag` and `flag`-file for one secret, which the command gets as one parameter: the text, or None.

    Args:
        flag: such as "--api-key".
        variable: the environment variable.
        help_text: what it is for.
    """
    name = flag.removeprefix("--").replace("-", "_")

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_secret(*args: object, **given: Any) -> Any:
            file: Path | None = given.pop(f"{name}_file")
            if file is not None:
                given[name] = read_file(f"{flag}-file", file)
            return command(*args, **given)

        value = click.option(
            flag,
            name,
            envvar=variable,
            show_envvar=True,
            callback=lambda context, parameter, text: _checked(context, parameter, text, flag, variable),
            metavar="-|any",
            help=f'{help_text} "-": read from standard input; "any": for a server that takes any.',
        )
        path = click.option(f"{flag}-file", type=click.Path(path_type=Path), help="A file that holds it.")
        return value(path(with_secret))

    return decorate


def read_file(option: str, path: Path) -> str:
    """A secret out of a file. Raises ConfigError, naming the option and the file."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST + 1).decode()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(f"{option}: {path} cannot be read: {getattr(e, 'strerror', None) or 'no UTF-8'}") from None
    if len(text) > _MOST:
        raise ConfigError(f"{option}: {path} is larger than {_MOST} bytes")
    if not text.strip():
        raise ConfigError(f"{option}: {path} is empty")
    return text.strip()


def read_input(flag: str) -> str:
    """A secret from standard input: its first line, or what is typed at a terminal. Raises ConfigError: there is none."""
    if sys.stdin.isatty():
        return str(click.prompt(flag.removeprefix("--"), hide_input=True, err=True)).strip()
    text = sys.stdin.readline(_MOST).strip()
    if not text:
        raise ConfigError(f"{flag} -: standard input has no first line")
    return text


def refused(flag: str, variable: str) -> ConfigError:
    """The error for a secret in an argument, which is not in it."""
    where = f"{flag}-file FILE, the variable {variable}, or `{flag} -` to type it (keys of this gateway have at least 16 characters)"
    return ConfigError(f"{flag}: no secret as an argument, which every user of this machine can read; use {where}")


def _checked(context: click.Context, parameter: click.Parameter, text: str | None, flag: str, variable: str) -> Any:
    given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    if text is None or not given or text == PLACEHOLDER:
        return text
    if text == "-":
        return read_input(flag)
    raise refused(flag, variable)
