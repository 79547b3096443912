"""What a client does with connections: kept ones that went stale, early answers, limits of time, whoever leaves at any point, TLS and proxies.

Both clients on real sockets. Where the aiohttp twin is known to differ, the test says so by name and by reason.
"""

import asyncio
import contextlib
import functools
import gzip
import socket
import struct
import zlib

import pytest
from tests.contract.http.certificates import authority
from tests.contract.http.clients import CLIENTS, OURS, Server, Taken, ask, saying, serving
from tests.contract.http.proxy import proxying
from tests.contract.http.response_cases import CHUNKED, COUNTED, OK

from rightseat.errors import ConnectError, ConnectionLostError, HttpTimeoutError, RightseatError
from rightseat.transport.http.base import Timeouts, fetch
from rightseat.transport.http.direct_stream import HIGH, READ_BYTES

every = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
ours = pytest.mark.parametrize("client", OURS, ids=lambda client: client.name)
SHORT = Timeouts(connect=10.0, head=0.2, silence=0.2)


def running(test):
    """The test is a coroutine that runs on the client's kind of loop."""

    @functools.wraps(test)
    def run(client, **more):
        client.run(asyncio.wait_for(test(client, **more), 60))

    return run


async def read(sender, url: str, method: str = "GET", **more) -> bytes:
    stream = await sender.open(ask(url, method, **more))
    try:
        return await stream.read()
    finally:
        await stream.aclose()


async def gone(server: Server) -> None:
    """The server has seen its client leave."""
    await asyncio.wait_for(server.left.wait(), 10)


# Kept connections.


def stale(answers: list[bytes]):
    """A script: the answers one after another, over all connections; behind the last one of a connection it closes without a word."""
    left = list(answers)

    async def script(head, reader, writer):
        answer = left.pop(0)
        writer.write(answer)
        return not answer or not answer.endswith(b"hello")

    return script


@every
@running
async def test_a_kept_connection_that_went_stale_is_no_error_where_a_request_may_be_sent_twice(client):
    said = []
    async with serving(stale([COUNTED, b"", COUNTED])) as server, client.sender() as sender:
        assert await read(sender, server.url) == b"hello"
        assert await read(sender, server.url, on_sent=lambda: said.append(1)) == b"hello"
        assert server.connections == 2
        assert len(server.requests) == 3
        assert said


@every
@running
async def test_what_may_not_be_sent_twice_is_sent_once(client):
    async with serving(stale([COUNTED, b"", COUNTED])) as server, client.sender() as sender:
        assert await read(sender, server.url) == b"hello"
        with pytest.raises(ConnectionLostError) as lost:
            await read(sender, server.url, "POST", body=b"{}")
        assert lost.value.reached
        assert len(server.requests) == 2


@ours
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"H"], ids=["nothing", "1xx", "a byte"])
@running
async def test_a_new_connection_that_breaks_is_an_error_and_no_second_try(client, before):
    """aiohttp tries once more whatever may be sent twice, over new connections too."""
    async with serving(stale([before])) as server, client.sender() as sender:
        with pytest.raises(ConnectionLostError):
            await read(sender, server.url)
        assert len(server.requests) == 1


@ours
@running
async def test_a_kept_connection_that_breaks_after_a_byte_is_an_error(client):
    async with serving(stale([COUNTED, b"HTTP/1.1 2"])) as server, client.sender() as sender:
        assert await read(sender, server.url) == b"hello"
        with pytest.raises(ConnectionLostError):
            await read(sender, server.url)
        assert len(server.requests) == 2


@ours
@running
async def test_connections_that_the_server_closed_are_not_used(client):
    """All of them at once; a request that may not be sent twice gets a new one. aiohttp learns of it a turn of the loop later."""
    both = asyncio.Barrier(2)

    async def script(head, reader, writer):
        if b"/together" in head:
            await both.wait()
        writer.write(COUNTED)

    async with serving(script) as server, client.sender() as sender:
        await asyncio.gather(read(sender, server.url + "/together"), read(sender, server.url + "/together"))
        assert server.connections == 2
        for writer in server.writers:
            writer.close()
            await writer.wait_closed()
        assert await read(sender, server.url, "POST", body=b"{}") == b"hello"
        assert server.connections == 3


