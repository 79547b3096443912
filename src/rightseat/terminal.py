"""Answers at a terminal: Markdown that is updated without flicker, or plain text where the output is no terminal.

Needs `rich`. Drawn at most ten times a second; only the last screenful is drawn while it grows, and all of it at the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterable

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown

from rightseat import streams

INTERVAL_SECONDS = 0.1


async def show(chunks: AsyncIterable[object], console: Console | None = None, *, limit: int = 1_000_000) -> str:
    """Show an answer as it comes; return its text.

    Args:
        chunks: texts, or objects with a `text`.
        console: where; standard output otherwise. Not a terminal: the text as it comes, and nothing else.
        limit: characters; see `streams.bounded`.

    Raises:
        AnswerTooLongError: see `streams.bounded`.
    """
    console = console or Console()
    if not console.is_terminal:
        return await _plain(chunks, console, limit)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop", transient=True) as live:

        def draw(text: str) -> None:
            live.update(Markdown(last_screenful(text, console.height)), refresh=True)

        text = await streams.render(chunks, draw, seconds=INTERVAL_SECONDS, limit=limit)
    console.print(Markdown(text))
    return text


async def _plain(chunks: AsyncIterable[object], console: Console, limit: int) -> str:
    said: list[str] = []
    async for piece in streams.bounded(chunks, limit):
        said.append(piece)
        console.file.write(piece)
        console.file.flush()
    console.file.write("\n")
    return "".join(said)


def last_screenful(text: str, height: int) -> str:
    """About as many lines as there is room for, from the last paragraph break before them on."""
    lines = text.splitlines()
    if len(lines) <= height:
        return text
    begin = len(lines) - height
    while begin > 0 and lines[begin - 1].strip():
        begin -= 1
    # An open block of code before the cut is opened again.
    opened = sum(line.lstrip().startswith("```") for line in lines[:begin]) % 2
    return ("```\n" if opened else "") + "\n".join(lines[begin:])
