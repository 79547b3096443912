"""Running the gateway: uvicorn with limits, and an end that lets streams finish."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rightseat.gateway.app import Gateway
from rightseat.gateway.asgi import StreamBrokenError
from rightseat.gateway.config import Settings
from rightseat.transport.listen import listen


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by `serve`."""
        yield


class _HeaderDeadline(HttpToolsProtocol):
    """Closes a connection on which the head of a request does not come in time, also before the first byte."""

    header_seconds = 0.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._end()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._start()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._end()
        super().on_headers_complete()

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
    settings: Settings, on_ready: Callable[[str], None] | None = None, stop: asyncio.Event | None = None
) -> None:
    """Serve until SIGINT or SIGTERM, or until `stop` is set; then let open streams finish for `drain_seconds`.

    Args:
        settings: all settings.
        on_ready: called with the address once it listens.
        stop: ends it too.

    Raises:
        ConnectError: the port is taken, or may not be used.
    """
    listener = listen(settings.host, settings.port)
    logging.getLogger("uvicorn.error").addFilter(_NoBrokenStreams())
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # not the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    async with Gateway(settings) as app:
        server = _Server(
            uvicorn.Config(
                app,
                http=type("Protocol", (_HeaderDeadline,), {"header_seconds": settings.header_seconds}),
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
