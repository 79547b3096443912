"""Running the gateway: uvicorn with limits, and an end that lets streams finish."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator

import uvicorn

from rightseat.gateway.app import Gateway
from rightseat.gateway.asgi import StreamBrokenError
from rightseat.gateway.config import Settings
from rightseat.transport.listen import listen


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by `serve`."""
        yield


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
                log_level="warning",
                access_log=False,
                lifespan="off",
                ws="websockets-sansio",
                ws_max_size=settings.body_limit,
                server_header=False,
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
