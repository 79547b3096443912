"""HTTP to the outer world: a request goes out whole, an answer comes back as a head and a stream of bytes.

`HttpSender` is the seam; `aiohttp` beside it is the one for real use. Errors of a library become ours at the line that touches it.
This module does not know hosts, tokens and what a body means.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from msgspec import Struct, field

from rightseat.errors import ConnectionLostError, HttpTimeoutError

READ_BYTES = 32 * 1024  # that are read at a time
MAX_WHOLE_BYTES = 64 * 1024 * 1024  # of an answer that is read whole
CUT = "stream disconnected before completion"  # the message for clients about a lost connection


class Timeouts(Struct, frozen=True):
    """How long a request may take, in seconds.

    Attributes:
        connect: until there is a connection: the name is resolved, TCP and TLS are set up.
        head: until the head of the answer is there. A model that thinks may be silent for minutes before its first word.
        silence: between two pieces of an answer.
        whole: all of it, where the answer is read whole by `fetch`; None: no limit.
    """

    connect: float = 10.0
    head: float = 600.0
    silence: float = 300.0
    whole: float | None = None


USUAL = Timeouts()
SMALL = Timeouts(connect=5.0, head=15.0, silence=15.0, whole=15.0)  # calls that are answered at once, or not at all


class HttpRequest(Struct, frozen=True):
    """What is sent. Header names are lower case.

    Attributes:
        timeouts: how long it may take.
        peer: what to call the other side in messages to clients, who are not told addresses.
        on_sent: called right before the first byte goes out, which is after the connection is made.
    """

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeouts: Timeouts = USUAL
    peer: str = "the server"
    on_sent: Callable[[], None] | None = None


class HttpAnswer(Struct, frozen=True):
    """An answer that was read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Sink(Protocol):
    """Takes the body of an answer as it comes. Called on the event loop, with no coroutine and no future for a chunk."""

    def write(self, data: bytes) -> None:
        """Some more of it, never nothing, 64 KiB at most. What this raises closes the connection and is given to `end`."""
        ...

    def end(self, error: Exception | None) -> None:
        """It is over; called once, and nothing after it. None: the body is whole. Never called once the stream was closed.

        Args:
            error: what `HttpStream.chunks` raises, or what `write` raised.
        """
        ...


class HttpStream(Protocol):
    """An answer whose body is still coming: pulled by `chunks` or `read`, or pushed by `into`. Close it, however it ends.

    Attributes:
        framed: the length of the body is known (`content-length`, or chunks with a last one), so a body that ends early is an error.
            Else the end of the connection is the end of the body, and its reader must check that it is complete.
    """

    status: int
    headers: Mapping[str, str]
    framed: bool

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes.

        Raises:
            ConnectionLostError: it was cut off. HttpTimeoutError: no data within the timeout.
        """
        ...

    async def read(self) -> bytes:
        """The whole body. Raises as `chunks` does."""
        ...

    def into(self, sink: Sink) -> None:
        """Push the body. What has come already may be written, and ended, before this returns."""
        ...

    def pause(self) -> None:
        """Write no more to the sink for now: reading from the server rests once some KiB have come. May be called twice, and in `write`."""
        ...

    def resume(self) -> None:
        """Write on. May write before it returns."""
        ...

    def untaken(self) -> bytes:
        """What has come and was not taken, to be counted before the answer is closed: some of it, where all is more than 64 KiB."""
        ...

    async def aclose(self) -> None:
        """Drop the rest; nothing is written and nothing ended from now on. May be called twice."""
        ...


class HttpSender(Protocol):
    """An object that sends requests."""

    async def open(self, request: HttpRequest) -> HttpStream:
        """Send; return once the head of the answer is there. Cancelled before that, it closes the connection.

        Raises:
            ConnectError, ConnectionLostError, HttpTimeoutError: there is no answer. `reached` says whether anything was sent.
        """
        ...


async def fetch(sender: HttpSender, request: HttpRequest) -> HttpAnswer:
    """Send, and read the answer whole, within the timeouts of the request. Raises as `HttpSender.open` and `HttpStream.read` do."""
    async with within(request.timeouts, request.peer):
        stream = await sender.open(request)
        try:
            return HttpAnswer(stream.status, stream.headers, await stream.read())
        finally:
            await stream.aclose()


@asynccontextmanager
async def within(timeouts: Timeouts, peer: str) -> AsyncIterator[None]:
    """Whatever is done here takes no longer than `timeouts.whole`. Raises HttpTimeoutError: it would."""
    try:
        async with asyncio.timeout(timeouts.whole):
            yield
    except TimeoutError as e:
        if isinstance(e, HttpTimeoutError):
            raise
        raise HttpTimeoutError(
            f"{peer}: no whole answer within {timeouts.whole:g} s", public=f"{peer} did not answer in time"
        ) from e


async def joined(chunks: AsyncIterator[bytes], where: str) -> bytes:
    """All of an answer. Raises ConnectionLostError: there is more of it than anybody should hold."""
    pieces: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > MAX_WHOLE_BYTES:
            raise ConnectionLostError(
                f"{where}: the answer is larger than {MAX_WHOLE_BYTES} bytes", public="the answer is too large"
            )
        pieces.append(chunk)
    return b"".join(pieces)
