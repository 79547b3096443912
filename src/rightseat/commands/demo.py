"""`rightseat demo`: the gateway with a simulated cloud behind it and an account ready, in one process. No account, no network."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
from pathlib import Path

import click
import msgspec
from rich.console import Console

from rightseat.accounts.store import Account, FileStore
from rightseat.commands.output import Wrapped
from rightseat.commands.programs import called
from rightseat.errors import ConnectError
from rightseat.gateway.config import Settings
from rightseat.gateway.run import serve
from rightseat.simulator.app import DEFAULT_MODELS, SimulatorApp
from rightseat.simulator.model import SimulatedModel
from rightseat.simulator.server import SimulatorServer
from rightseat.transport.http.base import HttpRequest
from rightseat.transport.http.choice import sender_of
from rightseat.wire.openai_chat.read import ChunkReader

# Names that clients have built in; all of them are the one simulated model.
_MORE_MODELS = ("gpt-5.5", "gpt-5.6-sol", "gpt-6-sol", "claude-opus-4.8", "claude-sonnet-4.6", "claude-haiku-4.5")

_ON = "\\\n  "  # a command that goes on in the next line

console = Console(highlight=False, soft_wrap=True)


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port of the gateway; 0: any.  [default: 4141, or any if it is taken]"
)
@click.option(
    "--pace", type=click.FloatRange(0), default=40.0, show_default=True, help="Tokens a second; 0: no pauses."
)
@click.option("--once", is_flag=True, help="End after the first answer instead of waiting for yours.")
def command(port: int | None, pace: float, once: bool) -> None:
    """Run the gateway on a simulated cloud, show a streamed answer, and wait for your clients until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_demo(port, pace, once=once))


async def _demo(port: int | None, pace: float, *, once: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="rightseat-") as home:
        async with SimulatorServer(SimulatorApp(SimulatedModel(pace=pace), (*DEFAULT_MODELS, *_MORE_MODELS))) as cloud:
            FileStore(Path(home)).save(Account("demo", "gho_simulated", host=cloud.url))
            stop = asyncio.Event()
            key = secrets.token_urlsafe(18)
            settings = Settings(home=home, management_key=key, drain_seconds=2)
            try:
                serving, url = await _start(_on(settings, 4141 if port is None else port), stop)
            except ConnectError as e:
                if port is not None:
                    raise
                console.print(f"[yellow]{e}; taking a free port[/yellow]")
                serving, url = await _start(_on(settings, 0), stop)
            console.print(f"[dim]simulated GitHub and Copilot API on {cloud.url}[/dim]")
            console.print(f"[bold]the gateway listens on {url}[/bold], account ready\n")
            await _show(url)
            _explain(url, key)
            if once:
                stop.set()
            await serving


def _on(settings: Settings, port: int) -> Settings:
    return msgspec.structs.replace(settings, port=port)


async def _start(settings: Settings, stop: asyncio.Event) -> tuple[asyncio.Future[None], str]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve(settings, ready.set_result, stop))
    await asyncio.wait((ready, serving), return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    return serving, ready.result()


async def _show(url: str) -> None:
    """One answer, streamed through the gateway, as it comes."""
    body = b'{"model":"gpt-5","stream":true,"messages":[{"role":"user","content":"Say what a gateway is good for"}]}'
    console.print(
        "[bold cyan]you[/bold cyan]      Say what a gateway is good for\n[bold green]copilot[/bold green]  ", end=""
    )
    reader, lines = ChunkReader(), Wrapped(9)
    async with sender_of("direct") as sender:
        answer = await sender.open(
            HttpRequest("POST", f"{url}/v1/chat/completions", {"content-type": "application/json"}, body)
        )
        try:
            async for chunk in answer.chunks():
                for event in reader.feed(chunk):
                    console.print(lines.feed(getattr(event, "text", "")), end="", markup=False)
        finally:
            await answer.aclose()
    console.print(f"{lines.end()}\n", markup=False)


def _explain(url: str, key: str) -> None:
    kind, rightseat = "-H 'content-type: application/json'", called("rightseat")
    lines = (
        f"curl {url}/v1/models",
        (
            f"curl {url}/v1/chat/completions {_ON}{kind} {_ON}"
            '-d \'{"model": "gpt-5", "messages": [\n    {"role": "user", "content": "Reply with exactly: hello"}]}\''
        ),
        (
            f"curl -N {url}/v1/messages {_ON}{kind} -H 'anthropic-version: 2023-06-01' {_ON}"
            '-d \'{"model": "gpt-5", "max_tokens": 99, "stream": true,\n    "messages": [{"role": "user", "content": "hello"}]}\''
        ),
        f'curl {url}/v1/responses {_ON}{kind} {_ON}-d \'{{"model": "gpt-5", "input": "Reply with exactly: hello"}}\'',
        f"curl {url}/v0/management/requests {_ON}-H 'authorization: Bearer {key}'",
    )
    console.print("[bold]In your browser[/bold]")
    console.print(f"{url}/\nThe dashboard there wants the key {key}\n", markup=False)
    console.print("[bold]In another terminal[/bold]")
    console.print(f"{rightseat} chat --base-url {url}/v1 --api-key any", markup=False)
    for line in lines:
        console.print(line, markup=False)
    console.print("\n[bold]For any OpenAI client, and any Anthropic client[/bold]")
    console.print(f"export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY=any", markup=False)
    console.print(f"export ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=any", markup=False)
    console.print(f"\n[bold]With a real account[/bold]\n{rightseat} login && {rightseat} serve", soft_wrap=True)
    console.print("\n[dim]Ctrl-C ends it.[/dim]")
