"""The two clients on the event loops they run on, and a server that sends what it is told, for tests of what all of them must do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

import uvloop

from rightseat.transport.http.aiohttp import AiohttpSender
from rightseat.transport.http.base import HttpRequest, Timeouts
from rightseat.transport.http.direct import DirectSender

Script = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool | None]]
LIMITS = Timeouts(connect=10.0, head=30.0, silence=30.0)


class Client(NamedTuple):
    """One of them. `run` runs a coroutine on its kind of loop."""

    name: str
    sender: Callable[..., Any]
    loop: Callable[[], asyncio.AbstractEventLoop]

    @property
    def ours(self) -> bool:
        return self.sender is DirectSender

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=self.loop) as runner:
            return runner.run(work)


CLIENTS = [
    Client("direct", DirectSender, asyncio.new_event_loop),
    Client("direct on uvloop", DirectSender, uvloop.new_event_loop),
    Client("aiohttp", AiohttpSender, asyncio.new_event_loop),
]
OURS = [client for client in CLIENTS if client.ours]


class Server:
    """Reads heads of requests, and calls the script with each.

    Attributes:
        url: where it is.
        connections: how many there were.
        requests: the heads, each with the number of its connection.
        left: set when a client has closed a connection.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.url = ""
        self.connections = 0
        self.requests: list[tuple[int, bytes]] = []
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.handling: list[asyncio.Task[Any]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.handling.append(task)
        self.connections += 1
        number = self.connections
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while True:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except (asyncio.IncompleteReadError, ConnectionError):
                    self.left.set()
                    break
                self.requests.append((number, head))
                self.asked.set()
                if await self.script(head, reader, writer):
                    break
        writer.close()
        with contextlib.suppress(Exception):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(script: Script, *, tls: Any = None) -> AsyncIterator[Server]:
    """A server on loopback."""
    server = Server(script)
    async with await asyncio.start_server(server, "127.0.0.1", 0, ssl=tls) as listening:
        port = listening.sockets[0].getsockname()[1]
        server.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        try:
            yield server
        finally:
            for writer in server.writers:
                writer.transport.abort()
            for task in server.handling:
                task.cancel()
            await asyncio.gather(*server.handling, return_exceptions=True)


def ask(url: str, method: str = "GET", **more: Any) -> HttpRequest:
    """A request with limits that no machine reaches."""
    return HttpRequest(
        method, url, more.pop("headers", {}), timeouts=more.pop("timeouts", LIMITS), peer="Copilot", **more
    )


def saying(answer: bytes, *, ends: bool = False) -> Script:
    """A script: the same to every request."""

    async def script(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer)
        await writer.drain()
        return ends

    return script


class Taken:
    """A sink that notes what it gets."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ends = 0

    def write(self, data: bytes) -> None:
        assert data
        assert not self.ended.done()
        self.pieces.append(data)

    def end(self, error: Exception | None) -> None:
        self.ends += 1
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)
