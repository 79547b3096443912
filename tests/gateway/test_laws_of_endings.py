"""How requests end, on real sockets: whoever leaves, whatever breaks at any byte, it ends once, as what it is, and is seen once."""

import asyncio
import contextlib
import json
import logging
import os
import pwd
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.gateway.raw_upstream import TOKEN_PATH, RawUpstream, answer
from tests.postgres import PostgresServer, installed
from tests.state.test_sql import processes_of

from rightseat.accounts.store import Account, FileStore
from rightseat.chat import Finish, ReasoningDelta, TextDelta, Usage, fold
from rightseat.testing.servers import running_gateway
from rightseat.wire.dialect import Envelope
from rightseat.wire.dialects import ALL
from rightseat.wire.sse import SseDecoder

ADMIN = {"authorization": "Bearer management-key-0123456789"}
ASKED = [{"role": "user", "content": "hi"}]
SPOKEN = {
    "chat": ("/v1/chat/completions", "/chat/completions", {"model": "gpt-chat", "messages": ASKED}),
    "responses": ("/v1/responses", "/responses", {"model": "gpt-responses", "input": "hi"}),
    "messages": ("/v1/messages", "/v1/messages", {"model": "claude-messages", "max_tokens": 99, "messages": ASKED}),
}
DIALECTS = pytest.mark.parametrize("name", SPOKEN)
EMBED = {"model": "text-embedding-3-small", "input": "hi"}
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class World:
    """A gateway over a raw upstream."""

    def __init__(self, url, upstream, http):
        self.url, self.upstream, self.http = url, upstream, http
        self.writers: list[asyncio.StreamWriter] = []

    async def listed(self):
        async with self.http.get(f"{self.url}/v0/management/requests", headers=ADMIN) as response:
            return (await response.json())["requests"]

    async def ended(self, **wanted):
        """The record of a request that is over, once there is one that fits."""
        async with asyncio.timeout(8):
            while True:
                for one in await self.listed():
                    if not one["under_way"] and all(one[key] == value for key, value in wanted.items()):
                        return one
                await asyncio.sleep(0.02)

    async def metrics(self):
        async with self.http.get(f"{self.url}/metrics", headers=ADMIN) as response:
            return await response.text()

    async def overview(self):
        async with self.http.get(f"{self.url}/v0/management/overview", headers=ADMIN) as response:
            return await response.json()

    async def post(self, path, body, **headers):
        async with self.http.post(self.url + path, json=body, headers=headers) as response:
            return response.status, await response.read()

    async def streamed(self, path, body):
        """All that a client gets, also where the connection is dropped in the end."""
        data = b""
        async with self.http.post(self.url + path, json={**body, "stream": True}) as response:
            with contextlib.suppress(aiohttp.ClientPayloadError):
                async for piece in response.content.iter_any():
                    data += piece
        return response.status, data

    async def raw(self, data: bytes):
        host, port = self.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        self.writers.append(writer)
        writer.write(data)
        await writer.drain()
        return reader, writer


def posted(path: str, body: dict, *more: str) -> bytes:
    data = json.dumps(body).encode()
    fields = "".join(f"{field}\r\n" for field in more)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n"
    )
    return (head + fields + "\r\n").encode() + data