@ours
@pytest.mark.parametrize(
    "junk", [b"x", b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"], ids=["a byte", "408"]
)
@running
async def test_bytes_on_a_connection_that_waits_close_it_quietly(client, junk):
    async with serving(saying(COUNTED)) as server, client.sender() as sender:
        assert await read(sender, server.url) == b"hello"
        server.writers[0].write(junk)
        await server.writers[0].drain()
        assert await read(sender, server.url, "POST", body=b"{}") == b"hello"
        assert server.connections == 2
        await gone(server)


# Early answers.


@every
@running
async def test_an_answer_before_the_request_is_out_is_delivered_and_the_connection_ends(client):
    refused = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"
    async with serving(saying(refused)) as server, client.sender() as sender:
        stream = await sender.open(ask(server.url, "POST", body=b"x" * 20_000_000))
        assert (stream.status, await stream.read()) == (413, b"big")
        await stream.aclose()
        with contextlib.suppress(ConnectionError):
            assert await read(sender, server.url) == b"big"
        assert server.connections == 2


@every
@running
async def test_an_answer_that_came_before_our_write_failed_is_delivered(client):
    async def script(head, reader, writer):
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await writer.drain()
        reset = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        return True

    async with serving(script) as server, client.sender() as sender:
        try:
            stream = await sender.open(ask(server.url, "POST", body=b"x" * 300_000))
        except ConnectionLostError as e:
            assert e.reached  # the reset overtook the answer
        else:
            assert stream.status == 413
            await stream.aclose()


# Time.


@every
@pytest.mark.parametrize("piece", [b"", b"HTTP/1.1 200 OK\r\nX: "], ids=["nothing", "half a head"])
@running
async def test_a_head_that_does_not_come_in_time(client, piece):
    async with serving(saying(piece)) as server, client.sender() as sender:
        with pytest.raises(HttpTimeoutError) as late:
            await sender.open(ask(server.url, timeouts=SHORT))
        assert (late.value.reached, late.value.public) == (True, "Copilot did not answer in time")
        await gone(server)


@ours
@running
async def test_a_head_that_drips_does_not_come_in_time(client):
    async def script(head, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not writer.is_closing():
            writer.write(b"y")
            await writer.drain()
            await asyncio.sleep(0)

    async with serving(script) as server, client.sender() as sender:
        with pytest.raises((HttpTimeoutError, ConnectionLostError)):
            await sender.open(ask(server.url, timeouts=SHORT))


@every
@pytest.mark.parametrize("pushed", [False, True], ids=["pulled", "pushed"])
@running
async def test_silence_within_an_answer(client, pushed):
    async with serving(saying(CHUNKED + b"5\r\nhello\r\n")) as server, client.sender() as sender:
        stream = await sender.open(ask(server.url, timeouts=Timeouts(silence=0.2)))
        with pytest.raises(HttpTimeoutError) as late:
            if pushed:
                taken = Taken()
                stream.into(taken)
                await taken.ended
            else:
                await stream.read()
        assert late.value.reached
        await stream.aclose()
        await gone(server)


@ours
@running
async def test_the_time_in_which_we_do_not_listen_is_no_silence(client):
    size = 20_000_000  # more than the kernel holds

    async with (
        serving(saying(OK + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)) as server,
        client.sender() as sender,
    ):
        stream = await sender.open(ask(server.url, timeouts=Timeouts(silence=0.1)))
        taken = Taken()
        stream.into(taken)
        stream.pause()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(taken.ended), 0.4)
        assert len(taken.body) < size
        stream.resume()
        await taken.ended
        assert len(taken.body) == size
        await stream.aclose()


@every
@running
async def test_no_connection_in_time(client):
    with socket.socket() as full:  # its queue is, so nobody is let in
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(full.getsockname())
            async with client.sender() as sender:
                with pytest.raises(HttpTimeoutError) as late:
                    await sender.open(
                        ask(f"http://127.0.0.1:{full.getsockname()[1]}", timeouts=Timeouts(connect=0.2, head=20.0))
                    )
        finally:
            for each in waiting:
                each.close()
    assert (late.value.reached, late.value.public) == (False, "could not reach Copilot")


# Flow.


@every
@running
async def test_a_sink_gets_all_of_an_answer_and_its_end(client):
    body = b"".join(b"data: %d\n\n" % n for n in range(20_000))
    async with (
        serving(saying(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)) as server,
        client.sender() as sender,
    ):
        stream = await sender.open(ask(server.url))
        taken = Taken()
        stream.into(taken)
        stream.pause()
        stream.pause()
        stream.resume()
        stream.resume()
        await taken.ended
        assert (taken.body, taken.ends) == (body, 1)
        assert max(map(len, taken.pieces)) <= 64 * 1024 or not client.ours
        await stream.aclose()
        assert await read(sender, server.url) == body
        assert server.connections == 1


@every
@running
async def test_a_sink_that_pauses_at_each_piece(client):
    body = b"x" * 300_000

    class Full(Taken):
        def write(self, data):
            super().write(data)
            stream.pause()
            asyncio.get_running_loop().call_soon(stream.resume)

    async with (
        serving(saying(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)) as server,
        client.sender() as sender,
    ):
        stream = await sender.open(ask(server.url))
        taken = Full()
        stream.into(taken)
        await taken.ended
        assert taken.body == body
        await stream.aclose()


@every
@running
async def test_what_a_sink_raises_ends_the_answer(client):
    class Broken(Taken):
        def write(self, data):
            raise ValueError("no more")

    async with serving(saying(CHUNKED + b"5\r\nhello\r\n")) as server, client.sender() as sender:
        stream = await sender.open(ask(server.url))
        taken = Broken()
        stream.into(taken)
        with pytest.raises(ValueError, match="no more"):
            await taken.ended
        await stream.aclose()
        await gone(server)


@ours
@pytest.mark.parametrize("pushed", [False, True], ids=["pulled", "pushed"])
@running
async def test_what_nobody_takes_is_held_within_bounds(client, pushed):
    """A whole answer is on its way, and the reader does not read: 64 KiB are held, the rest stays with the kernel and the server."""
    size = 20_000_000
    async with (
        serving(saying(OK + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)) as server,
        client.sender() as sender,
    ):
        stream = await sender.open(ask(server.url))
        taken = Taken()
        if pushed:
            stream.into(taken)
            stream.pause()
        most = 0
        for _ in range(200):
            await asyncio.sleep(0)
            most = max(most, stream.held)
        assert most <= HIGH + READ_BYTES <= 64 * 1024
        assert server.writers[0].transport.get_write_buffer_size() > 1_000_000
        await stream.aclose()


@ours
@running
async def test_what_is_said_within_a_callback_counts(client):
    """Whoever closes the answer in the call that brings it gets no further call, of what came in the same read neither."""

    class Once(Taken):
        def write(self, data):
            super().write(data)
            closing.append(asyncio.ensure_future(stream.aclose()))
            stream.drop()

    closing = []
    async with serving(saying(CHUNKED + b"5\r\nhello\r\n5\r\nworld\r\n")) as server, client.sender() as sender:
        stream = await sender.open(ask(server.url))
        taken = Once()
        stream.into(taken)
        await gone(server)
        await asyncio.gather(*closing)
        assert len(taken.pieces) == 1
        assert not taken.ended.done()


# Whoever leaves.


async def hanging(head, reader, writer):
    """A script: never a word."""


@every
@pytest.mark.parametrize("point", ["a name", "a connection", "TLS", "a tunnel", "a head", "a body"])
@running
async def test_whoever_leaves_while_waiting_leaves_nothing_behind(client, point, monkeypatch_proxy):
    """Its place is given back, its connection ends."""
    if client.name == "aiohttp" and point == "a name":
        pytest.skip("aiohttp looks names up its own way")
    async with contextlib.AsyncExitStack() as stack:
        script = saying(CHUNKED) if point == "a body" else hanging
        server = await stack.enter_async_context(serving(script))
        good = await stack.enter_async_context(serving(saying(COUNTED)))
        url = server.url
        if point == "a name":
            never = asyncio.get_running_loop().create_future()

            async def look_up(*args, **more):
                return await never

            if client.loop is asyncio.new_event_loop:
                asyncio.get_running_loop().getaddrinfo = look_up
            else:
                return  # uvloop's cannot be replaced
            url = "http://somewhere.test/"
        elif point == "a connection":
            full = stack.enter_context(socket.socket())
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for _ in range(4):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(full.getsockname())
            url = f"http://127.0.0.1:{full.getsockname()[1]}"
        elif point == "TLS":
            url = server.url.replace("http:", "https:")
        elif point == "a tunnel":
            proxy = await stack.enter_async_context(proxying())
            proxy.answer = b""
            monkeypatch_proxy(proxy.url)
            url = "https://somewhere.test/"
        sender = await stack.enter_async_context(client.sender(limit=1))
        before = len(asyncio.all_tasks())
        asking = asyncio.ensure_future(read(sender, url))
        if point in {"a head", "a body"}:
            await server.asked.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        monkeypatch_proxy("")
        if point == "a name":
            del asyncio.get_running_loop().getaddrinfo
        else:
            assert await asyncio.wait_for(read(sender, good.url), 20) == b"hello"
        if point in {"a head", "a body"}:
            await gone(server)
        assert len(asyncio.all_tasks()) <= before + 3


@pytest.fixture
def monkeypatch_proxy(monkeypatch):
    for name in (
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
    ):
        monkeypatch.delenv(name, raising=False)

    def use(url: str, name: str = "HTTPS_PROXY") -> None:
        monkeypatch.setenv(name, url)

    return use


@ours
@running
async def test_whoever_waits_for_a_place_gets_it_in_order_and_leaves_none_empty(client):
    order = []
    go = asyncio.Event()

    async def script(head, reader, writer):
        order.append(head.split(b" ")[1])
        await go.wait()
        writer.write(COUNTED)

    async with serving(script) as server, client.sender(limit=2) as sender:
        asking = [asyncio.ensure_future(read(sender, f"{server.url}/{n}")) for n in range(10)]
        while len(order) < 2:
            await asyncio.sleep(0)
        asking[4].cancel()
        go.set()
        done = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(each) for each in done].count(asyncio.CancelledError) == 1
        assert [int(path[1:]) for path in order] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
        assert server.connections == 2


