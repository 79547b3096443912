"""How the direct client gets a connection: names, addresses, proxies, TLS. Does not know what is sent over it.

All addresses of a name are tried, the next one a quarter of a second after the one before (RFC 8305). TLS trusts what the system trusts,
checks the name, and begins with the session of an earlier connection where there is one. Never is anything sent plainly that asked for TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeAlias

import aiohappyeyeballs
from msgspec import Struct

from rightseat.transport.http.direct_connection import HttpConnection
from rightseat.transport.http.proxies import Proxy

LOOKUP_SECONDS = 60.0  # how long the addresses of a name are believed
_LOOKUPS = 256  # names that are remembered
_SESSIONS = 64  # of TLS
_EYEBALLS_SECONDS = 0.25  # RFC 8305, section 8
_TUNNEL_BYTES = 16 * 1024  # of a proxy's answer

_Infos: TypeAlias = list[Any]  # as getaddrinfo gives them


class Destination(Struct, frozen=True):
    """Where a request goes.

    Attributes:
        host, port: of the server.
        tls: it is spoken to over TLS.
        proxy: through which, or None.
    """

    host: str
    port: int
    tls: bool
    proxy: Proxy | None

    @property
    def key(self) -> tuple[object, ...]:
        """Connections with the same key serve the same requests: plain requests of one proxy do, wherever they go."""
        if self.proxy is not None and not self.tls:
            return (self.proxy.host, self.proxy.port, self.proxy.tls)
        return (self.host, self.port, self.tls, self.proxy and (self.proxy.host, self.proxy.port))


class TunnelError(ConnectionError):
    """A proxy did not open a tunnel."""


class Dialler:
    """Opens connections. Belongs to one event loop.

    Args:
        trust: a file of certificates (PEM) that are trusted beside the system's; "" for none.
    """

    def __init__(self, trust: str = "") -> None:
        self._loop = asyncio.get_running_loop()
        self._trust = trust
        self._context: _Context | None = None
        self._known: dict[tuple[str, int], tuple[float, _Infos]] = {}
        self._looking: dict[tuple[str, int], asyncio.Task[_Infos]] = {}

    async def connect(self, route: Destination, make: Callable[[], HttpConnection]) -> HttpConnection:
        """A connection that is ready. Raises OSError, ssl.SSLError: there is none."""
        first = route.proxy or route
        sock = await self._socket(first.host, first.port)
        try:
            if route.proxy is None or not route.tls:
                return await self._open(sock, first, make)
            return await self._tunnelled(sock, route, route.proxy, make)
        except BaseException:
            sock.close()  # it may have been given to a transport already, which then closes it once more
            raise

    def keep_session(self, connection: HttpConnection) -> None:
        """Begin the next connection to this name with the session of this one, if it has one."""
        if self._context is not None and (tls := connection.tls) is not None and tls.session is not None:
            self._context.keep(tls.server_hostname, tls.session)

    async def _open(
        self, sock: socket.socket, to: Destination | Proxy, make: Callable[[], HttpConnection]
    ) -> HttpConnection:
        tls: Any = {"ssl": self._tls(), "server_hostname": to.host} if to.tls else {}
        if tls:
            tls["ssl_shutdown_timeout"] = 1.0
        _, connection = await self._loop.create_connection(make, sock=sock, **tls)
        return connection

    async def _tunnelled(
        self, sock: socket.socket, route: Destination, proxy: Proxy, make: Callable[[], HttpConnection]
    ) -> HttpConnection:
        """Through a proxy that is told CONNECT (RFC 9110, section 9.3.6), and TLS within."""
        tls: Any = {"ssl": self._tls(), "server_hostname": proxy.host} if proxy.tls else {}
        transport, tunnel = await self._loop.create_connection(_Tunnel, sock=sock, **tls)
        try:
            await tunnel.connect(route, proxy)
            connection = make()
            inner = await self._loop.start_tls(transport, connection, self._tls(), server_hostname=route.host)
        except BaseException:
            transport.abort()
            raise
        if inner is None:
            raise ConnectionError("the connection ended within TLS")
        connection.connection_made(inner)
        return connection

    async def _socket(self, host: str, port: int) -> socket.socket:
        infos = await self._addresses(host, port)
        sock = await aiohappyeyeballs.start_connection(
            infos, happy_eyeballs_delay=_EYEBALLS_SECONDS, interleave=1, loop=self._loop
        )
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock

    async def _addresses(self, host: str, port: int) -> _Infos:
        """The addresses of a name; whoever asks while it is looked up waits for the same."""
        key = (host, port)
        until, infos = self._known.get(key, (0.0, []))
        if self._loop.time() < until:
            return infos
        task = self._looking.get(key)
        if task is None:
            task = self._looking[key] = self._loop.create_task(self._look_up(key))
            task.add_done_callback(lambda _: self._looking.pop(key, None))
        return await asyncio.shield(task)

    async def _look_up(self, key: tuple[str, int]) -> _Infos:
        infos = await self._loop.getaddrinfo(*key, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        if not infos:
            raise OSError(f"{key[0]} has no address")
        while len(self._known) >= _LOOKUPS:
            del self._known[next(iter(self._known))]
        self._known[key] = self._loop.time() + LOOKUP_SECONDS, infos
        return infos

    def _tls(self) -> _Context:
        if self._context is None:
            self._context = _Context(ssl.PROTOCOL_TLS_CLIENT)
            self._context.load_default_certs()
            if self._trust:
                self._context.load_verify_locations(self._trust)
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context


class _Context(ssl.SSLContext):
    """Begins with the session that was kept for a name: asyncio has no other place to say so."""

    def __init__(self, protocol: int) -> None:  # noqa: ARG002 - taken by __new__
        self._sessions: dict[str | None, ssl.SSLSession] = {}

    def keep(self, host: str | None, session: ssl.SSLSession) -> None:
        self._sessions.pop(host, None)
        while len(self._sessions) >= _SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[host] = session

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT002 - as in SSLContext
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """See SSLContext."""
        if session is None and isinstance(server_hostname, str):
            session = self._sessions.get(server_hostname)
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


class _Tunnel(asyncio.Protocol):
    """Asks a proxy for a tunnel."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._answer = bytearray()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        self._transport = transport

    async def connect(self, route: Destination, proxy: Proxy) -> None:
        """Returns when there is one. Raises TunnelError."""
        host = f"[{route.host}]" if ":" in route.host else route.host
        lines = [f"CONNECT {host}:{route.port} HTTP/1.1", f"host: {host}:{route.port}"]
        if proxy.authorization:
            lines.append(f"proxy-authorization: {proxy.authorization}")
        self._transport.write("\r\n".join([*lines, "", ""]).encode("ascii"))
        try:
            await self._done
        except TunnelError as e:
            raise TunnelError(f"{proxy} {e}") from None

    def data_received(self, data: bytes) -> None:
        """See asyncio. Behind its answer a proxy sends nothing before we have spoken."""
        self._answer += data
        head, blank, rest = bytes(self._answer).partition(b"\r\n\r\n")
        if not blank and len(self._answer) <= _TUNNEL_BYTES:
            return
        line = head.partition(b"\r\n")[0].split(b" ", 2)
        good = blank and len(line) >= 2 and line[0] in {b"HTTP/1.1", b"HTTP/1.0"}
        if not good or rest:
            self._fail("did not answer as a proxy does")
        elif len(line[1]) != 3 or not line[1].isdigit() or not line[1].startswith(b"2"):
            self._fail(f"refused a tunnel: HTTP {line[1][:3].decode('latin-1')}")
        elif not self._done.done():
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """See asyncio."""
        self._fail("closed the connection before there was a tunnel")

    def _fail(self, why: str) -> None:
        if not self._done.done():
            self._done.set_exception(TunnelError(why))
