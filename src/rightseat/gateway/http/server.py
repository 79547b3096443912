"""Running the gateway: uvicorn with limits, and an end that lets streams finish."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rightseat.gateway.app import Gateway
from rightseat.gateway.config import Settings
from rightseat.gateway.http.asgi import StreamBrokenError
from rightseat.transport.listen import listen


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by `serve`."""
        yield


MAX_FIELDS = 256  # of one head


_ALIKE = (b"content_length", b"transfer_encoding")


class _TooLargeError(Exception):
    pass


class _AmbiguousError(Exception):
    pass


class _HeadLimits(HttpToolsProtocol):
    """Closes a connection on which the head of a request does not come in time, also before the first byte, or is too large."""

    header_seconds = 0.0
    header_limit = 64 * 1024
    _deadline: asyncio.TimerHandle | None = None
    _coming = False  # a head is
    _head_bytes = 0  # of it, as they came
    _size = 0  # of its fields
    _count = 0
    _large = False

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        super().data_received(data)
        if self._coming:
            self._head_bytes += len(
                data
            )  # the parser keeps what it has not understood yet, and has no limit of its own
            if self._head_bytes > self.header_limit and not self.transport.is_closing():
                self._large = True
                self.send_400_response("")
        elif self._deadline is None and self._is_idle():
            self._start()  # line ends before a request count for nothing

    def _is_idle(self) -> bool:
        """No request is under way, and the connection has not become a WebSocket."""
        ours = self.transport.get_protocol() is self
        return ours and (self.cycle is None or bool(self.cycle.response_complete))

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._coming, self._head_bytes, self._size, self._count = True, 0, 0, 0
        self._start()

    def on_url(self, url: bytes) -> None:
        """A piece of its target."""
        self._weigh(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of its head."""
        self._count += 1
        self._weigh(len(name) + len(value))
        if b"_" in name and name.lower() in _ALIKE:
            raise _AmbiguousError  # servers before or behind this one may take it for the real one
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._coming = False
        self._end()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """A request that is none, or too large a one."""
        self._end()
        if not self._large:
            super().send_400_response(msg)
            return
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        self.transport.close()

    def _weigh(self, size: int) -> None:
        self._size += size
        if self._size > self.header_limit or self._count > MAX_FIELDS:
            self._large = True
            raise _TooLargeError  # the parser tells it as an error of its own

    def _start(self) -> None:
        if self._deadline is None and self.header_seconds:
            self._deadline = self.loop.call_later(self.header_seconds, self._too_slow)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        self.transport.write(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


class _NoBrokenStreams(logging.Filter):
    """A stream that was cut on purpose is no fault of the application."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop the record of such a stream."""
        return not (record.exc_info and isinstance(record.exc_info[1], StreamBrokenError))


async def serve(
    settings: Settings,
    on_ready: Callable[[str], None] | None = None,
    stop: asyncio.Event | None = None,
    listener: socket.socket | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, or until `stop` is set; then let open streams finish for `drain_seconds`.

    Args:
        settings: all settings.
        on_ready: called with the address once it listens.
        stop: ends it too.
        listener: a socket that listens already, shared with others; None: one of its own by the settings.

    Raises:
        ConnectError: the port is taken, or may not be used.
    """
    with contextlib.closing(listener or listen(settings.host, settings.port)) as listening:
        await _serve(settings, on_ready, stop or asyncio.Event(), listening)


async def _serve(
    settings: Settings, on_ready: Callable[[str], None] | None, stop: asyncio.Event, listener: socket.socket
) -> None:
    logging.getLogger("uvicorn.error").addFilter(_NoBrokenStreams())
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # not the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    limits = {"header_seconds": settings.header_seconds, "header_limit": settings.header_limit}
    async with Gateway(settings) as app:
        server = _Server(
            uvicorn.Config(
                app,
                http=type("Protocol", (_HeadLimits,), limits),
                log_level="warning",
                log_config=None,  # who runs this says where logs go; see logs.py
                access_log=False,
                lifespan="off",
                ws="websockets-sansio",
                ws_max_size=settings.body_limit,
                server_header=False,
                headers=[("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")],
                proxy_headers=False,  # nothing here believes a header about where a client is
                limit_concurrency=settings.connections,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=max(1, int(settings.drain_seconds)),
            )
        )
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn tells by a flag
            await asyncio.sleep(0.005)
        if on_ready is not None and server.started:
            on_ready(f"http://{settings.host}:{listener.getsockname()[1]}")
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        stopping.cancel()
        await serving
