"""The sender for real use, on aiohttp: pooled connections, proxies by the usual variables, errors of the library made ours."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import io
import ssl
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

from rightseat.errors import RightseatError
from rightseat.transport.http.base import READ_BYTES, HttpRequest, Sink, Timeouts, joined
from rightseat.transport.http.failures import (
    cut_off,
    lost_before,
    no_answer_in_time,
    no_connection_in_time,
    silent,
    unreachable,
)
from rightseat.transport.http.proxies import proxy_for
from rightseat.transport.http.pump import AnswerPump

_WHOLE_BYTES = 1024 * 1024  # of a body; a larger one is written piece by piece


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


class _Reader(asyncio.BufferedProtocol):
    """Reads for a connection of the library's, so much at a time and not more: what it has read while nobody takes it is held."""

    def __init__(self, protocol: Any, buffer: memoryview) -> None:
        self.protocol, self._buffer = protocol, buffer
        self.connection_made = protocol.connection_made  # type: ignore[method-assign]
        self.connection_lost = protocol.connection_lost  # type: ignore[method-assign]
        self.eof_received = protocol.eof_received  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]
        self._take = protocol.data_received

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """See asyncio."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio."""
        self._take(bytes(self._buffer[:nbytes]))


class _Connector(aiohttp.TCPConnector):
    """Connections that are read by `_Reader`, one after another into one buffer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._buffer = memoryview(bytearray(READ_BYTES))

    async def _wrap_create_connection(self, *args: Any, **options: Any) -> Any:
        make, *rest = args
        transport, reader = await super()._wrap_create_connection(
            lambda: _Reader(make(), self._buffer), *rest, **options
        )
        return transport, reader.protocol  # type: ignore[attr-defined]


class AiohttpSender:
    """Sends over pooled connections: `async with AiohttpSender() as sender`. Belongs to one event loop.

    Args:
        limit: requests at a time, further ones wait in order; 0: no limit.
        trust: a file of certificates (PEM) that are trusted beside the system's; "" for none.
    """

    def __init__(self, *, limit: int = 0, trust: str = "") -> None:
        self._limit = limit
        self._trust = trust
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}  # scheme://host -> its proxy; looked up once, not for each request

    async def __aenter__(self) -> Self:
        tls: ssl.SSLContext | bool = True
        if self._trust:
            tls = ssl.create_default_context()
            tls.load_verify_locations(self._trust)
        self._session = aiohttp.ClientSession(
            connector=_Connector(limit=self._limit, ttl_dns_cache=60, ssl=tls),
            auto_decompress=True,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers={"User-Agent"},
            read_bufsize=READ_BYTES // 2,  # reading pauses beyond twice as many
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
                    data=io.BytesIO(request.body) if len(request.body) > _WHOLE_BYTES else request.body or None,
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
        """The proxy for an address, or None. Raises ConnectError: it is none."""
        origin = url[: url.find("/", 8)] if url.find("/", 8) > 0 else url
        if origin not in self._proxies:
            proxy = proxy_for(origin)
            self._proxies[origin] = None if proxy is None else proxy.url
        return self._proxies[origin]


@functools.lru_cache(maxsize=16)
def _timeout(timeouts: Timeouts) -> aiohttp.ClientTimeout:
    # `connect` covers looking up the name, which `sock_connect` does not.
    return aiohttp.ClientTimeout(
        total=None, connect=timeouts.connect, sock_connect=timeouts.connect, sock_read=timeouts.silence
    )


def _no_answer(e: Exception, where: str, sending: _Sending) -> RightseatError:
    """An error of aiohttp as ours: the log gets the cause, clients do not see the address."""
    peer = sending.request.peer
    if isinstance(e, TimeoutError):
        return (no_answer_in_time if sending.sent else no_connection_in_time)(where, peer)
    if isinstance(e, (aiohttp.ClientConnectorError, aiohttp.InvalidURL, ssl.SSLError)):
        error: RightseatError = unreachable(where, peer, e)
        error.reached = sending.sent
        return error
    return lost_before(where, e or type(e).__name__, sent=sending.sent)


class _AiohttpStream:
    def __init__(self, response: aiohttp.ClientResponse, where: str, peer: str) -> None:
        self._response = response
        self._where = where
        self._peer = peer
        self._pump: AnswerPump | None = None
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.framed = "content-length" in response.headers or "transfer-encoding" in response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        content = self._response.content
        try:
            while chunk := await content.readany():
                yield chunk
        except TimeoutError as e:
            raise silent(self._where, self._peer) from e
        except (aiohttp.ClientError, OSError, RuntimeError) as e:  # the last one where the client is closed meanwhile
            raise cut_off(self._where, e or type(e).__name__) from e

    async def read(self) -> bytes:
        return await joined(self.chunks(), self._where)

    def into(self, sink: Sink) -> None:
        self._pump = AnswerPump(self.chunks(), sink)

    def pause(self) -> None:
        if self._pump is not None:
            self._pump.pause()

    def resume(self) -> None:
        if self._pump is not None:
            self._pump.resume()

    def untaken(self) -> bytes:
        held = self._pump.untaken if self._pump is not None else b""
        try:
            return held + self._response.content.read_nowait()
        except (aiohttp.ClientError, OSError, RuntimeError):  # it is broken, or somebody waits for more
            return held

    async def aclose(self) -> None:
        if self._pump is not None:
            self._pump.stop()
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()  # the rest is not wanted: the connection ends at once
