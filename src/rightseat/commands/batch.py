"""`rightseat batch`: a file of prompts, answered side by side into another."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rightseat.batch import Report, count_lines, run_batch
from rightseat.commands.secret_options import secret_option
from rightseat.facade.sdk import DEFAULT_MODEL, CopilotSDK

_STOPPED = 130  # as shells tell of SIGINT

console = Console(stderr=True, highlight=False)


@click.command()
@click.argument("prompts", type=click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True))
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Where answers go."
)
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="The model for lines that name none.")
@click.option("--system", help="The system message for lines that have none.")
@click.option(
    "--concurrency", default=8, show_default=True, type=click.IntRange(1), help="Prompts answered concurrently."
)
@click.option("--rpm", type=click.FloatRange(0, min_open=True), help="At most this many requests a minute.")
@click.option("--tpm", type=click.FloatRange(0, min_open=True), help="At most this many tokens a minute.")
@click.option("--timeout", default=300.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Timeout of an answer, in seconds.")  # fmt: skip
@click.option("--base-url", help="A gateway, or any server with OpenAI's chat dialect.")
@secret_option("--api-key", "COPILOT_API_KEY", "A GitHub token, or the key of the server.")
@click.option("--account", help="The stored account to use.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON, on standard output.")
def command(
    prompts: Path,
    output: Path,
    model: str,
    system: str | None,
    concurrency: int,
    rpm: float | None,
    tpm: float | None,
    timeout: float,
    base_url: str | None,
    api_key: str | None,
    account: str | None,
    as_json: bool,
) -> None:
    """Answer each line of PROMPTS ("-": standard input) into a file of JSON lines.

    A line is a JSON text, or {"prompt": ..., "id": ..., "system": ..., "model": ...}. Stopped or broken off, the same call goes on where
    it was: what has an answer is not asked again, what has an error is. Exit status 1: some lines have an error.
    """
    options: dict[str, Any] = {"system": system} if system else {}
    layers: dict[str, Any] = {
        "timeout": timeout,
        "concurrency": concurrency,
        "requests_per_minute": rpm,
        "tokens_per_minute": tpm,
    }
    source: Iterable[bytes] = sys.stdin.buffer if str(prompts) == "-" else prompts.open("rb")
    total = None if str(prompts) == "-" else count_lines(prompts)

    async def run() -> Report:
        async with CopilotSDK(api_key, base_url=base_url, model=model, account=account, **layers) as sdk:
            return await _with_bar(total, lambda told: run_batch(sdk, source, output, concurrency=concurrency, options=options, on_progress=told))  # fmt: skip

    try:
        report = asyncio.run(run())
    except KeyboardInterrupt:
        console.print(f"Stopped. The answers so far are in {output}; run the same command again to continue.")
        sys.exit(_STOPPED)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(report)))
    else:
        tokens = f"{report.input_tokens:,} tokens read, {report.output_tokens:,} written"
        console.print(f"{report.answered} answered, {report.failed} failed, {report.skipped} skipped; {tokens}")
    sys.exit(1 if report.failed else 0)


async def _with_bar(total: int | None, job: Any) -> Report:
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total, said="")

        def told(report: Report) -> None:
            said = f"{report.failed} failed" if report.failed else ""
            progress.update(task, completed=report.answered + report.failed + report.skipped, said=said)

        report: Report = await job(told)
        return report
