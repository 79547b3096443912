"""Serving on a socket that listens, with connections of our own, and an end that lets streams finish. See `http.signals` for signals.

    stop   take no new connections, let what is under way finish for some time, cut the rest with an error, close what is idle, end

This module does not know what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable

from rightseat.clock import SYSTEM_CLOCK
from rightseat.gateway.http.core.base import Application, Core
from rightseat.gateway.http.core.connection import ServerConnection
from rightseat.gateway.http.departures import CHECK_SECONDS, has_left
from rightseat.gateway.http.server_options import Shared
from rightseat.gateway.http.signals import Reload, handled

_BACKLOG = 2048
_LAST_SECONDS = 5.0  # for connections to close, after all that was under way has ended


async def _watch(core: Core) -> None:
    """For ever: end connections whose clients have left while nothing was read from them. Linux only; elsewhere it shows when something is."""
    while sys.platform == "linux":
        await SYSTEM_CLOCK.sleep(CHECK_SECONDS)
        for connection in [one for one in core.connections if one.is_blind]:
            if has_left(connection.transport):
                connection.transport.abort()


async def _close(core: Core) -> None:
    """End what is left."""
    for connection in list(core.connections):
        connection.close_if_idle()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_SECONDS):
            while core.tasks or core.connections:
                await SYSTEM_CLOCK.sleep(0.01)
    for connection in list(core.connections):
        connection.transport.abort()
    for task in list(core.tasks):
        task.cancel()
    await asyncio.gather(*core.tasks, return_exceptions=True)


async def serve(
    app: Application,
    listener: socket.socket,
    shared: Shared,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None] | None = None,
    reload: Reload | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, or until `stop` is set.

    Args:
        app: what is served; it registers what is under way in `shared.live`.
        listener: a socket that listens; it is closed as soon as no new connections are taken.
        shared: what connections share, the options among it.
        stop: ends it too.
        on_ready: called once it serves.
        reload: what SIGHUP does.
    """
    core = Core(app, shared)
    with handled(stop, reload):
        server = await core.loop.create_server(lambda: ServerConnection(core), sock=listener, backlog=_BACKLOG)
        watching = asyncio.ensure_future(_watch(core))
        try:
            if on_ready is not None:
                on_ready()
            await stop.wait()
            server.close()
            await shared.live.drain(shared.options.drain_seconds)
            await _close(core)
        finally:
            server.close()
            watching.cancel()