@every
@running
async def test_whoever_leaves_as_the_answer_comes_harms_nobody(client):
    """The head and all of the body are there, and the asker is cancelled before it runs: the next one gets its own answer."""
    async with serving(saying(COUNTED)) as server, client.sender() as sender:
        for turns in range(12):
            asking = asyncio.ensure_future(read(sender, f"{server.url}/left"))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
            assert await read(sender, f"{server.url}/next") == b"hello"


@every
@running
async def test_the_client_is_closed_while_it_is_used(client):
    async with serving(saying(CHUNKED + b"5\r\nhello\r\n")) as server:
        sender = client.sender()
        async with sender:
            stream = await sender.open(ask(server.url))
        with pytest.raises(ConnectionLostError):
            await stream.read()
        await stream.aclose()
        await gone(server)


# Codings that nobody asked for.

PLAIN = b"data: hello\n\n" * 10_000


@every
@pytest.mark.parametrize("pushed", [False, True], ids=["pulled", "pushed"])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate"])
@running
async def test_a_compressed_answer_is_read_all_the_same(client, coding, pushed):
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(PLAIN),
        "deflate": zlib.compress(PLAIN),
        "raw deflate": raw.compress(PLAIN) + raw.flush(),
    }[coding]
    name = coding.split()[-1].encode()
    answer = OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (name, len(packed), packed)
    async with serving(saying(answer)) as server, client.sender() as sender:
        for _ in range(2):
            stream = await sender.open(ask(server.url))
            taken = Taken()
            if pushed:
                stream.into(taken)
                await taken.ended
            assert (taken.body if pushed else await stream.read()) == PLAIN
            await stream.aclose()
        assert server.connections == 1
        if client.ours:
            assert b"\r\naccept-encoding: identity\r\n" in server.requests[0][1]


