"""Serving an ASGI application on a socket that listens: uvicorn with protocols of our own, signals, and an end that lets streams finish.

    SIGINT, SIGTERM   take no new requests, let those under way finish for some time, cut the rest with an error, end
    SIGHUP            read settings and keys again; nothing under way notices

This module does not know what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from rightseat.clock import SYSTEM_CLOCK
from rightseat.gateway.http import departures
from rightseat.gateway.http.asgi import StreamBrokenError
from rightseat.gateway.http.protocol import HttpProtocol, Reader
from rightseat.gateway.http.server_options import Shared
from rightseat.gateway.http.signals import Reload, handled
from rightseat.gateway.http.websocket_protocol import WebSocketProtocol

_HEADERS = [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")]
_KEEP_ALIVE_SECONDS = 75
_LAST_SECONDS = 5  # for connections to close, after all that was under way has ended


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by `serve`."""
        yield


class _NotTwice(logging.Filter):
    """A stream that was cut on purpose is no fault of the application, and a request that is none has a line of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop the record of such a thing."""
        is_broken = bool(record.exc_info and isinstance(record.exc_info[1], StreamBrokenError))
        return not is_broken and record.msg != "Invalid HTTP request received."


async def serve(
    app: Any,
    listener: socket.socket,
    shared: Shared,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None] | None = None,
    reload: Reload | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, or until `stop` is set.

    Args:
        app: an ASGI application; it registers what is under way in `shared.live`.
        listener: a socket that listens; it is closed as soon as no new connections are taken.
        shared: what connections share, the options among it.
        stop: ends it too.
        on_ready: called once it serves.
        reload: what SIGHUP does.
    """
    logging.getLogger("uvicorn.error").addFilter(_NotTwice())
    server = _Server(_config(app, shared))
    with handled(stop, reload):
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        while not server.started and not serving.done():
            await SYSTEM_CLOCK.sleep(0.005)
        if on_ready is not None and server.started:
            on_ready()
        watching = asyncio.ensure_future(departures.watch(server.server_state.connections))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not serving.done():
            for each in server.servers:
                each.close()
            await shared.live.drain(shared.options.drain_seconds)
        server.should_exit = True
        await serving
        watching.cancel()


def _config(app: Any, shared: Shared) -> uvicorn.Config:
    own = {"shared": shared}
    http = type("Http", (HttpProtocol,), own)

    def reading(**options: Any) -> Reader:
        return Reader(http(**options))

    return uvicorn.Config(
        app,
        http=reading,  # type: ignore[arg-type]  # called like a class
        ws=type("WebSocket", (WebSocketProtocol,), own),
        ws_per_message_deflate=False,
        log_level="warning",
        log_config=None,  # who runs this says where logs go
        access_log=False,
        lifespan="off",
        server_header=False,
        headers=_HEADERS,
        proxy_headers=False,  # see addresses.py
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
