"""The sender for real use, on aiohttp: pooled connections, proxies by the usual variables, errors of the library made ours."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import ssl
import urllib.request
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from rightseat.errors import ConnectError, ConnectionLostError, HttpTimeoutError, RightseatError
from rightseat.transport.http.base import CUT, READ_BYTES, HttpRequest, Timeouts, joined


class _Sending:
    """What is known of a request on its way."""

    __slots__ = ("request", "sent")

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.sent = False

    def go(self) -> None:
        """The bytes go out now."""
        self.sent = True
        if self.request.on_sent is not None:
            self.request.on_sent()


_SENDING: contextvars.ContextVar[_Sending | None] = contextvars.ContextVar("rightseat_sending", default=None)


class _Request(aiohttp.ClientRequest):
    """A request that says when it has a connection and goes out."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        """See ClientRequest."""
        if (sending := _SENDING.get()) is not None:
            sending.go()
        return await super().send(conn)


class AiohttpSender:
    """Sends over pooled connections: `async with AiohttpSender() as sender`. Belongs to one event loop."""

    def __init__(self, *, limit: int = 0) -> None:
        self._limit = limit
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}  # scheme://host -> its proxy; looked up once, not for each request

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._limit, ttl_dns_cache=60),
            auto_decompress=True,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers={"User-Agent"},
            read_bufsize=READ_BYTES,
            request_class=_Request,
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
        sending = _Sending(request)
        token = _SENDING.set(sending)
        try:
            async with asyncio.timeout(request.timeouts.head):
                response = await self._session.request(
                    request.method,
                    request.url,
                    data=request.body or None,
                    headers=request.headers,
                    allow_redirects=False,
                    proxy=self._proxy(request.url),
                    timeout=_timeout(request.timeouts),
                )
        except (TimeoutError, aiohttp.ClientError, ssl.SSLError) as e:
            raise _no_answer(e, where, sending) from e
        finally:
            _SENDING.reset(token)
        return _AiohttpStream(response, where, request.peer)

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


@functools.lru_cache(maxsize=16)
def _timeout(timeouts: Timeouts) -> aiohttp.ClientTimeout:
    # `connect` covers looking up the name, which `sock_connect` does not.
    return aiohttp.ClientTimeout(
        total=None, connect=timeouts.connect, sock_connect=timeouts.connect, sock_read=timeouts.silence
    )


def _no_answer(e: Exception, where: str, sending: _Sending) -> RightseatError:
    """The library's error as ours: the log is told the cause, a client is not told the address."""
    peer = sending.request.peer
    error: RightseatError
    if isinstance(e, TimeoutError):
        if sending.sent:
            error = HttpTimeoutError(f"{where}: no answer in time", public=f"{peer} did not answer in time")
        else:
            error = HttpTimeoutError(f"{where}: no connection in time", public=f"could not reach {peer}")
    elif isinstance(e, (aiohttp.ClientConnectorError, aiohttp.InvalidURL, ssl.SSLError)):
        error = ConnectError(f"cannot reach {where}: {e}", public=f"could not reach {peer}")
    else:
        error = ConnectionLostError(
            f"{where}: the connection ended before the answer: {e or type(e).__name__}", public=CUT
        )
    error.reached = sending.sent
    return error


def _is_this_machine(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"


class _AiohttpStream:
    def __init__(self, response: aiohttp.ClientResponse, where: str, peer: str) -> None:
        self._response = response
        self._where = where
        self._peer = peer
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.framed = "content-length" in response.headers or "transfer-encoding" in response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        content = self._response.content
        try:
            while chunk := await content.readany():
                yield chunk
        except TimeoutError as e:
            late = HttpTimeoutError(
                f"{self._where}: no data within the timeout", public=f"{self._peer} did not answer in time"
            )
            late.reached = True
            raise late from e
        except (aiohttp.ClientError, OSError) as e:
            lost = ConnectionLostError(f"{self._where}: the answer was cut off: {e or type(e).__name__}", public=CUT)
            lost.reached = True
            raise lost from e

    async def read(self) -> bytes:
        return await joined(self.chunks(), self._where)

    async def aclose(self) -> None:
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()  # the rest is not wanted: the server is told at once
