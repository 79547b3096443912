"""The simulator on a port of this machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import uvicorn

from rightseat.simulator.app import SimulatorApp
from rightseat.transport.listen import listen


class _UvicornServer(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the command around the server."""
        yield


class SimulatorServer:
    """Serve a SimulatorApp: `async with SimulatorServer(app) as server: server.url`.

    Args:
        app: what is served.
        host: loopback, unless you know better: the simulator has no protection.
        port: 0 takes a free one.

    Raises:
        ConnectError: the port is taken, or may not be used. Raised at the start.
    """

    def __init__(self, app: SimulatorApp, host: str = "127.0.0.1", port: int = 0) -> None:
        self.app = app
        self._address = (host, port)
        self._server = _UvicornServer(
            uvicorn.Config(
                app,
                log_level="warning",
                log_config=None,
                lifespan="off",
                access_log=False,
                timeout_graceful_shutdown=2,
                ws="websockets-sansio",
                ws_max_size=64 * 1024 * 1024,
            )
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it is, once it is started: "http://127.0.0.1:PORT"."""
        return self.app.url

    async def __aenter__(self) -> Self:
        listener = listen(*self._address)
        self.app.url = f"http://{self._address[0]}:{listener.getsockname()[1]}"
        self._task = asyncio.ensure_future(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait([self._task])