@pytest.fixture
async def world(tmp_path):
    """`await world(settings)`."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(RawUpstream())
        http = await stack.enter_async_context(aiohttp.ClientSession())

        async def start(**settings):
            settings = {k: upstream.url if v == "{cloud}" else v for k, v in settings.items()}
            values = {"management_key": "management-key-0123456789", **settings}
            url = await stack.enter_async_context(running_gateway(upstream, tmp_path, values, account="ann"))
            one = World(url, upstream, http)
            stack.callback(lambda: [writer.close() for writer in one.writers])
            return one

        yield start


class TestWhoeverLeaves:
    """B1: one notion of gone, from the first byte to the last of every answer."""

    async def left(self, world, writer, asked, caplog, route):
        """The client leaves: upstream's connection ends within a second, and log, list and metrics say 499."""
        writer.transport.abort()
        if asked is not None:
            await asyncio.wait_for(asked.left.wait(), 1.0)
        record = await world.ended(status=499)
        assert record["route"] == route
        lines = [line.request for line in caplog.records if line.name == "rightseat.access"]
        assert [line["status"] for line in lines if line["request_id"] == record["request_id"]] == [499]
        assert f'route="{route}",status="499"' in await world.metrics()
        assert (await world.overview())["resilience"]["running"] in (None, 0)

    @pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
    @pytest.mark.parametrize(
        "sent", [None, b"HTTP/1.1 200 OK\r\ncontent-", STREAM_HEAD, STREAM_HEAD + chunk(b"data: {")]
    )
    @DIALECTS
    async def test_of_a_conversation_at_any_byte_of_the_answer(self, world, caplog, name, sent, stream):
        caplog.set_level(logging.INFO)
        path, up, body = SPOKEN[name]
        one = await world(concurrency=1)
        one.upstream.answers[up] = sent
        _, writer = await one.raw(posted(path, {**body, "stream": stream}))
        await self.left(one, writer, await one.upstream.came(up), caplog, name)

    @pytest.mark.parametrize("sent", [None, answer(b"x" * 1000)[:-500]])
    async def test_of_embeddings(self, world, caplog, sent):
        caplog.set_level(logging.INFO)
        one = await world(concurrency=1)
        one.upstream.answers["/embeddings"] = sent
        _, writer = await one.raw(posted("/v1/embeddings", EMBED))
        asked = await one.upstream.came("/embeddings")
        await self.left(one, writer, asked, caplog, "embeddings")

    async def test_in_the_pause_before_another_try(self, world, caplog):
        caplog.set_level(logging.INFO)
        one = await world(concurrency=1, attempts=5)
        path, up, body = SPOKEN["chat"]
        one.upstream.answers[up] = answer({"error": {"message": "busy"}}, "503 Busy", retry_after="2")
        _, writer = await one.raw(posted(path, body))
        await one.upstream.came(up)
        await self.left(one, writer, None, caplog, "chat")
        assert len([asked for asked in one.upstream.asked if asked.path == up]) == 1

    @pytest.mark.parametrize("path", ["/v1/models", "/v1/models/gpt-chat", "/v0/management/models"])
    async def test_of_a_list_that_does_not_come(self, world, caplog, path):
        caplog.set_level(logging.INFO)
        one = await world()
        one.upstream.answers["/models"] = None
        _, writer = await one.raw(
            f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {ADMIN['authorization']}\r\n\r\n".encode()
        )
        await one.upstream.came("/models")
        writer.transport.abort()
        assert (await one.ended(status=499, path=path))["seconds"] < 2

    async def test_while_a_token_is_fetched(self, world, caplog):
        caplog.set_level(logging.INFO)
        one = await world()
        one.upstream.answers[TOKEN_PATH] = None
        _, writer = await one.raw(posted("/v1/chat/completions", SPOKEN["chat"][2]))
        await one.upstream.came(TOKEN_PATH)
        await self.left(one, writer, None, caplog, "chat")

    @pytest.mark.parametrize(
        "path", ["/v1/messages/count_tokens", "/v1/embeddings", "/v1/responses", "/v0/management/keys"]
    )
    async def test_in_the_middle_of_a_body(self, world, path):
        one = await world()
        field = f"authorization: {ADMIN['authorization']}"
        _, writer = await one.raw(posted(path, {"model": "x" * 1000}, field)[:-100])
        async with asyncio.timeout(5):
            while not any(each["under_way"] for each in await one.listed() if each["path"] == path):
                await asyncio.sleep(0.02)
        writer.transport.abort()
        assert (await one.ended(status=499, path=path))["seconds"] < 2

    @pytest.mark.parametrize(
        ("method", "path", "up"),
        [("GET", "/accounts/NAME/quota", "/copilot_internal/user"), ("POST", "/accounts", "/login/device/code")],
    )
    async def test_of_management_calls(self, world, method, path, up):
        one = await world(github_host="{cloud}")
        one.upstream.answers[up] = None
        path = path.replace("NAME", f"ann@127.0.0.1-{one.upstream.url.rpartition(':')[2]}")
        head = (
            f"{method} /v0/management{path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {ADMIN['authorization']}\r\n"
        )
        _, writer = await one.raw((head + "content-length: 0\r\n\r\n").encode())
        asked = await one.upstream.came(up)
        writer.transport.abort()
        await asyncio.wait_for(asked.left.wait(), 1.0)
        await one.ended(status=499)

    @pytest.mark.parametrize("late", [False, True], ids=["together", "later"])
    async def test_with_another_request_behind_it_on_the_connection(self, world, caplog, late):
        """Reading is paused then, and the request that came last is not the one that is answered."""
        caplog.set_level(logging.INFO)
        one = await world(concurrency=1)
        path, up, body = SPOKEN["chat"]
        one.upstream.answers[up] = None
        behind = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
        _, writer = await one.raw(posted(path, body) + (b"" if late else behind))
        asked = await one.upstream.came(up)
        writer.write(behind if late else b"")
        await writer.drain()
        await self.left(one, writer, asked, caplog, "chat")

    async def test_for_a_login_leaves_no_login_behind(self, world):
        one = await world(github_host="{cloud}")
        one.upstream.answers["/login/device/code"] = None
        head = f"POST /v0/management/accounts HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {ADMIN['authorization']}\r\n\r\n"
        for count in range(1, 23):  # more than may be under way
            _, writer = await one.raw(head.encode())
            asked = await one.upstream.came("/login/device/code", count)
            writer.transport.abort()
            await asyncio.wait_for(asked.left.wait(), 1.0)


