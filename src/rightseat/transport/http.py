"""HTTP to the outer world: a request goes out whole, an answer comes back as a head and a stream of bytes.

`HttpSender` names the seam; `AiohttpSender` is the one for real use. Errors of the library become ours at the line that touches
it. This module refuses to know hosts, tokens and what a body means.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
import urllib.request
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

import aiohttp
from msgspec import Struct, field

from rightseat.errors import ConnectError, ConnectionLostError, HttpTimeoutError

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


class AiohttpSender:
    """Sends over pooled connections: `async with AiohttpSender() as sender`. Belongs to one event loop."""

    def __init__(self, *, limit: int = 0) -> None:
        self._limit = limit
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}  # scheme://host -> its proxy; looked up once, not for each request

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._limit, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
            auto_decompress=True,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers={"User-Agent"},
            read_bufsize=READ_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def open(self, request: HttpRequest) -> _AiohttpStream:
        """See HttpSender."""
        assert self._session is not None, "use `async with AiohttpSender()`"
        where = request.url.partition("?")[0]
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                response = await self._session.request(
                    request.method,
                    request.url,
                    data=request.body or None,
                    headers=request.headers,
                    allow_redirects=False,
                    proxy=self._proxy(request.url),
                )
        except TimeoutError as e:
            raise HttpTimeoutError(f"{where}: no answer in time") from e
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, ssl.SSLError) as e:
            raise ConnectError(f"cannot reach {where}: {e}") from e
        except aiohttp.ClientError as e:
            raise ConnectionLostError(
                f"{where}: the connection ended before the answer: {e or type(e).__name__}"
            ) from e
        return _AiohttpStream(response, where)

    def _proxy(self, url: str) -> str | None:
        """The proxy for an address by the usual variables (HTTPS_PROXY, NO_PROXY ...), or None."""
        origin = url[: url.find("/", 8)] if url.find("/", 8) > 0 else url
        if origin not in self._proxies:
            parts = urlsplit(origin)
            bypass = (
                not parts.hostname
                or _is_this_machine(parts.hostname)
                or bool(urllib.request.proxy_bypass(parts.hostname))
            )
            self._proxies[origin] = None if bypass else urllib.request.getproxies().get(parts.scheme)
        return self._proxies[origin]


class CompressingSender:
    """Sends large bodies compressed (gzip, RFC 1952) to servers that take them so.

    A server that answers 415 (RFC 9110, section 15.5.16) gets the same body again as it is, and no compressed one any more.

    Args:
        inner: sends.
        at_least: bytes; a smaller body is not worth it.
    """

    LEVEL = 3  # JSON shrinks to about a sixth here; more costs time and gains little

    def __init__(self, inner: HttpSender, at_least: int = 16 * 1024) -> None:
        self._inner = inner
        self._at_least = at_least
        self._refused: set[str] = set()  # scheme and host

    async def open(self, request: HttpRequest) -> HttpStream:
        """See HttpSender."""
        origin = "/".join(request.url.split("/", 3)[:3])
        if len(request.body) < self._at_least or origin in self._refused or "content-encoding" in request.headers:
            return await self._inner.open(request)
        body = await asyncio.to_thread(gzip.compress, request.body, self.LEVEL)
        headers = {**request.headers, "content-encoding": "gzip"}
        stream = await self._inner.open(HttpRequest(request.method, request.url, headers, body))
        if stream.status != 415:
            return stream
        await stream.aclose()
        self._refused.add(origin)
        return await self._inner.open(request)


def _is_this_machine(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"


class _AiohttpStream:
    def __init__(self, response: aiohttp.ClientResponse, where: str) -> None:
        self._response = response
        self._where = where
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        content = self._response.content
        try:
            while chunk := await content.readany():
                yield chunk
        except TimeoutError as e:
            raise HttpTimeoutError(f"{self._where}: nothing came for too long") from e
        except (aiohttp.ClientError, OSError) as e:
            raise ConnectionLostError(f"{self._where}: the answer was cut off: {e or type(e).__name__}") from e

    async def read(self) -> bytes:
        return await joined(self.chunks(), self._where)

    async def aclose(self) -> None:
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()  # the rest is not wanted: the server is told at once
