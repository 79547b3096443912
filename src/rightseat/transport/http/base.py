"""HTTP to the outer world: a request goes out whole, an answer comes back as a head and a stream of bytes.

`HttpSender` is the seam; `aiohttp` beside it is the one for real use. Errors of a library become ours at the line that touches it.
This module refuses to know hosts, tokens and what a body means.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from msgspec import Struct, field

from rightseat.errors import ConnectionLostError

CONNECT_SECONDS = 10.0
HEAD_SECONDS = 600.0  # a model that thinks may be silent for minutes before its first word
SILENCE_SECONDS = 300.0  # between two pieces of an answer
READ_BYTES = 64 * 1024
MAX_WHOLE_BYTES = 64 * 1024 * 1024  # of an answer that is read whole


class HttpRequest(Struct, frozen=True):
    """What is sent. Header names are lower case."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class HttpAnswer(Struct, frozen=True):
    """An answer that was read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpStream(Protocol):
    """An answer whose body is still coming. Close it, however it ends."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes.

        Raises:
            ConnectionLostError: it was cut off. HttpTimeoutError: nothing came for too long.
        """
        ...

    async def read(self) -> bytes:
        """The whole body. Raises as `chunks` does."""
        ...

    async def aclose(self) -> None:
        """Drop the rest. May be called twice."""
        ...


class HttpSender(Protocol):
    """Somebody who can send a request."""

    async def open(self, request: HttpRequest) -> HttpStream:
        """Send; return once the head of the answer is there.

        Raises:
            ConnectError, ConnectionLostError, HttpTimeoutError: there is no answer.
        """
        ...


async def fetch(sender: HttpSender, request: HttpRequest) -> HttpAnswer:
    """Send, and read the answer whole."""
    stream = await sender.open(request)
    try:
        return HttpAnswer(stream.status, stream.headers, await stream.read())
    finally:
        await stream.aclose()


async def joined(chunks: AsyncIterator[bytes], where: str) -> bytes:
    """All of an answer. Raises ConnectionLostError: there is more of it than anybody should hold."""
    pieces: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > MAX_WHOLE_BYTES:
            raise ConnectionLostError(f"{where}: the answer is larger than {MAX_WHOLE_BYTES} bytes")
        pieces.append(chunk)
    return b"".join(pieces)