async def read_until(reader, what: bytes, seconds: float = 8) -> bytes:
    data = b""
    async with asyncio.timeout(seconds):
        while what not in data:
            piece = await reader.read(65536)
            assert piece, data
            data += piece
    return data


async def rest_of(reader, seconds: float = 8) -> bytes:
    async with asyncio.timeout(seconds):
        return await reader.read(-1)


def event(text: str) -> bytes:
    delta = {"index": 0, "delta": {"content": text}}
    return b"data: " + json.dumps({"id": "x", "object": "chat.completion.chunk", "choices": [delta]}).encode() + b"\n\n"


class TestNothingWithinAnAnswer:
    """B2: what the server says by itself never stands within an answer, on the connection as in its events."""

    async def streaming(self, one):
        path, up, body = SPOKEN["chat"]
        go = asyncio.Event()

        async def slowly(asked):
            asked.writer.write(STREAM_HEAD + chunk(event("first")))
            await go.wait()
            return chunk(event("last") + b"data: [DONE]\n\n") + b"0\r\n\r\n"

        one.upstream.answers[up] = slowly
        reader, writer = await one.raw(posted(path, {**body, "stream": True}))
        return reader, writer, await read_until(reader, b"first"), go

    async def test_a_next_head_that_does_not_come_waits_its_turn(self, world):
        one = await world(header_seconds=0.1)
        reader, writer, data, go = await self.streaming(one)
        writer.write(b"GET /hea")
        for _ in range(3):  # the time limit of heads has passed, several times
            assert (await one.http.get(f"{one.url}/health")).status == 200
            await asyncio.sleep(0.1)
        go.set()
        data += await read_until(reader, b"0\r\n\r\n")
        assert data.count(b"HTTP/1.1") == 1
        assert b"[DONE]" in data
        assert b"HTTP/1.1 408 " in await rest_of(reader)  # and then it is too late

    async def test_what_is_no_request_ends_the_connection_without_a_word(self, world):
        one = await world()
        reader, writer, data, _ = await self.streaming(one)
        writer.write(b"\x00\x01 garbage\r\n\r\n")
        data += await rest_of(reader)
        assert data.count(b"HTTP/1.1") == 1
        assert (await one.ended(route="chat"))["status"] == 499


