"""Relays that do nothing else, as limits: one of two protocols on uvloop and llhttp, which is what Python can do, and one of ASGI and aiohttp.

usage: python -m benchmarks.gateway.relays bare|asgi PORT UPSTREAM_PORT [AUTHORITY]

With an authority's certificate the upstream is reached over TLS, as "localhost".
"""

import asyncio
import ssl
import sys

import httptools
import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class _Upstream(asyncio.Protocol):
    """A connection to upstream, kept for the client's next request."""

    def __init__(self, client: "_Client") -> None:
        self._client = client
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        if self._pieces:
            self._client.transport.write(b"".join(self._pieces))
            self._pieces.clear()

    def on_headers_complete(self) -> None:
        self._pieces.append(_HEAD)

    def on_body(self, body: bytes) -> None:
        self._pieces += (b"%x\r\n" % len(body), body, b"\r\n")

    def on_message_complete(self) -> None:
        self._pieces.append(b"0\r\n\r\n")

    def connection_lost(self, _: Exception | None) -> None:
        self._client.upstream = None


class _Client(asyncio.Protocol):
    """A client's connection."""

    def __init__(self, port: int, tls: ssl.SSLContext | None) -> None:
        self._port, self._tls = port, tls
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self.upstream: _Upstream | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body.clear()
        head = b"POST /chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body)
        if self.upstream is not None:
            self.upstream.transport.write(head + body)
        else:
            self._task = asyncio.ensure_future(self._connect(head + body))

    def connection_lost(self, _: Exception | None) -> None:
        if self.upstream is not None:
            self.upstream.transport.close()

    async def _connect(self, request: bytes) -> None:
        name = "localhost" if self._tls else None
        _, self.upstream = await asyncio.get_running_loop().create_connection(
            lambda: _Upstream(self), "127.0.0.1", self._port, ssl=self._tls, server_hostname=name
        )
        self.upstream.transport.write(request)


async def bare(port: int, upstream: int, tls: ssl.SSLContext | None) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Client(upstream, tls), "127.0.0.1", port)
    await server.serve_forever()


async def asgi(port: int, upstream: int, tls: ssl.SSLContext | None) -> None:
    import aiohttp
    import uvicorn

    target = f"{'https' if tls else 'http'}://localhost:{upstream}/chat/completions"

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body")
        async with session.post(target, data=body, ssl=tls or True) as answer:
            kind = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": answer.status, "headers": kind})
            while chunk := await answer.content.readany():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", lifespan="off")).serve()


if __name__ == "__main__":
    kind, port, upstream, *authority = sys.argv[1:]
    tls = ssl.create_default_context(cafile=authority[0]) if authority else None
    uvloop.run({"bare": bare, "asgi": asgi}[kind](int(port), int(upstream), tls))