@ours
@pytest.mark.parametrize("wrong", ["cut", "broken", "unknown", "junk"])
@running
async def test_a_compressed_answer_that_is_none_is_an_error(client, wrong):
    packed = gzip.compress(PLAIN)
    packed = {"cut": packed[:-9], "broken": packed[:50] + b"\xff" * 50, "unknown": b"x", "junk": packed + b"junk"}[
        wrong
    ]
    name = b"br" if wrong == "unknown" else b"gzip"
    answer = OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (name, len(packed), packed)
    async with serving(saying(answer)) as server, client.sender() as sender:
        with pytest.raises(ConnectionLostError) as lost:
            await read(sender, server.url)
        assert lost.value.reached


@ours
@running
async def test_an_answer_that_swells_is_given_piece_by_piece(client):
    packed = gzip.compress(bytes(5_000_000))
    answer = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(packed), packed)

    class Some(Taken):
        def write(self, data):
            self.pieces.append(bytes(1))
            assert len(data) <= READ_BYTES
            if len(self.pieces) == 20:
                stream.pause()

    async with serving(saying(answer)) as server, client.sender() as sender:
        stream = await sender.open(ask(server.url))
        taken = Some()
        stream.into(taken)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(taken.pieces) == 20
        assert stream.held <= 64 * 1024
        stream.resume()
        await taken.ended
        await stream.aclose()


