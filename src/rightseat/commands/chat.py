"""`rightseat ask` and `rightseat chat`: a model at the terminal, over the Copilot API, a gateway, or the Copilot CLI with its tools."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.markdown import Markdown
from rich.text import Text

from rightseat import CopilotClient
from rightseat.accounts.store import default_folder
from rightseat.commands.secret_options import secret_option
from rightseat.errors import InvalidOptionError, RightseatError
from rightseat.facade.response import ChatResponse
from rightseat.facade.sdk import DEFAULT_MODEL, CopilotSDK
from rightseat.facade.session import ChatSession
from rightseat.sdk.handler import SessionHandler
from rightseat.terminal import INTERVAL_SECONDS, last_screenful

_STOPPED = 130  # as shells tell of SIGINT
_HELP = """\
/model NAME   go on with another model; without NAME: which one it is
/new          begin a new conversation
/save FILE    write the conversation as Markdown
/help         this
/quit         leave; Ctrl-D does, too
Enter sends; Alt-Enter (or Esc, Enter) makes a line. Ctrl-C stops an answer, and not the program."""

Decide = Callable[[str], Any]


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """What both commands take."""
    for option in reversed((
        click.option("--model", default=DEFAULT_MODEL, show_default=True, help="The model to ask."),
        click.option("--system", help="A system message."),
        click.option("--base-url", help="A gateway, or any server with OpenAI's chat dialect."),
        secret_option("--api-key", "COPILOT_API_KEY", "A GitHub token, or the key of the server."),
        click.option("--account", help="The stored account to use."),
        click.option("--cli", "use_cli", is_flag=True, help="Use the Copilot CLI, which has tools and asks for permission."),
        click.option("--timeout", default=300.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Timeout of an answer, in seconds."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.command()
@click.argument("words", nargs=-1)
@_options
@click.option("--json", "as_json", is_flag=True, help="Each event as a line of JSON.")
def ask(words: tuple[str, ...], *, as_json: bool, **given: Any) -> None:
    """Ask once: `rightseat ask "Why is the sky blue?"`.

    What comes on standard input is added to the question: `git diff | rightseat ask "Review this"`. At a terminal the answer is shown as
    Markdown as it comes, else as plain text.
    """
    prompt = " ".join(words)
    if not sys.stdin.isatty():
        prompt = "\n\n".join(part for part in (prompt, sys.stdin.read().strip()) if part)
    if not prompt.strip():
        raise click.UsageError("no question: give one as an argument or on standard input")

    async def run() -> None:
        async with _session(given, _refuse) as (make, _):
            await _one(await make(given["model"]), prompt, as_json=as_json)

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        sys.exit(_STOPPED)


@click.command()
@_options
def chat(**given: object) -> None:
    """Talk with a model at the terminal. /help says what else there is."""
    if not sys.stdin.isatty():
        raise click.UsageError("chat needs a terminal; `rightseat ask` reads standard input")
    with contextlib.suppress(EOFError):
        asyncio.run(_Talk(given).run())


class _Talk:
    """The conversation at the terminal."""

    def __init__(self, given: dict[str, Any]) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import FileHistory
        from prompt_toolkit.key_binding import KeyBindings

        self._given = given
        self._model: str = given["model"]
        self._console = Console(highlight=False)
        self._screen = _Screen(self._console)
        history = default_folder() / "history"
        history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        history.touch(mode=0o600)
        keys = KeyBindings()
        keys.add("enter")(lambda event: event.current_buffer.validate_and_handle())
        keys.add("escape", "enter")(lambda event: event.current_buffer.insert_text("\n"))
        self._prompt: Any = PromptSession(history=FileHistory(str(history)), multiline=True, key_bindings=keys)
        self._questions: Any = PromptSession()
        self._said: list[tuple[str, str]] = []

    async def run(self) -> None:
        """Until the user leaves."""
        self._console.print(f"[dim]{self._model}; /help says what there is, Ctrl-D leaves[/dim]")
        async with _session(self._given, self._permit, self._screen.note) as (make, forget):
            self._make, session = make, await make(self._model)
            while True:
                try:
                    text = (await self._prompt.prompt_async("> ")).strip()
                except KeyboardInterrupt:  # what was typed is dropped
                    continue
                except EOFError:
                    return
                if text.startswith("/"):
                    name, _, rest = text.partition(" ")
                    if name in ("/quit", "/exit"):
                        return
                    session = await self._obey(name, rest.strip(), session, forget)
                elif text:
                    await self._answer(session, text)

    async def _obey(self, name: str, rest: str, session: ChatSession, forget: Callable[[], Any]) -> ChatSession:
        match name:
            case "/model" if rest:
                self._model = session.model = rest
                if self._given["use_cli"]:
                    session = await self._make(rest)
                self._console.print(f"[dim]{rest} from here on[/dim]")
            case "/model":
                self._console.print(f"[dim]{self._model}[/dim]")
            case "/new":
                self._said.clear()
                await forget()
                session = await self._make(self._model)
                self._console.print("[dim]a new conversation[/dim]")
            case "/save" if rest:
                self._save(rest)
            case "/help":
                self._console.print(_HELP, markup=False)
            case _:
                self._console.print(f"[red]{name} is not known, or lacks something[/red]\n{_HELP}", markup=True)
        return session

    async def _answer(self, session: ChatSession, text: str) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(self._screen.show(session, text))
        loop.add_signal_handler(signal.SIGINT, task.cancel)
        try:
            response = await task
        except asyncio.CancelledError:
            self._console.print("[dim](stopped)[/dim]")
        except RightseatError as e:
            self._console.print(f"[red]{type(e).__name__}:[/red] ", end="")
            self._console.print(str(e), markup=False)
        else:
            self._said += [("You", text), (response.model or self._model, response.text)]
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def _save(self, name: str) -> None:
        path = Path(name).expanduser()
        text = "\n\n".join(f"## {who}\n\n{what}" for who, what in self._said) + "\n"
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as e:
            self._console.print(f"[red]{path} cannot be written: {e.strerror}[/red]")
        else:
            self._console.print(f"[dim]{len(self._said)} messages are in {path}[/dim]")

    async def _permit(self, what: str) -> bool:
        """Ask the user, between two drawings of the answer."""
        with self._screen.paused():
            self._console.print(Text(f"The model wants to {what}"))
            try:
                said = await self._questions.prompt_async("Allow it? [y/N] ")
            except (KeyboardInterrupt, EOFError):
                return False
        return str(said).strip().lower() in ("y", "yes")


class _Screen:
    """Draws an answer while it comes, with tokens and speed below it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    async def show(self, session: ChatSession, prompt: str) -> ChatResponse:
        """Ask, and show the answer."""
        text, thought, pieces, begun, first, drawn = "", "", 0, time.monotonic(), 0.0, 0.0
        stream = session.stream(prompt)
        with Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop") as live:
            self._live = live
            try:
                async with stream:
                    async for chunk in stream:
                        first = first or time.monotonic()
                        pieces += 1
                        text, thought = text + chunk.text, thought + chunk.reasoning
                        if (now := time.monotonic()) - drawn >= INTERVAL_SECONDS and live.is_started:
                            drawn = now
                            self._draw(text, thought, f"{pieces} tokens, {pieces / max(0.1, now - first):.0f} a second")
            finally:
                self._live = None
        response = stream.response
        assert response is not None
        if text:
            self._console.print(Markdown(text))
        usage = response.usage
        told = f"{usage.input_tokens} + {usage.output_tokens} tokens" if usage else f"{pieces} pieces"
        seconds = time.monotonic() - begun
        self._console.print(Text(f"{response.model or session.model}, {told}, {seconds:.1f} s", style="dim"))
        return response

    def note(self, text: str) -> None:
        """A line above the answer."""
        self._console.print(Text(text, style="dim"))

    @contextlib.contextmanager
    def paused(self) -> Any:
        """Nothing is drawn."""
        live = self._live
        if live is None:
            yield
            return
        live.stop()
        try:
            yield
        finally:
            live.start()

    def _draw(self, text: str, thought: str, speed: str) -> None:
        assert self._live is not None
        height = max(4, self._console.height - 2)
        body = Markdown(last_screenful(text, height)) if text else Text(last_screenful(thought, 6), style="dim italic")
        self._live.update(Group(body, Text(speed, style="dim")), refresh=True)


