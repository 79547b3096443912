"""The gateway's edge on real sockets: who asks is decided by the head, everything held is bounded, and what ends is told."""

import asyncio
import contextlib
import gzip
import json
import os
import signal
import struct
from urllib.parse import urlsplit

import aiohttp
import pytest
from tests.gateway.edge import MIB, SERVERS, Doors, Edge, echo

from rightseat.gateway.http.websocket import HELLO_LIMIT

KEY = "key-a"
POST = b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\n"


@pytest.fixture(autouse=True, params=SERVERS)
def server(request, monkeypatch):
    """Each promise is kept by both servers."""
    monkeypatch.setattr(Edge, "server", request.param)
    return request.param


once = pytest.mark.parametrize("server", ["core"], indirect=True)  # for what takes long and has little to do with HTTP


async def connect(url):
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def until(condition, seconds=5):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_request_without_a_key_is_refused_before_its_body():
    edge = Edge(echo, doors=Doors(KEY))
    async with edge.running() as url:
        reader, writer = await connect(url)
        writer.write(POST + b"content-length: 50000000\r\n\r\n" + b"x" * 1000)
        async with asyncio.timeout(5):
            said = await reader.read()  # and the connection ends
        assert b" 401 " in said.split(b"\r\n")[0]
        assert b"connection: close" in said
        assert edge.bodies.used == 0
        writer.close()


async def test_a_refused_client_that_still_sends_reads_why():
    edge = Edge(echo, doors=Doors(KEY))
    async with edge.running() as url:
        reader, writer = await connect(url)
        writer.write(POST + b"content-length: 20000000\r\n\r\n")
        for _ in range(300):
            writer.write(b"x" * 65536)
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert b"401" in await reader.read()
        writer.close()


async def test_a_body_is_not_read_before_somebody_wants_it():
    asked, go = asyncio.Event(), asyncio.Event()

    async def later(exchange):
        asked.set()
        await go.wait()
        await exchange.respond(200, str(len(await exchange.body())).encode())

    edge = Edge(later)
    async with edge.running() as url:
        reader, writer = await connect(url)
        writer.write(POST + b"content-length: 30000000\r\n\r\n")
        writer.write(b"x" * 30_000_000)
        await asked.wait()
        await asyncio.sleep(0.05)
        assert writer.transport.get_write_buffer_size() > 15_000_000
        go.set()
        async with asyncio.timeout(10):
            assert b"30000000" in await reader.readuntil(b"30000000")
        writer.close()


async def test_bodies_have_one_budget_and_one_client_a_share_of_it():
    held = asyncio.Event()

    async def hold(exchange):
        exchange.owner = exchange.head.headers["x-who"]
        await exchange.body()
        await held.wait()
        await exchange.respond(200, b"{}")

    edge = Edge(hold)
    async with edge.running() as url, aiohttp.ClientSession() as http:

        async def post(who, size):
            data = gzip.compress(b"0" * size)
            headers = {"x-who": who, "content-encoding": "gzip"}
            async with http.post(f"{url}/v1/x", data=data, headers=headers) as response:
                return response.status

        large = [asyncio.ensure_future(post("a", 12 * MIB)) for _ in range(4)]
        await until(lambda: sum(task.done() for task in large) == 2)
        assert edge.bodies.used <= 64 * MIB
        assert {task.result() for task in large if task.done()} == {503}
        other = asyncio.ensure_future(post("b", 12 * MIB))
        await until(lambda: edge.bodies.held("b") >= 24 * MIB)
        held.set()
        assert await other == 200
        await asyncio.gather(*large)
        await until(lambda: edge.bodies.used == 0)


async def test_connections_of_one_address_are_limited():
    edge = Edge(echo)
    async with edge.running(connections_per_address=5) as url:
        open_ones = [await connect(url) for _ in range(5)]
        await asyncio.sleep(0.05)
        reader, writer = await connect(url)
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionError):
                while await reader.read() or True:
                    writer.write(b"x")
                    await asyncio.sleep(0.01)
        open_ones[0][1].close()
        await until(lambda: edge.shared.places._taken == {"127.0.0.1": 4})
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/v1/ws") as ws:
            await ws.send_json({"type": "hello"})
            await ws.receive_json()
            assert edge.shared.places._taken == {"127.0.0.1": 5}
        await until(lambda: edge.shared.places._taken == {"127.0.0.1": 4})
        for _, each in open_ones:
            each.close()