class TestSeenOnce:
    """B15: every request that arrives is seen once: in the log, in the metrics, in the list."""

    async def test_whatever_comes_of_it(self, world, caplog):
        caplog.set_level(logging.INFO)
        key = "client-key-0123456789"
        one = await world(keys=(key,), body_limit=500, body_seconds=0.2, allowed_origins=("https://page.example",))
        chat = SPOKEN["chat"][2]
        mine = f"authorization: Bearer {key}"
        long = {**chat, "messages": [{"role": "user", "content": "x" * 1000}]}
        cases = [
            (posted("/v1/chat/completions", chat), 401, "chat"),
            (posted("/v1/chat/completions", chat, "authorization: Bearer wrong-key-0123456789"), 401, "chat"),
            (posted("/v0/management/keys", {}, mine), 401, "key_create"),
            (posted("/v1/nothing", {}, mine), 404, "unknown"),
            (get("/v0/management/nothing"), 404, "unknown"),
            (get("/v1/chat/completions", mine), 405, "unknown"),
            (posted("/v1/models", {}, mine), 405, "unknown"),
            (posted("/v1/chat/completions", long, mine), 413, "chat"),
            (posted("/v1/chat/completions", chat, mine)[:-5], 408, "chat"),
            (posted("/v1/chat/completions", chat, mine, "content-encoding: br"), 415, "chat"),
            (posted("/v1/chat/completions", {**chat, "model": 5}, mine), 400, "chat"),
            (posted("/v1/messages", {**chat, "model": "none"}, mine), 404, "messages"),
            (get("/v1/models", "origin: https://evil.example"), 403, "models"),
            (get("/v1/models", mine).replace(b"host: 127.0.0.1", b"host: evil.example"), 403, "models"),
            (get("/v1/models", "origin: https://page.example").replace(b"GET", b"OPTIONS"), 204, "unknown"),
            (get("/v1/models", mine).replace(b"GET", b"OPTIONS"), 405, "unknown"),
            (get("/v1/models", mine).replace(b"GET", b"HEAD"), 200, "models"),
            (handshake("/v1/responses"), 401, "responses_socket"),
            (handshake("/v1/ws", "origin: https://evil.example"), 403, "multiplex"),
            (handshake("/v1/nothing"), 404, "unknown"),
        ]
        for data, status, route in cases:
            before, lines, metrics = await self.seen(one, caplog)
            reader, writer = await one.raw(data)
            said = await read_until(reader, b"\r\n\r\n")
            assert said.startswith(b"HTTP/1.1 %d " % status), (data, said)
            assert said.lower().count(b"\r\nx-request-id: ") == 1, said
            writer.close()
            after, more, counted = await self.seen(one, caplog)
            mark = (route, str(status))
            assert after[mark] - before[mark] == more[mark] - lines[mark] == counted[mark] - metrics[mark] == 1, mark
            assert after.total() - before.total() == 1, data

    async def test_requests_of_sockets_that_make_no_sense(self, world):
        one = await world()
        frames = [
            {"type": "request", "id": "a", "path": "/v1/nothing", "body": {}},
            {"type": "request", "id": "a", "path": "/v1/messages", "body": []},
            {"type": "request", "id": "a" * 101, "body": {}},
            {"type": "request", "id": "b", "body": {}, "headers": {"anthropic-beta": "a\r\nb"}},
            {"type": "request", "id": "c", "body": {}},
        ]
        async with one.http.ws_connect(f"{one.url}/v1/ws") as socket:
            await socket.send_json({"type": "hello"})
            await socket.receive_json()
            for frame in frames:
                await socket.send_json(frame)
                said = await socket.receive_json()
                assert said.get("status") == 400, said
        assert [each["status"] for each in await one.listed()] == [400] * 5 + [101]  # the handshake was the first
        async with one.http.ws_connect(f"{one.url}/v1/ws") as socket:
            await socket.send_json({"type": "nonsense"})
            assert (await socket.receive_json())["type"] == "error"
        last = (await one.listed())[0]
        assert (last["route"], last["status"]) == ("multiplex", 400)

    async def seen(self, one, caplog):
        """How often each (route, status) was seen: in the list, the log and the metrics."""
        async with asyncio.timeout(5):
            records = await one.listed()
            while any(each["under_way"] for each in records):
                await asyncio.sleep(0.01)
                records = await one.listed()
        listed = Counter((each["route"], str(each["status"])) for each in records)
        lines = [line.request for line in caplog.records if line.name == "rightseat.access"]
        metrics: Counter = Counter()
        for family in text_string_to_metric_families(await one.metrics()):
            for sample in family.samples:
                if sample.name == "rightseat_http_requests_total":
                    route = sample.labels["route"].replace("other", "unknown")  # labels come from a closed set
                    metrics[route, sample.labels["status"]] += int(sample.value)
        return listed, Counter((line["route"], str(line["status"])) for line in lines), metrics


