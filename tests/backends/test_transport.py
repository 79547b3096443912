"""What goes over the wire to the outer world, on real sockets: limits, endings, and what is said of them."""

import asyncio
import contextlib

import pytest

from rightseat.backends.base import UpstreamRequest
from rightseat.backends.compatible import CompatibleBackend
from rightseat.errors import ConnectError, ConnectionLostError, HttpTimeoutError, TransportError
from rightseat.transport.http import base
from rightseat.transport.http.aiohttp import AiohttpSender
from rightseat.transport.http.base import HttpRequest, Timeouts, fetch
from rightseat.transport.http.direct import DirectSender

CUT = "stream disconnected before completion"
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
BODY = b'{"data": "' + b"x" * 100 + b'"}'


class Server:
    """A server that sends what it is told and hears when its client leaves."""

    def __init__(self, answer: bytes = b"", *, hang: bool = False) -> None:
        self.answer, self.hang = answer, hang
        self.asked, self.left = asyncio.Event(), asyncio.Event()
        self.url = ""
        self.handling: list[asyncio.Task] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handling.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            self.asked.set()
            writer.write(self.answer)
            await writer.drain()
            while self.hang and await reader.read(1000):
                pass
        self.left.set()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(answer: bytes = b"", *, hang: bool = False):
    server = Server(answer, hang=hang)
    async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield server
        await asyncio.gather(*server.handling)


async def gone(server: Server) -> None:
    """The server has seen its client leave, within a second."""
    await asyncio.wait_for(server.left.wait(), 1.0)


@pytest.fixture(params=[AiohttpSender, DirectSender], ids=["aiohttp", "direct"])
def new_sender(request):
    """Either client."""
    return request.param


@pytest.mark.parametrize(
    "answer",
    [
        JSON_HEAD + b"content-length: 1000\r\n\r\n" + BODY,
        JSON_HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(BODY), BODY),
        JSON_HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s" % (len(BODY), BODY[:9]),
        JSON_HEAD + b"connection: close\r\n\r\n" + BODY[:50],
        b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n" + BODY[:-1],
    ],
    ids=["before its length", "without the last chunk", "within a chunk", "at the close", "at the close, HTTP/1.0"],
)
async def test_a_body_that_was_cut_is_an_error(new_sender, answer):
    async with serving(answer) as server, new_sender() as sender:
        reply = await CompatibleBackend(sender, server.url).relay(UpstreamRequest("/embeddings", b"{}", "m"))
        async with reply:
            with pytest.raises(ConnectionLostError) as caught:
                await reply.read()
        assert caught.value.public == CUT
        assert caught.value.reached


async def test_a_whole_body_that_ends_with_the_connection_is_taken(new_sender):
    async with serving(JSON_HEAD + b"connection: close\r\n\r\n" + BODY) as server, new_sender() as sender:
        reply = await CompatibleBackend(sender, server.url).relay(UpstreamRequest("/embeddings", b"{}", "m"))
        async with reply:
            assert await reply.read() == BODY


async def test_a_body_without_end_is_given_up(new_sender, monkeypatch):
    monkeypatch.setattr(base, "MAX_WHOLE_BYTES", 50)
    async with serving(JSON_HEAD + b"content-length: 112\r\n\r\n" + BODY) as server, new_sender() as sender:
        with pytest.raises(ConnectionLostError, match="larger than 50 bytes"):
            await fetch(sender, HttpRequest("GET", server.url))


async def test_it_is_said_whether_anything_was_sent(new_sender):
    said = []

    def request(url: str, **more) -> HttpRequest:
        return HttpRequest("POST", url, {}, b"{}", peer="Copilot", on_sent=lambda: said.append(url), **more)

    async with serving() as server, new_sender() as sender:
        closed = server.url
        with pytest.raises(ConnectionLostError) as lost:
            await sender.open(request(server.url))
        assert (lost.value.reached, lost.value.public, said) == (True, CUT, [server.url])
    said.clear()
    async with new_sender() as sender:
        with pytest.raises(ConnectError) as refused:
            await sender.open(request(closed))
        assert (refused.value.reached, refused.value.public, said) == (False, "could not reach Copilot", [])
        assert closed in str(refused.value)  # for the log
    async with serving(hang=True) as server, new_sender() as sender:
        with pytest.raises(HttpTimeoutError) as late:
            await sender.open(request(server.url, timeouts=Timeouts(head=0.5)))
        assert (late.value.reached, late.value.public) == (True, "Copilot did not answer in time")


async def test_a_whole_answer_has_a_limit_of_its_own(new_sender):
    """A head that comes at once does not make up for a body that never ends."""
    async with serving(JSON_HEAD + b"content-length: 1000\r\n\r\n" + BODY, hang=True) as server:
        async with new_sender() as sender:
            with pytest.raises(HttpTimeoutError):
                await fetch(sender, HttpRequest("GET", server.url, timeouts=Timeouts(whole=0.05)))
        await gone(server)


@pytest.mark.parametrize("state", ["before the head", "after the head", "between two pieces"])
async def test_whoever_leaves_closes_the_connection_within_a_second(new_sender, state):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    answer = {"before the head": b"", "after the head": head, "between two pieces": head + b"3\r\nx\n\n\r\n"}[state]
    async with serving(answer, hang=True) as server, new_sender() as sender:
        backend = CompatibleBackend(sender, server.url)
        asking = asyncio.ensure_future(backend.relay(UpstreamRequest("/chat/completions", b"{}", "m", stream=True)))
        await server.asked.wait()
        if state == "before the head":
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        else:
            reply = await asking
            if state == "between two pieces":
                assert await anext(aiter(reply)) == b"x\n\n"
            await reply.aclose()
            await reply.aclose()  # twice does no harm
        await gone(server)


async def test_an_answer_that_somebody_waits_for_can_be_closed_by_another(new_sender):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    async with serving(head, hang=True) as server, new_sender() as sender:
        reply = await CompatibleBackend(sender, server.url).relay(UpstreamRequest("/x", b"{}", "m", stream=True))
        waiting = asyncio.ensure_future(anext(aiter(reply)))
        await asyncio.sleep(0)
        await reply.aclose()
        await gone(server)
        with pytest.raises(ConnectionLostError):
            await asyncio.wait_for(waiting, 1)


async def test_a_stream_that_is_cut_breaks_in_our_words(new_sender):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n3\r\nx\n\n\r\n"
    async with serving(head) as server, new_sender() as sender:
        reply = await CompatibleBackend(sender, server.url).relay(UpstreamRequest("/x", b"{}", "m", stream=True))
        async with reply:
            with pytest.raises(TransportError) as caught:
                async for _ in reply:
                    pass
    assert (caught.value.public, caught.value.reached) == (CUT, True)
