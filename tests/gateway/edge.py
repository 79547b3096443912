"""The edge of a gateway with somebody else behind it: sockets and the server as they are, and a small function that answers."""

import asyncio
import contextlib
import json

from rightseat.clock import SYSTEM_CLOCK
from rightseat.errors import RightseatError
from rightseat.gateway.access.authenticate import ClientKeyError
from rightseat.gateway.endpoints.multiplex import Multiplex
from rightseat.gateway.endpoints.responses_socket import ResponsesSocket
from rightseat.gateway.endpoints.sockets import SocketLimits, Sockets
from rightseat.gateway.http.asgi import AsgiExchange, head_of
from rightseat.gateway.http.core.serving import serve as core_serve
from rightseat.gateway.http.exchange import ClientGoneError
from rightseat.gateway.http.held import BodyLimits
from rightseat.gateway.http.limits import MemoryBudget
from rightseat.gateway.http.live import Live
from rightseat.gateway.http.server import serve as uvicorn_serve
from rightseat.gateway.http.server_options import ServerOptions, Shared
from rightseat.gateway.http.websocket import AsgiSocket
from rightseat.transport.listen import listen
from rightseat.wire.dialects import CHAT
from rightseat.wire.errors import status_of

MIB = 1024 * 1024
SERVERS = {"core": core_serve, "uvicorn": uvicorn_serve}


class Caller:
    def __init__(self, key):
        self.id = key


class Doors:
    """Keys that can end. Without any, everybody may come in."""

    def __init__(self, *keys):
        self.keys = set(keys)

    async def authenticate(self, headers, address, scope):
        key = headers.get("x-api-key", "")
        if self.keys and key not in self.keys:
            raise ClientKeyError("the key is wrong")
        return Caller(key if self.keys else "")

    def still(self, caller):
        if caller.id and caller.id not in self.keys:
            raise ClientKeyError("this key is revoked")
        return caller


class Edge:
    """What a gateway has at its edge.

    `answer(exchange)` answers a request, in the scope of the exchange; what it raises is told as the router does.
    """

    clock = SYSTEM_CLOCK
    server = "uvicorn"  # see `SERVERS`

    def __init__(self, answer, *, doors=None, memory=32 * MIB, each=16 * MIB, body_limit=64 * MIB, places=20):
        self.answer = answer
        self.doors = doors or Doors()
        self.live = Live()
        self.memory = MemoryBudget(memory, each)
        self.bodies = MemoryBudget(128 * MIB, 64 * MIB)
        self.body_limits = BodyLimits(self.bodies, body_limit, 10.0)
        self.seen = []
        self.sockets = Sockets(
            self.serve,
            self.doors,
            lambda caller, scope: None,
            self.live,
            memory=self.memory,
            body_memory=self.bodies,
            limits=lambda: SocketLimits(body_limit, places),
            count=self.count,
            opened=lambda exchange, caller: None,
        )
        self.multiplex = Multiplex(self.sockets)
        self.responses = ResponsesSocket(self.sockets)

    async def count(self, caller):
        """Anything counts for nothing."""

    async def serve(self, exchange, caller=None):
        """As the router does it."""
        try:
            self.live.enter(exchange, caller)
            await exchange.run(lambda: self.let_in(exchange, caller))
            self.seen.append((exchange.head.path, exchange.status))
        except ClientGoneError:
            self.seen.append((exchange.head.path, 499))
        except RightseatError as e:
            self.seen.append((exchange.head.path, status_of(e)))
            if exchange.streaming:
                await exchange.fail(b"event: error\ndata: " + CHAT.error_body(e, "") + b"\n\n")
            elif exchange.status is None:
                await exchange.respond(status_of(e), CHAT.error_body(e, ""))
            else:
                exchange.abort()
        finally:
            self.live.leave(exchange)

    async def let_in(self, exchange, caller):
        if caller is None:
            caller = await self.doors.authenticate(exchange.head.headers, exchange.head.address, "chat")
            self.live.known(exchange, caller)
            exchange.owner = caller.id
        await self.answer(exchange)

    def refused(self, head, error):
        self.seen.append((head.path, status_of(error)))
        return CHAT.error_body(error, ""), []

    def request_id(self, given):
        return given or "request-1"

    async def converse(self, socket):
        await (self.responses if socket.head.path == "/v1/responses" else self.multiplex)(socket)

    async def __call__(self, scope, receive, send):
        """ASGI 3."""
        if scope["type"] == "websocket":
            await self.converse(AsgiSocket(scope, receive, send))
            return
        exchange = AsgiExchange(head_of(scope), "request-1", receive, send, self.body_limits)
        try:
            await self.serve(exchange)
        finally:
            exchange.close()

    @contextlib.asynccontextmanager
    async def running(self, **options):
        """On a real port: gives the address."""
        listener = listen("127.0.0.1", 0)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.shared = Shared(ServerOptions(**{"drain_seconds": 1.0, **options}), self.live, self.memory)
        self.stop, ready = asyncio.Event(), asyncio.Event()
        self.reloads = 0

        async def reload():
            self.reloads += 1

        self.serving = asyncio.ensure_future(
            SERVERS[self.server](self, listener, self.shared, stop=self.stop, on_ready=ready.set, reload=reload)
        )
        watching = asyncio.ensure_future(self.live.watch(self.doors.still))
        await ready.wait()
        try:
            yield address
        finally:
            self.stop.set()
            await self.serving
            watching.cancel()
            await self.multiplex.close()


def event(text):
    return b"data: " + json.dumps(text).encode() + b"\n\n"


async def echo(exchange):
    """Streams what the body wants: {"events": n, "size": bytes, "pause": seconds}, or answers whole: {"whole": bytes}."""
    asked = json.loads(await exchange.body() or b"{}")
    await asyncio.sleep(asked.get("delay", 0))
    if "whole" in asked:
        await exchange.respond(200, json.dumps("w" * asked["whole"]).encode())
        return
    async with exchange.stream([]) as write:
        for i in range(asked.get("events", 3)):
            await write(event(str(i) + "x" * asked.get("size", 0)))
            await asyncio.sleep(asked.get("pause", 0))
        if asked.get("fails"):
            raise RightseatError("upstream has failed")