@pytest.mark.parametrize(
    ("trusted", "headers", "address"),
    [
        ((), {"x-forwarded-for": "9.9.9.9"}, "127.0.0.1"),
        (("127.0.0.1/32",), {}, "127.0.0.1"),
        (("127.0.0.1/32",), {"x-forwarded-for": "6.6.6.6, 9.9.9.9"}, "9.9.9.9"),
        (("127.0.0.0/8", "10.0.0.0/8"), {"x-forwarded-for": "6.6.6.6, 9.9.9.9, 10.1.2.3"}, "9.9.9.9"),
        (("127.0.0.1/32",), {"x-forwarded-for": "9.9.9.9, what is this"}, "127.0.0.1"),
        (("127.0.0.1/32",), {"x-forwarded-for": "[2001:db8::1]:4711"}, "2001:db8::1"),
        (("127.0.0.1/32",), {"forwarded": 'for=6.6.6.6, for="[2001:db8::2]:80";proto=https'}, "2001:db8::2"),
        (("127.0.0.1/32",), {"forwarded": "for=6.6.6.6", "x-forwarded-for": "9.9.9.9"}, "9.9.9.9"),
        (("127.0.0.1/32",), {"x-forwarded-for": ",".join(["1.1.1.1"] * 500 + ["9.9.9.9"])}, "9.9.9.9"),
    ],
)
async def test_the_address_of_a_client_comes_from_a_trusted_proxy_and_never_else(trusted, headers, address):
    import ipaddress

    found = []

    async def note(exchange):
        found.append(exchange.head.address)
        await exchange.respond(200, b"{}")

    edge = Edge(note)
    networks = tuple(ipaddress.ip_network(each) for each in trusted)
    async with edge.running(trusted_proxies=networks) as url, aiohttp.ClientSession() as http:
        async with http.get(f"{url}/v1/x", headers=headers) as response:
            assert response.status == 200
        async with http.ws_connect(f"{url}/v1/ws", headers=headers) as ws:
            await ws.send_json({"type": "hello"})
            await ws.receive_json()
            await ws.send_json({"type": "request", "id": "a", "path": "/v1/models"})
            await ws.receive_json()
    assert found == [address, address]


# Sockets.


async def test_a_hello_is_small_and_nothing_is_compressed():
    edge = Edge(echo)
    async with edge.running() as url, aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{url}/v1/ws", compress=15) as ws:
            assert not ws.compress
            await ws.send_str(json.dumps({"type": "hello", "x": "y" * HELLO_LIMIT}))
            closed = await ws.receive(timeout=5)
            assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1009)
        async with http.ws_connect(f"{url}/v1/ws") as ws:
            await ws.send_json({"type": "hello"})
            await ws.send_json({"type": "request", "id": "a", "body": {"whole": 5, "x": "y" * 3_000_000}})
            said = [await ws.receive_json(timeout=5) for _ in range(4)]
            assert [frame["type"] for frame in said] == ["session", "head", "answer", "end"]


def frame(data, opcode=1, *, fin=True):
    size = len(data)
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", size)
    return head + b"\0\0\0\0" + data


