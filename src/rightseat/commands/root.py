"""`rightseat` itself: its commands, and how errors look. Commands are imported when they are called."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

import click

from rightseat import __version__
from rightseat.errors import RightseatError

# verb -> module, name of the click command in it, help
_VERBS = {
    "simulate": (
        "simulate",
        "command",
        "Simulate GitHub and the Copilot API on this machine, alone or around a command.",
    ),
    "demo": ("demo", "command", "Run the gateway against a simulated API, with an account ready."),
    "demo-cli": ("demo_cli", "command", "Show a streamed answer with a tool call from the real CLI, offline."),
    "login": ("accounts", "login", "Log in to GitHub with a device code."),
    "logout": ("accounts", "logout", "Forget an account."),
    "accounts": ("accounts", "accounts", "Take over accounts of other programs."),
    "status": ("accounts", "status", "Show the accounts."),
    "models": ("accounts", "models", "List the models of the account."),
    "serve": ("serve", "serve", "Serve the gateway: any OpenAI client talks to Copilot."),
    "keys": ("keys", "keys", "Create and revoke keys for the gateway's clients."),
    "doctor": ("doctor", "command", "Check this installation and suggest fixes."),
    "config": ("serve", "config", "Show and check the settings."),
    "secrets": ("secrets", "secrets", "Keep keys in an encrypted file or the system's keyring."),
    "ask": ("chat", "ask", "Ask a model one question; standard input is added to it."),
    "chat": ("chat", "chat", "Chat with a model in the terminal."),
    "batch": ("batch", "command", "Answer a file of prompts, several at once."),
    "lint": ("lint", "command", "Find the anti-patterns of code that talks to models."),
}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _VERBS:
            return None
        try:
            module, name, _ = _VERBS[cmd_name]
            return getattr(importlib.import_module(f"rightseat.commands.{module}"), name)  # type: ignore[no-any-return]
        except ModuleNotFoundError as e:
            if e.name is None or e.name.startswith("rightseat"):
                raise
            raise click.ClickException(f"'{cmd_name}' needs the package {e.name}: pip install 'rightseat[all]'") from e

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in _VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0][:60], _VERBS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"No such command '{args[0][:60]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in sorted(_VERBS.items())])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RightseatError as e:
            raise click.ClickException(str(e)) from e


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(__version__, message="rightseat %(version)s")
def cli() -> None:
    """Run GitHub Copilot in production from Python.

    Exit status: 0 when all went well, 1 for an error (said on standard error), 2 for a wrong call.
    """