@every
@running
async def test_an_answer_without_end_is_given_up(client, monkeypatch_limit):
    async def script(head, reader, writer):
        writer.write(OK + b"Content-Length: 1000000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"x" * 100_000)
                await writer.drain()
        return True

    async with serving(script) as server, client.sender() as sender:
        with pytest.raises(ConnectionLostError, match="larger than 1000000 bytes"):
            await fetch(sender, ask(server.url))


@pytest.fixture
def monkeypatch_limit(monkeypatch):
    monkeypatch.setattr("rightseat.transport.http.base.MAX_WHOLE_BYTES", 1_000_000)


# What we send.


@every
@running
async def test_a_request_as_it_arrives(client):
    bodies = []

    async def script(head, reader, writer):
        size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        bodies.append(await reader.readexactly(size))
        writer.write(COUNTED)

    async with serving(script) as server, client.sender() as sender:
        for body in (b"{}", b"x" * 1_000_000):
            headers = (
                {"authorization": "Bearer x", "x-latin": "caf\xe9"} if client.ours else {"authorization": "Bearer x"}
            )
            assert await read(sender, f"{server.url}/a%20b?c=d", "POST", headers=headers, body=body) == b"hello"
        assert bodies == [b"{}", b"x" * 1_000_000]
        lines = server.requests[0][1].split(b"\r\n")
        assert lines[0] == b"POST /a%20b?c=d HTTP/1.1"
        fields = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in lines[1:] if line}
        assert fields[b"host"] == server.url.removeprefix("http://").encode()
        assert fields[b"authorization"] == b"Bearer x"
        assert b"user-agent" not in fields
        assert not client.ours or fields[b"x-latin"] == b"caf\xe9"