async def raw_socket(url, path="/v1/ws"):
    reader, writer = await connect(url)
    writer.write(
        b"GET %b HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n" % path.encode()
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


@once
async def test_a_message_in_very_many_pieces_costs_what_it_holds():
    edge = Edge(echo, memory=8 * MIB, each=8 * MIB)
    async with edge.running() as url:
        reader, writer = await raw_socket(url)
        writer.write(frame(b'{"type":"hello"}'))
        await reader.readuntil(b"window")
        (protocol,) = edge_connections(edge)
        writer.write(frame(b'{"x":"', fin=False))
        for _ in range(50):
            writer.write(frame(b"y", opcode=0, fin=False) * 1000)
            await writer.drain()
        await until(lambda: sum(map(len, protocol.frames)) == 50_006)
        assert len(protocol.frames) == 1
        assert 50_000 < edge.memory.used < 500_000
        writer.close()
        await until(lambda: edge.memory.used == 0)


def edge_connections(edge):
    """The WebSockets of an edge, as its server has them."""
    return [thing._socket._control for thing in edge.live._sockets]


async def test_messages_that_are_sent_beyond_the_memory_end_their_connection():
    edge = Edge(echo, memory=2 * MIB, each=MIB)
    async with edge.running() as url, aiohttp.ClientSession() as http, http.ws_connect(f"{url}/v1/ws") as ws:
        await ws.send_json({"type": "hello"})
        await ws.receive_json()
        with contextlib.suppress(ConnectionError):
            await ws.send_str("x" * 5 * MIB)
        closed = await ws.receive(timeout=5)
        assert closed.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        await until(lambda: edge.memory.used == 0)


@once
async def test_pongs_do_not_pile_up_for_a_client_that_does_not_read():
    edge = Edge(echo)
    async with edge.running() as url:
        _, writer = await raw_socket(url)
        writer.write(frame(b'{"type":"hello"}'))
        await until(lambda: len(edge.live._sockets) == 1)
        (protocol,) = edge_connections(edge)
        writer.transport.pause_reading()
        worst = 0
        for _ in range(300):
            writer.write(frame(b"p" * 125, opcode=9) * 300)
            await writer.drain()
            worst = max(worst, protocol.transport.get_write_buffer_size())
        assert worst < 300_000
        writer.transport.abort()


async def test_request_and_cancel_together_end_exactly_once():
    edge = Edge(echo)
    async with edge.running() as url, aiohttp.ClientSession() as http, http.ws_connect(f"{url}/v1/ws") as ws:
        await ws.send_json({"type": "hello"})
        await ws.receive_json()
        ends = {}
        for i in range(200):
            await ws.send_json({"type": "request", "id": f"a{i}", "body": {"events": 5, "delay": 0.001 * (i % 3)}})
            await ws.send_json({"type": "cancel", "id": f"a{i}"})
        while len(ends) < 200:
            said = await ws.receive_json(timeout=5)
            if said["type"] == "end":
                ends[said["id"]] = ends.get(said["id"], 0) + 1
                await ws.send_json({"type": "ack", "id": said["id"], "seq": said["seq"]})
        assert set(ends.values()) == {1}
        await until(lambda: not edge.multiplex._tasks and edge.memory.used == 0)


@once
async def test_unread_answers_are_bounded_by_key_and_the_stalled_stream_alone_ends():
    edge = Edge(echo, memory=32 * MIB, each=16 * MIB)
    async with (
        edge.running() as url,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/v1/ws", max_msg_size=0) as ws,
    ):
        await ws.send_json({"type": "hello"})
        await ws.receive_json()
        for i in range(60):
            await ws.send_json({"type": "request", "id": f"a{i}", "body": {"whole": 5 * MIB}})
        await until(lambda: len(edge.seen) >= 50, 20)
        assert edge.memory.used <= 16 * MIB
        await ws.send_json({"type": "request", "id": "small", "body": {"events": 2}})
        async with asyncio.timeout(10):
            while (said := await ws.receive_json(timeout=5))["id"] != "small" or said["type"] != "end":
                pass
        assert said["status"] == "complete"


async def test_sessions_of_a_key_are_limited_and_of_others_not():
    edge = Edge(echo, doors=Doors(KEY, "key-b"), places=3)
    async with edge.running() as url, aiohttp.ClientSession() as http:

        async def hello(key):
            ws = await http.ws_connect(f"{url}/v1/ws")
            await ws.send_json({"type": "hello", "key": key})
            return ws, await ws.receive_json()

        mine = [await hello(KEY) for _ in range(5)]
        assert [said["type"] for _, said in mine] == ["session"] * 3 + ["error"] * 2
        assert mine[3][1]["error"]["code"] == "sockets_per_key"
        assert (await mine[3][0].receive()).data == 1013
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(f"{url}/v1/responses", headers={"x-api-key": KEY})
        assert caught.value.status == 429
        other, said = await hello("key-b")
        assert said["type"] == "session"
        for ws, _ in [*mine, (other, None)]:
            await ws.close()
        await until(lambda: not edge.multiplex._clients)  # sessions without streams are forgotten at once
        ws, said = await hello(KEY)
        assert said["type"] == "session"
        await ws.close()


@pytest.mark.parametrize("path", ["/v1/ws", "/v1/responses"])
async def test_a_secret_that_ends_ends_its_sockets_within_a_second(path):
    edge = Edge(echo, doors=Doors(KEY, "key-b"))
    async with edge.running() as url, aiohttp.ClientSession() as http:
        ws = await http.ws_connect(f"{url}{path}", headers={"x-api-key": KEY})
        if path == "/v1/ws":
            await ws.send_json({"type": "hello"})
            await ws.receive_json()
            await ws.send_json({"type": "request", "id": "a", "body": {"events": 1000, "pause": 0.05}})
        else:
            await ws.send_json({"type": "response.create", "events": 1000, "pause": 0.05})
        await ws.receive(timeout=5)
        edge.doors.keys = {"key-b"}
        ended = asyncio.get_running_loop().time()
        said = []
        while (message := await ws.receive(timeout=5)).type == aiohttp.WSMsgType.TEXT:
            said.append(message.data)
        assert asyncio.get_running_loop().time() - ended < 1.5
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)
        assert any("this key is revoked" in text for text in said)
        if path == "/v1/ws":
            assert json.loads(said[-1])["type"] == "end"


