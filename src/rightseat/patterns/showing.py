"""The guide's lifecycle and streaming: a session for a block, pieces regrouped, and text drawn at a limited rate."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from rightseat.clock import SYSTEM_CLOCK
from rightseat.facade.sdk import CopilotSDK
from rightseat.facade.session import ChatSession
from rightseat.security.secret import Secret
from rightseat.streams import regroup, render


class Streaming(Protocol):
    """A session, or a double of one."""

    def stream(self, prompt: str, /) -> AsyncIterable[Any]:
        """The answer in pieces that have a `text`."""
        ...


@asynccontextmanager
async def copilot_session(api_key: str | Secret | None = None) -> AsyncIterator[ChatSession]:
    """A session of its own CopilotSDK for the time of a block. Both are closed, whatever happens in it."""
    async with CopilotSDK(api_key) as sdk, await sdk.create_session() as session:
        yield session


def stream_with_backpressure(session: Streaming, prompt: str, max_buffer_size: int = 1024) -> AsyncIterator[str]:
    """The answer in pieces of at least so many characters, and the rest: see `streams.regroup`. Read slowly, it is asked for slowly."""
    return regroup(session.stream(prompt), max_buffer_size)


class StreamingUI:
    """Draws an answer while it comes, at most every `update_interval` seconds, and once more at its end.

    Override `render` to draw elsewhere than on standard output.

    Attributes:
        update_interval: seconds between two drawings, at least.
        buffer: what was said so far.
        last_update: when it was drawn last, on a monotonic clock.
    """

    def __init__(self) -> None:
        self.update_interval = 0.1
        self.last_update = 0.0
        self.buffer = ""
        self._written = 0

    async def display_stream(self, session: Streaming, prompt: str) -> str:
        """Ask, and draw the answer; returns all of it. Raises AnswerTooLongError: see `streams.bounded`."""
        self.buffer, self._written = "", 0
        return await render(session.stream(prompt), self._show, seconds=self.update_interval)

    def render(self, text: str) -> None:
        """Draw all that was said so far: what is new goes to standard output."""
        sys.stdout.write(text[self._written :])
        sys.stdout.flush()
        self._written = len(text)

    def _show(self, text: str) -> None:
        self.buffer, self.last_update = text, SYSTEM_CLOCK.now()
        self.render(text)
