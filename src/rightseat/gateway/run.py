"""The gateway as a program: it takes settings, and serves until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from rightseat.accounts.store import AccountStore
from rightseat.gateway.app import Gateway
from rightseat.gateway.config import Settings
from rightseat.gateway.http.server_options import ServerOptions, Shared
from rightseat.log import logger
from rightseat.transport.listen import listen


async def serve(
    settings: Settings,
    on_ready: Callable[[str], None] | None = None,
    stop: asyncio.Event | None = None,
    listener: socket.socket | None = None,
    reload: Callable[[], Settings] | None = None,
    accounts: AccountStore | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, or until `stop` is set; then let open streams finish for `drain_seconds`.

    Args:
        settings: all settings.
        on_ready: called with the address once it listens.
        stop: ends it too.
        listener: a socket that listens already, shared with others; None: one of its own by the settings.
        reload: reads the settings again, for SIGHUP; None: keys alone are looked at again. Raises ConfigError, and nothing changes.
        accounts: the accounts; None: those in the settings' folder.

    Raises:
        ConnectError: the port is taken, or may not be used.
    """
    with contextlib.closing(listener or listen(settings.host, settings.port)) as listening:
        address = f"http://{settings.host}:{listening.getsockname()[1]}"
        async with Gateway(settings, accounts=accounts) as app:
            shared = Shared(options_of(settings), app.live, app.socket_memory)

            async def again() -> None:
                read = reload() if reload is not None else settings
                if skipped := app.reload(read):
                    logger.warning("settings that need a restart were not applied: %s", ", ".join(skipped))
                await app.refresh()
                shared.apply(options_of(app.settings))

            await _server(settings.http_server)(
                app,
                listening,
                shared,
                stop=stop or asyncio.Event(),
                on_ready=None if on_ready is None else lambda: on_ready(address),
                reload=again,
            )


def _server(name: str) -> Callable[..., Awaitable[None]]:
    """The server of a name; what the other one needs is not imported."""
    if name == "core":
        from rightseat.gateway.http.core.serving import serve as core

        return core
    from rightseat.gateway.http.server import serve as uvicorn

    return uvicorn


def options_of(settings: Settings) -> ServerOptions:
    """The server's part of the settings."""
    return ServerOptions(
        header_seconds=settings.header_seconds,
        header_limit=settings.header_limit,
        connections=settings.connections,
        connections_per_address=settings.connections_per_address,
        trusted_proxies=settings.proxy_networks,
        drain_seconds=settings.drain_seconds,
    )