@pytest.mark.parametrize(
    "headers",
    [{"anthropic-beta": "a\r\nx: y"}, {"x-request-id": "a\0b"}, {"X-Initiator": "é"}, {"traceparent": "a" * 1100}],
)
async def test_values_that_become_headers_are_checked_where_they_enter(headers):
    edge = Edge(echo)
    async with edge.running() as url, aiohttp.ClientSession() as http, http.ws_connect(f"{url}/v1/ws") as ws:
        await ws.send_json({"type": "hello"})
        await ws.receive_json()
        await ws.send_json({"type": "request", "id": "a", "body": {}, "headers": headers})
        said = await ws.receive_json(timeout=5)
        assert (said["type"], said["status"]) == ("error", 400)
        assert said["error"]["param"].startswith("headers.")
        async with http.ws_connect(f"{url}/v1/responses") as other:
            await other.send_json({"type": "response.create", "initiator": next(iter(headers.values()))})
            said = await other.receive_json(timeout=5)
            assert (said["type"], said["status"]) == ("error", 400)


# Endings.


async def test_a_stop_lets_streams_finish_cuts_the_rest_with_an_error_and_drains_sockets():
    edge = Edge(echo)
    async with edge.running(drain_seconds=0.6) as url, aiohttp.ClientSession() as http:

        async def post(**body):
            try:
                async with http.post(f"{url}/v1/x", json=body) as response:
                    said = b""
                    try:
                        async for piece in response.content.iter_any():
                            said += piece
                    except aiohttp.ClientPayloadError:
                        return response.status, said, "cut"
                    return response.status, said, "whole"
            except aiohttp.ClientError as e:
                return 0, b"", repr(e)

        short = asyncio.ensure_future(post(events=4, pause=0.1))
        long = asyncio.ensure_future(post(events=1000, pause=0.1))
        waiting = asyncio.ensure_future(post(delay=100))
        sockets = [await http.ws_connect(f"{url}{path}") for path in ("/v1/ws", "/v1/ws", "/v1/responses")]
        for ws in sockets[:2]:
            await ws.send_json({"type": "hello"})
            await ws.receive_json()
        await sockets[0].send_json({"type": "request", "id": "a", "body": {"events": 1000, "pause": 0.1}})
        await sockets[2].send_json({"type": "response.create", "events": 1000, "pause": 0.1})
        reader, writer = await connect(url)
        writer.write(b"GET /v1/x HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await reader.readuntil(b"0\r\n\r\n")
        await until(lambda: len(edge.live) == 8)
        edge.stop.set()
        await until(lambda: edge.live.is_draining)
        writer.write(b"GET /v1/x HTTP/1.1\r\nhost: localhost\r\n\r\n")
        said = await reader.read()
        assert said.startswith(b"HTTP/1.1 503")
        assert b"connection: close" in said
        assert b"shutting_down" in said
        parts = urlsplit(url)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(parts.hostname, parts.port)
        assert (await short)[::2] == (200, "whole")
        status, said, how = await long
        assert (status, how) == (200, "cut")
        assert b"event: error" in said
        assert b"shutting down" in said
        status, said, _ = await waiting
        assert status == 503
        assert json.loads(said)["error"]["code"] == "shutting_down"
        for i, ws in enumerate(sockets):
            said = []
            while (message := await ws.receive(timeout=5)).type == aiohttp.WSMsgType.TEXT:
                said.append(message.data)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001), i
            assert i == 1 or any("shutting down" in text for text in said)
            if i == 0:
                assert json.loads(said[-1])["status"] == "broken"
        await edge.serving
        writer.close()


