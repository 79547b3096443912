"""`rightseat lint`: the anti-patterns of code that talks to models."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from rightseat.lint.rules import RULES
from rightseat.lint.run import as_json, as_sarif, check_paths

console = Console(stderr=True, highlight=False)


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--select", help="Only these rules: RS101,RS104.")
@click.option("--strict", is_flag=True, help="Also what is meant in many programs, such as a client's own time limit.")
@click.option("--json", "form", flag_value="json", help="Findings as JSON.")
@click.option("--sarif", "form", flag_value="sarif", help="Findings as SARIF 2.1.0.")
@click.option("--explain", is_flag=True, help="Explain the rules and what to write instead.")
def command(paths: tuple[Path, ...], select: str | None, strict: bool, form: str | None, explain: bool) -> None:
    """Find eight anti-patterns in Python code that uses Rightseat, the official SDK, openai or anthropic.

    PATHS are files and folders; the current folder otherwise. A comment `# rightseat: ignore[RS104]` on a line says that it is meant,
    `# rightseat: ignore-file` that a file is. Exit status: 0 nothing found, 1 something found, 2 a wrong call.
    """
    if explain:
        for rule in RULES:
            click.echo(f"{rule.code}  {rule.name}\n       {rule.why}\n       Instead: {rule.instead}.\n")
        return
    known = {rule.code for rule in RULES}
    codes = frozenset(part.strip().upper() for part in select.split(",")) if select else None
    if codes is not None and (unknown := codes - known):
        raise click.BadParameter(f"no such rule: {', '.join(sorted(unknown))}", param_hint="--select")
    try:
        found, files = check_paths(paths or (Path(),), codes=codes, strict=strict)
    except FileNotFoundError as e:
        raise click.BadParameter(str(e), param_hint="PATHS") from None
    if form == "json":
        click.echo(as_json(found))
    elif form == "sarif":
        click.echo(as_sarif(found))
    else:
        names = {rule.code: rule.name for rule in RULES}
        for f in found:
            click.echo(f"{f.path}:{f.line}:{f.column}: {f.code} {names.get(f.code, 'syntax')}: {f.message}")
        console.print(f"{len(found)} found in {files} files" + ("; see --explain" if found else ""))
    sys.exit(1 if found else 0)
