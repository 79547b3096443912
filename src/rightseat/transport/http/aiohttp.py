"""The sender for real use, on aiohttp: pooled connections, proxies by the usual variables, errors of the library made ours."""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from rightseat.errors import ConnectError, ConnectionLostError, HttpTimeoutError
from rightseat.transport.http.base import (
    CONNECT_SECONDS,
    HEAD_SECONDS,
    READ_BYTES,
    SILENCE_SECONDS,
    HttpRequest,
    joined,
)


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