async def test_what_waits_on_a_responses_socket_at_a_stop_is_answered_with_an_error():
    let_go = asyncio.Event()

    async def held(exchange):
        await let_go.wait()
        await echo(exchange)

    edge = Edge(held)
    async with edge.running(drain_seconds=10) as url, aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{url}/v1/responses") as ws:
            await ws.send_json({"type": "response.create", "events": 1})
            await until(lambda: len(edge.live) == 2)
            for _ in range(2):
                await ws.send_json({"type": "response.create", "events": 1})
            await until(lambda: len(next(iter(edge.live._sockets))._waiting) == 2)
            edge.stop.set()
            await until(lambda: edge.live.is_draining)
            await ws.send_json({"type": "response.create", "events": 1})  # and one that comes now
            late = json.loads((await ws.receive(timeout=5)).data)
            let_go.set()
            said = [message.data async for message in ws]
        errors = [late, *(json.loads(text) for text in said if "shutting_down" in text)]
        assert [(error["type"], error["status"], error["error"]["code"]) for error in errors] == [
            ("error", 503, "shutting_down")
        ] * 3
        assert "shutting_down" not in said[0]  # the answer that was under way has ended as usual
        assert ws.close_code == 1001
        await edge.serving


async def test_a_hangup_signal_reloads_and_no_stream_notices():
    edge = Edge(echo)
    async with edge.running() as url, aiohttp.ClientSession() as http:
        async with http.post(f"{url}/v1/x", json={"events": 5, "pause": 0.05}) as response:
            os.kill(os.getpid(), signal.SIGHUP)
            assert (await response.read()).count(b"data:") == 5
        assert edge.reloads == 1
        async with http.post(f"{url}/v1/x", json={}) as response:
            assert response.status == 200


async def test_a_stalled_reader_gains_no_tasks():
    begun = asyncio.Event()

    async def flood(exchange):
        async with exchange.stream([], b": ping\n\n", 0.01) as write:
            for _ in range(60):
                await write(b"data: " + b"x" * 100_000 + b"\n\n")
            begun.set()
            await write(b"data: " + b"x" * 10_000_000 + b"\n\n")
            await write(b"data: x\n\n")

    edge = Edge(flood)
    async with edge.running() as url:
        reader, writer = await connect(url)
        writer.write(b"GET /v1/x HTTP/1.1\r\nhost: localhost\r\n\r\n")
        reader._transport.pause_reading()
        await asyncio.sleep(0.2)
        before = len(asyncio.all_tasks())
        await asyncio.sleep(0.3)
        assert len(asyncio.all_tasks()) <= before
        writer.transport.abort()
        await until(lambda: len(edge.live) == 0)


# The responses socket.