async def _one(session: ChatSession, prompt: str, *, as_json: bool) -> None:
    """A question and its answer, for `ask`."""
    console = Console(highlight=False)
    if not as_json and console.is_terminal:
        await _Screen(console).show(session, prompt)
        return
    out = sys.stdout
    try:
        async with session.stream(prompt) as stream:
            async for chunk in stream:
                if as_json:
                    kind = "text" if chunk.text else "reasoning"
                    out.write(json.dumps({"type": kind, "text": chunk.text or chunk.reasoning}) + "\n")
                else:
                    out.write(chunk.text)
                out.flush()
        response = stream.response
        assert response is not None
        if as_json:
            usage = (
                {name: getattr(response.usage, name) for name in response.usage.__struct_fields__}
                if response.usage
                else None
            )
            end = {"type": "end", "model": response.model, "finish_reason": response.finish_reason, "usage": usage}
            out.write(json.dumps(end) + "\n")
        else:
            out.write("\n")
        out.flush()
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except RightseatError as e:
        if as_json:
            out.write(json.dumps({"type": "error", "error": type(e).__name__, "message": str(e)}) + "\n")
        raise


@asynccontextmanager
async def _session(
    given: dict[str, Any], permit: Decide, note: Callable[[str], None] = lambda _: None
) -> AsyncIterator[tuple[Callable[[str], Any], Callable[[], Any]]]:
    """(model -> a session, forgets what is open), for what was given on the command line."""
    if given["use_cli"] and (given["base_url"] or given["account"]):
        raise InvalidOptionError("--cli: the Copilot CLI has its own account; leave --base-url and --account out")
    async with AsyncExitStack() as stack:
        if not given["use_cli"]:
            sdk = await stack.enter_async_context(
                CopilotSDK(
                    given["api_key"], base_url=given["base_url"], account=given["account"], timeout=given["timeout"]
                )
            )

            async def make(model: str) -> ChatSession:
                return await sdk.create_session(model=model, system=given["system"])

            async def nothing() -> None:
                return

            yield make, nothing
            return
        client = await stack.enter_async_context(CopilotClient())
        open_ones: list[Any] = []

        async def make_cli(model: str) -> ChatSession:
            async def decide(request: object, _: object) -> Any:
                allowed = await permit(_wish(request))
                return (
                    {"kind": "approve-once"}
                    if allowed
                    else {"kind": "reject", "feedback": "The user denied the request."}
                )

            more: dict[str, Any] = (
                {"system_message": {"mode": "append", "content": given["system"]}} if given["system"] else {}
            )
            session = await client.create_session(
                model=model, streaming=True, on_permission_request=decide, working_directory=str(Path.cwd()), **more
            )
            open_ones.append(session)
            session.on(
                lambda event: note(f"[{event.raw.get('toolName')}]") if event.type == "tool.execution_start" else None
            )
            handler = SessionHandler(session, inactivity_timeout=given["timeout"])
            own = CopilotSDK(
                handler=handler, model=model, timeout=None, silence=None, retry=None, window=None
            )  # rightseat: ignore[RS105]
            await stack.enter_async_context(own)
            return await own.create_session(model=model)

        async def forget() -> None:
            while open_ones:
                await open_ones.pop().disconnect()

        yield make_cli, forget


def _wish(request: Any) -> str:
    """What the model wants, in words."""
    kind = str(request.get("kind") or "do something")
    for name in ("fullCommandText", "intention", "fileName", "path", "url", "toolName"):
        if request.get(name):
            return f"{kind}: {str(request.get(name))[:500]}"
    return kind


async def _refuse(_: str) -> bool:
    return False
