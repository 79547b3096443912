"""The `rightseat` command, one file a verb. Imports nothing heavy until a verb needs it."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the command."""
    try:
        from rightseat.commands.root import cli
    except ModuleNotFoundError as e:
        if e.name not in ("click", "rich"):
            raise
        sys.exit("The rightseat command is not part of rightseat-core; install it with: pip install rightseat")
    cli(prog_name="rightseat")
