"""Two event loops of one process, in two threads as a program may have them, never read into the same memory: what one client sends would reach another."""

import asyncio

import pytest
from tests.contract.http.clients import ask, saying, serving
from tests.contract.http.test_requests import Both
from tests.gateway.edge import SERVERS

from rightseat.gateway.http.limits import MemoryBudget
from rightseat.gateway.http.live import Live
from rightseat.gateway.http.server_options import ServerOptions, Shared
from rightseat.transport.http.aiohttp import AiohttpSender
from rightseat.transport.http.direct import DirectSender
from rightseat.transport.listen import listen

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Watched(asyncio.SelectorEventLoop):
    """A loop that knows the connections which say what they are read into."""

    def __init__(self):
        super().__init__()
        self.connections = []

    def _make_socket_transport(self, sock, protocol, *args, **options):
        if isinstance(protocol, asyncio.BufferedProtocol):
            self.connections.append(protocol)
        return super()._make_socket_transport(sock, protocol, *args, **options)

    @property
    def memory(self):
        return {id(each.get_buffer(-1).obj) for each in self.connections}


async def one_request(kind):
    """A request that is served by a server of the gateway, or sent by a client of its."""
    if kind in SERVERS:
        listener, stop, ready = listen("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
        shared = Shared(ServerOptions(drain_seconds=0.1), Live(), MemoryBudget(1000))
        running = asyncio.ensure_future(SERVERS[kind](Both(), listener, shared, stop=stop, on_ready=ready.set))
        await ready.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await reader.readuntil(b"{}")
        writer.close()
        stop.set()
        await running
        return
    async with serving(saying(ANSWER)) as server, kind() as sender:
        assert await (await sender.open(ask(server.url))).read() == b"ok"


@pytest.mark.parametrize("kind", [*SERVERS, DirectSender, AiohttpSender], ids=str)
def test_two_loops_read_into_memory_of_their_own(kind):
    loops = [Watched(), Watched()]
    for loop in loops:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:  # noqa: B023 - used at once
            runner.run(one_request(kind))
    mine, others = (loop.memory for loop in loops)
    assert mine
    assert others
    assert mine.isdisjoint(others)