def answering(outputs=()):
    async def answer(exchange):
        asked = json.loads(await exchange.body())
        answer.asked.append(asked)
        response = {"id": f"resp_{len(answer.asked)}", "output": list(outputs)}
        async with exchange.stream([]) as write:
            done = {"type": "response.completed", "response": response}
            await write(b"event: response.completed\ndata: " + json.dumps(done).encode() + b"\n\n")

    answer.asked = []
    return answer


@once
async def test_frames_that_only_prepare_are_requests_and_do_not_grow():
    answer = answering()
    edge = Edge(answer)
    async with edge.running() as url, aiohttp.ClientSession() as http, http.ws_connect(f"{url}/v1/responses") as ws:
        last = None
        for _ in range(10_000):
            frame = {"type": "response.create", "model": "m", "generate": False, "input": []}
            await ws.send_json({**frame, **({"previous_response_id": last} if last else {})})
            last = (await ws.receive_json(timeout=5))["response"]["id"]
        assert len(edge.seen) == 10_000
        assert edge.memory.used < 1000
        assert answer.asked[-1] == {"model": "m", "generate": False, "input": [], "stream": True}


async def test_what_a_connection_remembers_is_bounded_and_counted():
    edge = Edge(answering())
    async with edge.running() as url, aiohttp.ClientSession() as http, http.ws_connect(f"{url}/v1/responses") as ws:
        last, said = None, {}
        for _ in range(4):
            frame = {"type": "response.create", "model": "m", "generate": False, "input": ["x" * 7 * MIB]}
            await ws.send_json({**frame, **({"previous_response_id": last} if last else {})})
            said = await ws.receive_json(timeout=10)
            if said["type"] == "error":
                break
            last = said["response"]["id"]
            assert edge.memory.used <= 16 * MIB
        assert (said["status"], said["error"]["param"]) in ((413, "input"), (503, None))
        await ws.close()
        await until(lambda: edge.memory.used == edge.bodies.used == 0)


async def test_a_conversation_goes_on_with_what_was_said_and_one_request_at_a_time():
    answer = answering([{"type": "message", "role": "assistant", "content": "yes"}])
    edge = Edge(answer)
    async with edge.running() as url, aiohttp.ClientSession() as http, http.ws_connect(f"{url}/v1/responses") as ws:
        await ws.send_json({"type": "response.create", "model": "m", "input": "hi", "generate": True, "store": False})
        first = (await ws.receive_json(timeout=5))["response"]
        await ws.send_json({"type": "response.create", "previous_response_id": first["id"], "input": [{"a": 1}]})
        await ws.receive_json(timeout=5)
        hello = {"type": "message", "role": "user", "content": "hi"}
        assert answer.asked == [
            {"model": "m", "store": False, "input": [hello], "stream": True},
            {"input": [hello, *first["output"], {"a": 1}], "stream": True},
        ]
        await ws.send_json({"type": "response.create", "previous_response_id": "resp_other", "input": "x"})
        said = await ws.receive_json(timeout=5)
        assert (said["type"], said["status"], said["error"]["code"]) == ("error", 400, "previous_response_not_found")
        for bad, status in (
            ("x", 400),
            ("[]", 400),
            ('{"type":"other"}', 400),
            ('{"type":"response.create","input":5}', 400),
        ):
            await ws.send_str(bad)
            said = await ws.receive_json(timeout=5)
            assert (said["type"], said["status"]) == ("error", status)
        assert len(edge.seen) == 7  # each was a request
    await until(lambda: edge.memory.used == edge.bodies.used == 0)


async def test_a_client_that_leaves_a_responses_socket_ends_its_answer():
    edge = Edge(echo)
    async with edge.running() as url, aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{url}/v1/responses") as ws:
            for _ in range(4):
                await ws.send_json({"type": "response.create", "delay": 100})
            await until(lambda: len(edge.live) == 2)
        await until(lambda: len(edge.live) == 0, 2)
        assert edge.seen == [("/v1/responses", 499)]
        assert edge.memory.used == edge.bodies.used == 0
