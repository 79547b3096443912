"""What to do with pieces of an answer: put them together to a size or a time, bound them, show them at a rate that eyes can follow.

Each takes what `ChatSession.stream` gives, or plain texts, and loses nothing: what is left at the end, or before an error, is still
given. Leaving one of them closes what it reads.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

from rightseat.clock import LOOP_CLOCK
from rightseat.errors import AnswerTooLongError, InvalidOptionError


async def regroup(
    chunks: AsyncIterable[object], size: int = 1024, *, seconds: float | None = None
) -> AsyncIterator[str]:
    """Pieces of at least `size` characters, or of what came within `seconds`.

    Args:
        chunks: texts, or objects with a `text`.
        size: characters; a longer piece is not cut.
        seconds: no character waits for longer than this; None: however long.

    Raises:
        InvalidOptionError: `size` or `seconds` make no sense. What the source raises comes after what it gave before.
    """
    if size < 1:
        raise InvalidOptionError(f"size: must be at least 1, not {size}")
    if seconds is not None and seconds <= 0:
        raise InvalidOptionError(f"seconds: must be more than 0, not {seconds}")
    parts: list[str] = []
    length = 0
    pieces = _pieces(chunks) if seconds is None else _in_time(_pieces(chunks), seconds)
    try:
        async for piece in pieces:
            if piece is not None:
                parts.append(piece)
                length += len(piece)
            if parts and (piece is None or length >= size):
                yield "".join(parts)
                parts, length = [], 0
    except Exception:
        if parts:
            yield "".join(parts)
        raise
    finally:
        await _close(pieces)
    if parts:
        yield "".join(parts)


async def bounded(chunks: AsyncIterable[object], limit: int = 1_000_000) -> AsyncIterator[str]:
    """The same pieces, as long as they are no more than `limit` characters together.

    Raises:
        AnswerTooLongError: they are more; what fits has been given.
    """
    if limit < 1:
        raise InvalidOptionError(f"limit: must be at least 1, not {limit}")
    left = limit
    pieces = _pieces(chunks)
    try:
        async for piece in pieces:
            if len(piece) > left:
                if left:
                    yield piece[:left]
                raise AnswerTooLongError(limit)
            left -= len(piece)
            yield piece
    finally:
        await _close(pieces)


async def collect(chunks: AsyncIterable[object], limit: int = 1_000_000) -> str:
    """All of it as one text. Raises AnswerTooLongError beyond `limit` characters."""
    return "".join([piece async for piece in bounded(chunks, limit)])


async def render(
    chunks: AsyncIterable[object], show: Callable[[str], object], *, seconds: float = 0.1, limit: int = 1_000_000
) -> str:
    """Call `show` with all that was said so far, at most once in `seconds`, and once more at the end.

    Args:
        chunks: texts, or objects with a `text`.
        show: a function or a coroutine function.
        seconds: between two calls, at least.
        limit: see `bounded`.

    Returns:
        The whole text.

    Raises:
        AnswerTooLongError: see `bounded`; what fits has been shown. So it is with what the source raises.
    """
    said: list[str] = []
    groups = regroup(bounded(chunks, limit), size=limit + 1, seconds=seconds)
    try:
        async for piece in groups:
            said.append(piece)
            shown = show("".join(said))
            if inspect.isawaitable(shown):
                await shown
    finally:
        await _close(groups)
    return "".join(said)


async def _pieces(chunks: AsyncIterable[Any]) -> AsyncIterator[str]:
    try:
        async for chunk in chunks:
            text = chunk if isinstance(chunk, str) else chunk.text
            if text:
                yield text
    finally:
        await _close(chunks)


async def _in_time(pieces: AsyncIterator[str], seconds: float) -> AsyncIterator[str | None]:
    """The pieces, and None whenever `seconds` have passed since the first one after the last None."""
    coming = asyncio.ensure_future(_next(pieces))
    due: float | None = None
    try:
        while True:
            left = None if due is None else max(0.0, due - LOOP_CLOCK.now())
            done, _ = await asyncio.wait({coming}, timeout=left)
            if not done:
                due = None
                yield None
                continue
            piece = coming.result()
            if piece is None:
                return
            coming = asyncio.ensure_future(_next(pieces))
            if due is None:
                due = LOOP_CLOCK.now() + seconds
            yield piece
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await _close(pieces)


async def _next(pieces: AsyncIterator[str]) -> str | None:
    return await anext(pieces, None)


async def _close(source: object) -> None:
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()