@every
@pytest.mark.parametrize(
    "headers", [{"x": "a\r\nevil: b"}, {"x": "a\nb"}, {"x\r\ny": "z"}], ids=["CRLF", "LF", "CRLF in a name"]
)
@running
async def test_no_field_begins_another(client, headers):
    async with serving(saying(COUNTED)) as server, client.sender() as sender:
        with pytest.raises((RightseatError, ValueError)):
            await read(sender, server.url, headers=headers)
        assert server.requests == []


@ours
@pytest.mark.parametrize(
    "headers",
    [{"x": "a\0b"}, {"x": "a\x7f"}, {"x": "\u20ac"}, {"x y": "z"}, {"": "z"}, {"content-length": "5"}, {"host": "evil"},
     {"transfer-encoding": "chunked"}, {"connection": "close"}],
    ids=str,
)  # fmt: skip
@running
async def test_a_field_that_cannot_be_sent_is_named(client, headers):
    async with serving(saying(COUNTED)) as server, client.sender() as sender:
        with pytest.raises(ConnectError, match="header") as refused:
            await read(sender, server.url, headers=headers)
        assert not refused.value.reached
        assert server.requests == []


@ours
@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1/", "http:///x", "http://user:secret@127.0.0.1/", "http://127.0.0.1/a b", "http://127.0.0.1:x/"],
)
@running
async def test_an_address_that_is_none(client, url):
    async with client.sender() as sender:
        with pytest.raises(ConnectError) as refused:
            await read(sender, url)
        assert not refused.value.reached
        assert refused.value.public == "could not reach Copilot"


@every
@running
async def test_redirects_are_handed_up(client):
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n\r\n"
    async with serving(saying(moved)) as server, client.sender() as sender:
        stream = await sender.open(ask(server.url))
        assert (stream.status, stream.headers["location"]) == (302, "http://127.0.0.1:1/")
        assert stream.headers.get("content-type") == "a/b"
        await stream.aclose()


# TLS.


@every
@running
async def test_over_tls(client):
    context = authority().server()
    names = []
    context.sni_callback = lambda _, name, __: names.append(name)
    async with serving(saying(COUNTED), tls=context) as server, client.sender(trust=authority().file) as sender:
        assert await read(sender, server.url) == b"hello"
        assert names[0] == "localhost"


@ours
@running
async def test_a_session_of_tls_is_used_again(client):
    answer = OK + b"Content-Length: 5\r\n\r\nhello"
    again = []

    async def script(head, reader, writer):
        again.append(writer.get_extra_info("ssl_object").session_reused)
        writer.write(answer)
        return b"/last" in head

    async with serving(script, tls=authority().server()) as server, client.sender(trust=authority().file) as sender:
        assert await read(sender, server.url) == b"hello"
        assert await read(sender, server.url + "/last") == b"hello"
        assert await read(sender, server.url, "POST") == b"hello"
        assert (server.connections, again) == (2, [False, False, True])


@every
@pytest.mark.parametrize("wrong", ["nobody signed it", "another name", "no TLS"])
@running
async def test_a_server_that_is_not_who_it_should_be(client, wrong):
    if wrong == "no TLS":

        async def plain(reader, writer):
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            await reader.read()
            writer.close()

        asked = []
        listening = await asyncio.start_server(plain, "127.0.0.1", 0)
    else:
        server = Server(saying(COUNTED))
        asked = server.requests
        context = authority().server("elsewhere.test" if wrong == "another name" else "localhost")
        listening = await asyncio.start_server(server, "127.0.0.1", 0, ssl=context)
    url = f"https://localhost:{listening.sockets[0].getsockname()[1]}"
    async with listening, client.sender(trust="" if wrong == "nobody signed it" else authority().file) as sender:
        with pytest.raises(ConnectError) as refused:
            await read(sender, url)
        assert (refused.value.reached, refused.value.public) == (False, "could not reach Copilot")
        assert asked == []


