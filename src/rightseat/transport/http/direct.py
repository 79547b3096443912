"""The client of our own: pooled HTTP/1.1, from the socket to whoever takes the answer without a coroutine or a future for each chunk.

    open:  a connection that waits  --or-->  names, proxy, TLS (direct_dial)      each with its limit of time
           --> the request, whole --> the head of the answer (direct_connection)
           --> a stream: pulled, or pushed into a sink (direct_stream)

A connection that waited may have been closed by the server in the same moment. Then, before anything of an answer came, the request is sent
once more over a new one, if it may be sent twice (RFC 9110, section 9.2.2): one that is not safe is only ever sent once.

Does not know accounts, tokens and what a body means; redirects are handed up.
"""

from __future__ import annotations

import asyncio
import functools
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from msgspec import Struct

from rightseat.errors import ConnectionLostError
from rightseat.transport.http.base import HttpRequest
from rightseat.transport.http.direct_connection import HttpConnection
from rightseat.transport.http.direct_dial import Destination, Dialler
from rightseat.transport.http.direct_pool import Pool
from rightseat.transport.http.direct_stream import READ_BYTES, DirectStream
from rightseat.transport.http.failures import no_connection_in_time, unreachable
from rightseat.transport.http.heads import is_token, request_head
from rightseat.transport.http.proxies import proxy_for

_MAY_TWICE = frozenset({"GET", "HEAD", "OPTIONS"})
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})  # unless there is one
_TARGETS = 256  # addresses whose parts are remembered


class _Target(Struct, frozen=True):
    """An address, taken apart once.

    Attributes:
        route: where it is.
        key: of its connections.
        prefix: what follows the method in a request.
        where: it without its query, for errors.
    """

    route: Destination
    key: tuple[object, ...]
    prefix: bytes
    where: str


class DirectSender:
    """Sends over pooled connections: `async with DirectSender() as sender`. Belongs to one event loop.

    Args:
        limit: requests at a time, further ones wait in order; 0: no limit.
        trust: a file of certificates (PEM) that are trusted beside the system's; "" for none.
    """

    def __init__(self, *, limit: int = 0, trust: str = "") -> None:
        self._places = asyncio.Semaphore(limit) if limit else None
        self._trust = trust
        self._pool: Pool | None = None
        self._dialler: Dialler | None = None
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._target = functools.lru_cache(maxsize=_TARGETS)(_target_of)  # proxies too are looked up once an address

    async def __aenter__(self) -> Self:
        self._pool = Pool()
        self._dialler = Dialler(self._trust)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._pool is not None:
            await self._pool.aclose()

    async def open(self, request: HttpRequest) -> DirectStream:
        """See HttpSender."""
        target = self._taken_apart(request)
        due = asyncio.get_running_loop().time() + request.timeouts.head
        if self._places is None:
            return await self._open(request, target, due)
        await self._wait_for_a_place(self._places, request, target, due)
        try:
            stream = await self._open(request, target, due)
        except BaseException:
            self._places.release()
            raise
        stream.when_over(self._places.release)
        return stream

    def _taken_apart(self, request: HttpRequest) -> _Target:
        try:
            return self._target(request.url)
        except ValueError as e:
            raise unreachable(request.url.partition("?")[0], request.peer, e) from e

    async def _wait_for_a_place(
        self, places: asyncio.Semaphore, request: HttpRequest, target: _Target, due: float
    ) -> None:
        try:
            async with asyncio.timeout_at(due):
                await places.acquire()
        except TimeoutError as e:
            raise no_connection_in_time(target.where, request.peer) from e

    async def _open(self, request: HttpRequest, target: _Target, due: float) -> DirectStream:
        head = _head_of(request, target)
        assert self._pool is not None, "use `async with DirectSender()`"
        connection = self._pool.take(target.key)
        if connection is not None:
            try:
                return await self._send(connection, request, target, head, due)
            except ConnectionLostError:
                if connection.heard or request.method not in _MAY_TWICE:
                    raise
            return await self._send(await self._connect(request, target, due), request, target, head, due, again=True)
        return await self._send(await self._connect(request, target, due), request, target, head, due)

    async def _send(
        self,
        connection: HttpConnection,
        request: HttpRequest,
        target: _Target,
        head: bytes,
        due: float,
        *,
        again: bool = False,
    ) -> DirectStream:
        stream = DirectStream(target.where, request.peer, connection)
        try:
            if request.on_sent is not None and not again:
                request.on_sent()
            connection.send(stream, request.method, head, request.body, due, request.timeouts.silence)
            await stream.head
        except BaseException:
            stream.drop()
            raise
        return stream

    async def _connect(self, request: HttpRequest, target: _Target, due: float) -> HttpConnection:
        """A new connection. Raises ConnectError, HttpTimeoutError."""
        pool, dialler = self._pool, self._dialler
        assert pool is not None
        assert dialler is not None
        connection = HttpConnection(self._buffer, self._idle, pool.lost)
        pool.add(connection, target.key)
        try:
            async with asyncio.timeout_at(min(due, asyncio.get_running_loop().time() + request.timeouts.connect)):
                await dialler.connect(target.route, lambda: connection)
        except BaseException as e:
            pool.lost(connection)
            if isinstance(e, TimeoutError):
                raise no_connection_in_time(target.where, request.peer) from e
            if isinstance(e, (OSError, UnicodeError)):  # TLS's errors are among them
                raise unreachable(target.where, request.peer, e) from e
            raise
        if not connection.usable:
            connection.abort()
            raise unreachable(target.where, request.peer, "the server closed the connection at once")
        return connection

    def _idle(self, connection: HttpConnection) -> None:
        assert self._pool is not None
        assert self._dialler is not None
        if connection.count == 1:
            self._dialler.keep_session(connection)
        self._pool.give(connection)


def _head_of(request: HttpRequest, target: _Target) -> bytes:
    """Raises ConnectError: it cannot be sent."""
    method = request.method
    try:
        if not is_token(method):
            raise ValueError(f"method {method[:20]!r} is none")
        length = len(request.body) if request.body or method not in _WITHOUT_BODY else None
        return request_head(method.encode() + target.prefix, request.headers, length)
    except ValueError as e:
        raise unreachable(target.where, request.peer, e) from e


def _target_of(url: str) -> _Target:
    """Raises ValueError: it is no address that can be asked. ConnectError: its proxy is none."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    if not (tls or parts.scheme == "http") or not parts.hostname:
        raise ValueError("it is no http or https address")
    if parts.username is not None:
        raise ValueError("an address has no user; send a header instead")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not (path.isascii() and path.isprintable()) or " " in path:
        raise ValueError("the path has characters that must be escaped")
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode("ascii")
    proxy = proxy_for(url)
    route = Destination(host, parts.port or (443 if tls else 80), tls, proxy)
    name = f"[{host}]" if ":" in host else host
    authority = name if parts.port is None else f"{name}:{parts.port}"
    fields = f"host: {authority}\r\naccept-encoding: identity\r\n"
    if proxy is not None and not tls:
        path = f"http://{authority}{path}"
        fields += f"proxy-authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    prefix = f" {path} HTTP/1.1\r\n{fields}".encode("ascii")
    return _Target(route, route.key, prefix, url.partition("?")[0])
