"""`rightseat demo-cli`: the real CLI, a simulated cloud, a streamed answer with a tool call."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from typing import Annotated, Any

import click
from rich.console import Console

from rightseat import CopilotClient, CopilotSession, SessionEvent, SessionEventType, define_tool, find_cli
from rightseat.commands.output import Wrapped
from rightseat.commands.programs import called
from rightseat.security.environment import cli_environment
from rightseat.simulator.app import SimulatorApp
from rightseat.simulator.environment import simulated_environment
from rightseat.simulator.model import SimulatedModel
from rightseat.simulator.server import SimulatorServer

QUESTIONS = (
    "Explain in a few sentences why streaming matters in a chat",
    "What is 25 * 4 + 10? Use the calculate tool.",
)


@click.command()
@click.option(
    "--pace", type=click.FloatRange(0), default=40.0, show_default=True, help="Tokens a second; 0: no pauses."
)
def command(pace: float) -> None:
    """Ask the real Copilot CLI two questions, offline: the cloud behind it is simulated, all else is real."""
    console = Console(highlight=False)
    try:
        asyncio.run(_demo(console, pace))
    except KeyboardInterrupt:
        console.print("\n[yellow]stopped[/yellow]")
        raise SystemExit(130) from None


@define_tool
def calculate(expression: Annotated[str, "an arithmetic expression, such as 25 * 4 + 10"]) -> str:
    """Evaluate an arithmetic expression."""
    return f"{evaluate(expression):g}"


async def _demo(console: Console, pace: float) -> None:
    cli = find_cli()
    app = SimulatorApp(SimulatedModel(pace=pace))
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rightseat-", ignore_cleanup_errors=True) as home:
        async with SimulatorServer(app) as server:
            console.print(f"[dim]simulated GitHub and Copilot API on {server.url}[/dim]")
            env = simulated_environment(server.url, home, cli_environment(os.environ))
            async with CopilotClient(cli_path=str(cli), env=env, working_directory=home) as client:
                console.print(
                    f"[dim]Copilot CLI {client.cli_version} ready after {time.monotonic() - begun:.1f} s, process {client.process_id}[/dim]"
                )
                session = await client.create_session(streaming=True, tools=[calculate])
                session.on(
                    lambda event: _show_tool(console, event), SessionEventType.TOOL_CALL, SessionEventType.TOOL_RESULT
                )
                for question in QUESTIONS:
                    await _ask(console, session, question)
    console.print(_next())


def _next() -> str:
    """What to do next, with programs as they can be started from here."""
    python, rightseat = called("python"), called("rightseat")
    return f"""
[bold]With a real account[/bold]: log the Copilot CLI in, once (or export COPILOT_GITHUB_TOKEN=...);
the same code then talks to the real Copilot
  copilot login
  {python} examples/stream_basic.py

[bold]Without one[/bold]: any program, inside the simulator; and your own function as the model
  {rightseat} simulate -- python examples/stream_basic.py
  {python} examples/your_function_as_model.py
"""


async def _ask(console: Console, session: CopilotSession, question: str) -> None:
    console.print(f"\n[bold cyan]you[/bold cyan]      {question}")
    begun, first, pieces, lines = time.monotonic(), 0.0, 0, Wrapped(9)
    console.print("[bold green]copilot[/bold green]  ", end="")
    async with session.stream(question, timeout=60) as answer:
        async for text in answer:
            first = first or time.monotonic() - begun
            pieces += 1
            console.print(lines.feed(text), end="", markup=False, soft_wrap=True)
    console.print(lines.end(), markup=False, soft_wrap=True)
    console.print(
        f"[dim]         first text after {first * 1000:.0f} ms, {pieces} pieces, {time.monotonic() - begun:.1f} s[/dim]"
    )


def _show_tool(console: Console, event: SessionEvent) -> None:
    if event.type is SessionEventType.TOOL_EXECUTION_START:
        console.print(f"[yellow]\\[calls {event.data.tool_name}({event.data.arguments})][/yellow] ", end="")
    elif event.type is SessionEventType.TOOL_EXECUTION_COMPLETE:
        result = event.data.result
        console.print(
            f"[yellow]\\[it gave {result.content if result else event.data.error}][/yellow]\n         ", end=""
        )


def evaluate(expression: str) -> float:
    """The value of an arithmetic expression: numbers, + - * / % **, parentheses.

    Raises:
        ValueError: it is something else, or too large.
    """
    import ast
    import operator

    operators: dict[type, Any] = {
        ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
        ast.Mod: operator.mod, ast.UAdd: operator.pos, ast.USub: operator.neg,
    }  # fmt: skip

    def value(node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.BinOp(left=left, op=op, right=right) if type(op) in operators:
                return float(operators[type(op)](value(left), value(right)))
            case ast.UnaryOp(op=op, operand=operand) if type(op) in operators:
                return float(operators[type(op)](value(operand)))
        raise ValueError(f"not an arithmetic expression: {expression!r}")

    return value(ast.parse(expression, mode="eval").body)