def get(path: str, *fields: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "host: 127.0.0.1", *fields, "", "")).encode()


def handshake(path: str, *fields: str) -> bytes:
    asked = (
        "upgrade: websocket",
        "connection: upgrade",
        "sec-websocket-version: 13",
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
    )
    return get(path, *asked, *fields)


EVENTS = (ReasoningDelta("Hm. "), TextDelta("Grüße, "), TextDelta("all.\r\n\nGood."), Finish("stop"), Usage(7, 5))
FORMS = {dialect.name: dialect for dialect in ALL}


def streamed(name: str) -> bytes:
    """A whole stream, as upstream gives it."""
    encoder = FORMS[name].encoder(Envelope("m", {}))
    return b"".join([encoder.start(), *(encoder.encode(event) for event in EVENTS), encoder.end()])


def whole(name: str) -> bytes:
    return FORMS[name].encode_whole(fold(list(EVENTS)), Envelope("m", {}))


def framed(how: str, data: bytes, kind: str) -> bytes:
    """An answer whose end is told, or not, in one of the ways of HTTP/1.1."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n".encode()
    match how:
        case "chunks that are cut":
            return head + b"transfer-encoding: chunked\r\n\r\n" + chunk(data)
        case "chunks that end":
            return head + b"transfer-encoding: chunked\r\n\r\n" + chunk(data) + b"0\r\n\r\n"
        case "a length that is not reached":
            return head + b"content-length: %d\r\n\r\n" % (len(data) + 100) + data
        case _:
            return head + b"\r\n" + data


def errors_in(data: bytes) -> list[dict]:
    decoder = SseDecoder()
    found = decoder.feed(data)
    assert decoder.feed_eof() == [], "the last event is cut off"
    values = [json.loads(each.data) for each in found if each.data != b"[DONE]"]
    return [value for value in values if value.get("error") or value.get("type") in ("error", "response.failed")]


class TestCompleteOrAnError:
    """B13: a body is complete and of its kind, or an error."""

    @pytest.mark.parametrize(
        "how", ["chunks that are cut", "chunks that end", "a length that is not reached", "the connection"]
    )
    @pytest.mark.parametrize("name", [*SPOKEN, "embeddings"])
    async def test_a_whole_answer_that_was_cut_anywhere(self, world, name, how):
        one = await world(attempts=1, breaker=False)
        one.upstream.closes = True
        path, up, body = SPOKEN.get(name, ("/v1/embeddings", "/embeddings", EMBED))
        good = whole(name) if name in SPOKEN else json.dumps({"data": [{"index": 0, "embedding": [0.5]}]}).encode()
        asked = body if name == "embeddings" else {**body, "model": body["model"] + "-whole"}
        for end in (0, 1, len(good) // 3, len(good) // 2, len(good) - 2, len(good) - 1):
            one.upstream.answers[up] = framed(how, good[:end], "application/json")
            status, said = await one.post(path, asked)
            assert status in (408, 502), (end, status, said)
            assert json.loads(said)["error"]["message"], (end, said)
            assert b"127.0.0.1" not in said
        if how in ("chunks that end", "the connection"):
            one.upstream.answers[up] = framed(how, good, "application/json")
            assert (await one.post(path, asked))[0] == 200

    @pytest.mark.parametrize(
        "wrong", [b"<html>busy</html>", b"[]", b"{}", b'{"data": 5, "object": "list"}', b'"text"', b"null", b"\xff\xfe"]
    )
    @pytest.mark.parametrize("kind", ["application/json", "text/html"])
    @pytest.mark.parametrize("name", [*SPOKEN, "embeddings"])
    async def test_an_answer_of_another_kind(self, world, name, kind, wrong):
        one = await world(attempts=1, breaker=False)
        path, up, body = SPOKEN.get(name, ("/v1/embeddings", "/embeddings", EMBED))
        one.upstream.answers[up] = answer(wrong, kind=kind)
        asked = body if name == "embeddings" else {**body, "model": body["model"] + "-whole"}
        status, said = await one.post(path, asked)
        assert (status, "error" in json.loads(said)) == (502, True), said
        if name != "embeddings":
            status, said = await one.streamed(path, body)
            assert len(errors_in(said)) == 1, said

    @DIALECTS
    async def test_a_whole_answer_to_a_request_for_a_stream(self, world, name):
        one = await world(attempts=1, breaker=False)
        path, up, body = SPOKEN[name]
        one.upstream.answers[up] = answer(whole(name))
        status, said = await one.post(path, {**body, "stream": True})
        assert status == 200
        assert errors_in(said) == []
        reader = FORMS[name].reader()
        said_events = [*reader.feed(said), *reader.feed_eof()]
        assert reader.complete
        assert "".join(e.text for e in said_events if isinstance(e, TextDelta)) == "Grüße, all.\r\n\nGood."


class TestOneError:
    """B14: exactly one error an answer, upstream's own if it said one; words that are ours."""

    @pytest.mark.parametrize("how", ["chunks that are cut", "chunks that end", "the connection"])
    @pytest.mark.parametrize("translated", [False, True], ids=["relay", "converse"])
    @DIALECTS
    async def test_a_stream_that_is_cut_at_any_byte(self, world, name, translated, how):
        one = await world(attempts=1, breaker=False)
        one.upstream.closes = True
        path, _, body = SPOKEN[name]
        spoken = {"chat": "messages", "messages": "responses", "responses": "chat"}[name] if translated else name
        _, up, other = SPOKEN[spoken]
        good = streamed(spoken)
        reader = FORMS[spoken].reader()
        for end in range(1, len(good), max(1, len(good) // 40)):
            one.upstream.answers[up] = framed(how, good[:end], "text/event-stream")
            status, said = await one.streamed(path, {**body, "model": other["model"]})
            reader = FORMS[spoken].reader()
            reader.feed(good[:end])
            reader.feed_eof()
            assert status == 200, (end, said)
            found = errors_in(said)
            if reader.complete and not found:
                continue  # nothing that means anything is missing
            assert [each["error"]["message"] for each in found] == ["stream disconnected before completion"], (
                end,
                said,
            )


@pytest.fixture
def database(monkeypatch):
    """A PostgreSQL server that may be stopped: its address, and a block in which it hangs."""
    if not installed():
        pytest.skip("needs PostgreSQL (Debian: apt-get install postgresql)")
    monkeypatch.setenv("RIGHTSEAT_KEY_PEPPER", "ab" * 32)
    with PostgresServer() as server:

        @contextlib.contextmanager
        def hanging():
            stopped = processes_of(server)
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            try:
                yield
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)

        yield server.database(), hanging


async def test_a_database_that_hangs_is_answered_for_in_time_named_and_waits_for_nobody(world, database):
    """B10, and B1 and B11 with it: over HTTP, by those whose keys need the database and those whose do not."""
    address, hanging = database
    one = await world(database=address)
    path, up, body = SPOKEN["chat"]
    one.upstream.answers[up] = answer(whole("chat"))

    async def key(**limits):
        async with one.http.post(
            f"{one.url}/v0/management/keys", json={"name": "x", **limits}, headers=ADMIN
        ) as response:
            return (await response.json())["key"]

    async def ready():
        async with one.http.get(f"{one.url}/readyz") as response:
            return response.status, (await response.json())["problems"]

    limited, free = await key(daily_tokens=1_000_000), await key()
    assert (await one.post(path, body, **{"x-api-key": limited}))[0] == 200
    assert await ready() == (200, [])
    with hanging():
        begun = time.monotonic()
        (status, said), (other, _) = await asyncio.gather(
            one.post(path, body, **{"x-api-key": limited}), one.post(path, body, **{"x-api-key": free})
        )
        assert (status, json.loads(said)["error"]["code"], other) == (503, "key_database", 200)
        assert time.monotonic() - begun < 6
        async with asyncio.timeout(10):
            while (await ready())[1] != ["the database of keys cannot be used"]:
                await asyncio.sleep(0.05)
        _, writer = await one.raw(posted(path, body, f"x-api-key: {limited}"))
        while not any(each["under_way"] for each in await one.listed()):
            await asyncio.sleep(0.01)
        writer.transport.abort()
        assert (await one.ended(status=499))["seconds"] < 2
    async with asyncio.timeout(20):
        while (await ready())[1] or (await one.post(path, body, **{"x-api-key": limited}))[0] != 200:
            await asyncio.sleep(0.05)


async def test_a_home_that_cannot_be_written_serves_and_says_so(tmp_path):
    """B11: a real folder of somebody else's, a real process."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    nobody = pwd.getpwnam("nobody").pw_uid
    async with RawUpstream() as upstream, aiohttp.ClientSession() as http:
        upstream.answers["/chat/completions"] = answer(whole("chat"))
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # pytest's own is closed to others
            home = Path(folder)
            FileStore(home).save(Account("ann", "gho_simulated", host=upstream.url))
            for each in (home, *home.rglob("*")):
                each.chmod(0o555 if each.is_dir() else 0o444)
            env = {
                **os.environ,
                "HOME": folder,
                "RIGHTSEAT_HOME": folder,
                "RIGHTSEAT_PORT": "0",
                "RIGHTSEAT_KEYRING": "off",
            }
            env |= {"RIGHTSEAT_MANAGEMENT_KEY": ADMIN["authorization"].split()[1], "NO_COLOR": "1", "COLUMNS": "200"}
            argv = [sys.executable, "-m", "rightseat", "serve"]
            process = await asyncio.create_subprocess_exec(
                *argv, env=env, cwd="/", stderr=PIPE, user=nobody, group=nobody, extra_groups=[]
            )
            try:
                line = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
                one = World(line.partition("/v1 ")[0], upstream, http)
                assert (await one.post("/v1/chat/completions", SPOKEN["chat"][2]))[0] == 200
                async with http.get(f"{one.url}/readyz") as response:
                    assert (response.status, (await response.json())["problems"]) == (200, ["accounts cannot be saved"])
                async with http.get(f"{one.url}/v0/management/health", headers=ADMIN) as response:
                    health = await response.json()
                assert health["status"] == "degraded"
                assert f"accounts cannot be saved in {folder}" in health["problems"][0]
                status, said = await one.post("/v0/management/keys", {"name": "x"}, **ADMIN)
                assert status == 500
                assert b"cannot be made" in said
            finally:
                process.send_signal(signal.SIGTERM)
                log = (await process.stderr.read()).decode()
                assert await asyncio.wait_for(process.wait(), 15) == 0
    assert log.count("accounts cannot be saved in") == 1
    assert "Traceback" not in log


@pytest.mark.parametrize("hangs", [TOKEN_PATH, "/models"])
async def test_ready_asks_what_requests_need_and_answers_within_seconds(world, hangs):
    """B5."""
    one = await world()
    one.upstream.answers[hangs] = None
    begun = time.monotonic()
    async with one.http.get(f"{one.url}/readyz") as response:
        assert response.status == 503
        assert "in time" in json.dumps(await response.json())
    assert time.monotonic() - begun < 5