@ours
@pytest.mark.parametrize("polite", [True, False], ids=["close_notify", "without"])
@running
async def test_an_end_over_tls_must_be_told(client, polite):
    """aiohttp takes any end."""

    async def script(head, reader, writer):
        writer.write(OK + b"\r\nhello")
        await writer.drain()
        if not polite:
            writer.transport.abort()
        return True

    async with serving(script, tls=authority().server()) as server, client.sender(trust=authority().file) as sender:
        if polite:
            assert await read(sender, server.url) == b"hello"
        else:
            with pytest.raises(ConnectionLostError):
                await read(sender, server.url)


# Proxies.


@every
@pytest.mark.parametrize("proxy_tls", [False, True], ids=["plain", "over TLS"])
@running
async def test_through_a_tunnel(client, proxy_tls, monkeypatch_proxy):
    context = authority().server() if proxy_tls else None
    async with (
        serving(saying(COUNTED), tls=authority().server("upstream.test")) as server,
        proxying(tls=context) as proxy,
    ):
        port = server.url.rpartition(":")[2]
        monkeypatch_proxy(proxy.url.replace("://", "://me:pass%20word@"))
        async with client.sender(trust=authority().file) as sender:
            for _ in range(2):
                assert (
                    await read(sender, f"https://upstream.test:{port}/x", headers={"authorization": "Bearer x"})
                    == b"hello"
                )
        assert len(proxy.heads) == 1
        asked = proxy.heads[0].lower()
        assert asked.startswith(f"connect upstream.test:{port} http/1.1\r\n".encode())
        assert b"proxy-authorization: basic bwu6cgfzcyb3b3jk\r\n" in asked
        assert b"bearer" not in asked
        assert b"proxy-authorization" not in server.requests[0][1].lower()


@every
@running
async def test_plainly_through_a_proxy(client, monkeypatch_proxy):
    async with proxying() as proxy:
        monkeypatch_proxy(proxy.url.replace("://", "://me:word@"), "http_proxy")
        async with client.sender() as sender:
            assert await read(sender, "http://upstream.test:81/x?y") == b"proxy"
        assert proxy.heads[0].startswith(b"GET http://upstream.test:81/x?y HTTP/1.1\r\n")
        assert b"proxy-authorization: basic bwu6d29yza==\r\n" in proxy.heads[0].lower()


@every
@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nbytes", b"SSH-2.0\r\n\r\n",
     b"HTTP/1.1 2 x\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000],
    ids=["407", "bytes behind", "no proxy", "no status", "a head without end"],
)  # fmt: skip
@running
async def test_a_proxy_that_opens_no_tunnel(client, answer, monkeypatch_proxy):
    if not client.ours and (b"bytes" in answer or b"X: y" in answer):
        pytest.skip("aiohttp goes on with TLS, or reads on")
    async with proxying() as proxy:
        proxy.answer = answer
        monkeypatch_proxy(proxy.url.replace("://", "://me:secret@"))
        async with client.sender() as sender:
            with pytest.raises((ConnectError, ConnectionLostError)) as refused:
                await read(sender, "https://upstream.test/")
        assert not refused.value.reached
        assert "secret" not in str(refused.value)
        assert not client.ours or isinstance(refused.value, ConnectError)


@every
@pytest.mark.parametrize("url", ["socks5://127.0.0.1:1", "http://:1", "http://x:port"])
@running
async def test_a_variable_that_names_no_proxy(client, url, monkeypatch_proxy):
    monkeypatch_proxy(url)
    async with client.sender() as sender:
        with pytest.raises(ConnectError, match="the proxy in the environment"):
            await read(sender, "https://upstream.test/")


@every
@running
async def test_this_machine_and_what_is_excepted_are_asked_directly(client, monkeypatch_proxy):
    async with serving(saying(COUNTED)) as server, proxying() as proxy:
        monkeypatch_proxy(proxy.url, "http_proxy")
        async with client.sender() as sender:
            assert await read(sender, server.url) == b"hello"
        assert proxy.heads == []
