"""Many streams on one WebSocket: nothing lost, doubled or out of order, also when the connection is; no stream stops another."""

import asyncio
import json
import random

import aiohttp
import pytest

from rightseat.gateway.endpoints import multiplex
from rightseat.simulator.script import Rule, Script, ScriptedError

KEY = "client-key-0123456789"


class Client:
    """A small client of `/v1/ws`, as the guide describes one: remembers the last number of each stream, acknowledges, resumes."""

    def __init__(self, http, url, key=""):
        self.http, self.url, self.key = http, f"{url}/v1/ws", key
        self.session, self.ws = None, None
        self.frames, self.last, self.done = {}, {}, {}
        self.errors, self.lost = [], 0

    async def connect(self):
        self.ws = await self.http.ws_connect(self.url)
        hello = {"type": "hello", "session": self.session, **({"key": self.key} if self.key else {})}
        await self.ws.send_json(hello)
        said = await self.ws.receive_json()
        if said["type"] != "session":
            return said
        self.session = said["session"]
        for stream_id in said["open"]:
            await self.ws.send_json({"type": "resume", "id": stream_id, "seq": self.last.get(stream_id, 0)})
        return said

    async def ask(self, stream_id, body, path="/v1/chat/completions", **more):
        self.frames[stream_id], self.last[stream_id] = [], 0
        self.done[stream_id] = asyncio.get_running_loop().create_future()
        await self.ws.send_json({"type": "request", "id": stream_id, "path": path, "body": body, **more})

    async def read(self, *, ack=16, cut=None):
        """Read until the connection ends; `cut()` says when to break it."""
        async for message in self.ws:
            frame = json.loads(message.data)
            if frame["type"] == "error":
                self.errors.append(frame)
                continue
            stream_id, seq = frame["id"], frame["seq"]
            assert seq == self.last[stream_id] + 1 or seq <= self.last[stream_id], "something was lost"
            if seq == self.last[stream_id] + 1:
                self.last[stream_id] = seq
                self.frames[stream_id].append(frame)
            if frame["type"] == "end" or seq % ack == 0:
                await self.ws.send_json({"type": "ack", "id": stream_id, "seq": self.last[stream_id]})
            if frame["type"] == "end" and not self.done[stream_id].done():
                self.done[stream_id].set_result(frame["status"])
            if cut is not None and cut():
                self.lost += 1
                self.ws._response.connection.transport.abort()
                return

    def text(self, stream_id):
        events = [
            json.loads(f["data"]) for f in self.frames[stream_id] if f["type"] == "event" and f["data"] != "[DONE]"
        ]
        return "".join(c["delta"].get("content") or "" for e in events for c in e["choices"])


def ask_for(text, **more):
    return {
        "model": "gpt-4.1",
        "stream": True,
        "messages": [{"role": "user", "content": f"Reply with exactly: {text}"}],
        **more,
    }


@pytest.fixture
async def connect():
    async with aiohttp.ClientSession() as http:

        async def start(served, key=""):
            client = Client(http, served.url, key)
            client.said = await client.connect()
            return client

        yield start


async def test_requests_of_every_kind_side_by_side(gateway, connect):
    served = await gateway()
    client = await connect(served)
    reading = asyncio.ensure_future(client.read())
    await client.ask("a", ask_for("one two three"))
    await client.ask("b", {**ask_for("four"), "stream": False})
    await client.ask(
        "c",
        {
            "model": "claude-sonnet-4.5",
            "max_tokens": 50,
            "stream": True,
            "messages": [{"role": "user", "content": "Reply with exactly: five"}],
        },
        "/v1/messages",
    )
    await client.ask("d", {"model": "gpt-5", "input": "Reply with exactly: six", "stream": True}, "/v1/responses")
    await client.ask("e", {"model": "text-embedding-3-small", "input": "x"}, "/v1/embeddings")
    await client.ask("f", None, "/v1/models")
    await client.ask("g", {"model": "none", "messages": []})
    assert {await done for done in client.done.values()} == {"complete"}
    assert client.text("a") == "one two three"
    assert client.frames["b"][1]["body"]["choices"][0]["message"]["content"] == "four"
    assert client.frames["c"][1]["event"] == "message_start"
    assert "response.completed" in [f.get("event") for f in client.frames["d"]]
    assert client.frames["e"][1]["body"]["data"]
    assert client.frames["f"][1]["body"]["data"]
    assert (client.frames["g"][0]["status"], "error" in client.frames["g"][1]["body"]) == (404, True)
    reading.cancel()


async def test_a_thousand_streams_under_random_disconnects(gateway, connect):
    served = await gateway(settings={"log": "off"})
    client = await connect(served)
    chance = random.Random(11)
    texts = {f"s{i}": " ".join(f"w{i}-{n}" for n in range(12)) for i in range(1000)}

    async def run():
        while not all(done.done() for done in client.done.values()) or len(client.done) < len(texts):
            await client.read(cut=lambda: client.lost < 12 and chance.random() < 0.0015)
            while not all(done.done() for done in client.done.values()) or len(client.done) < len(texts):
                said = await client.connect()
                if said["type"] == "session":
                    assert said["resumed"]
                    break

    running = asyncio.ensure_future(run())
    for start in range(0, 1000, 250):
        for stream_id in list(texts)[start : start + 250]:
            while True:
                try:
                    await client.ask(stream_id, ask_for(texts[stream_id]))
                    break
                except (ConnectionError, aiohttp.ClientError):
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)

    async def again():
        """What was asked into a connection that had just been lost never came: it is asked again, as a client would."""
        while True:
            await asyncio.sleep(0.5)
            for stream_id, done in client.done.items():
                if not done.done() and client.last[stream_id] == 0 and not client.ws.closed:
                    try:
                        await client.ws.send_json(
                            {
                                "type": "request",
                                "id": stream_id,
                                "path": "/v1/chat/completions",
                                "body": ask_for(texts[stream_id]),
                            }
                        )
                    except (ConnectionError, aiohttp.ClientError):
                        break

    repeating = asyncio.ensure_future(again())
    statuses = await asyncio.wait_for(asyncio.gather(*client.done.values()), 60)
    repeating.cancel()
    running.cancel()
    assert client.lost >= 5
    assert set(statuses) == {"complete"}
    wrong = [i for i, text in texts.items() if client.text(i) != text]
    assert wrong == []


async def test_a_stream_that_is_cancelled_ends_upstream_too(gateway, connect):
    served = await gateway(pace=20)
    client = await connect(served)
    reading = asyncio.ensure_future(client.read())
    await client.ask("a", ask_for("word " * 200))
    while len(client.frames["a"]) < 3:
        await asyncio.sleep(0.01)
    await client.ws.send_json({"type": "cancel", "id": "a"})
    assert await asyncio.wait_for(client.done["a"], 2) == "cancelled"
    await client.ask("b", ask_for("still here"))
    assert await client.done["b"] == "complete"
    reading.cancel()


async def test_a_client_that_does_not_acknowledge_stops_its_own_stream_alone(gateway, connect):
    served = await gateway()
    client = await connect(served)
    reading = asyncio.ensure_future(client.read(ack=10**9))
    await client.ask("a", ask_for("word " * 1500))
    while len(client.frames["a"]) < multiplex.WINDOW:
        await asyncio.sleep(0.01)
    await client.ask("b", ask_for("short"))
    assert await client.done["b"] == "complete"
    assert len(client.frames["a"]) == multiplex.WINDOW
    while not client.done["a"].done():
        await client.ws.send_json({"type": "ack", "id": "a", "seq": client.last["a"]})
        await asyncio.sleep(0.005)
    assert client.text("a").split() == ["word"] * 1500
    reading.cancel()


async def test_a_key_is_good_for_no_more_than_over_http(gateway, connect):
    served = await gateway(settings={"management_key": "management-key-0123456789"})
    async with aiohttp.ClientSession(headers={"authorization": "Bearer management-key-0123456789"}) as http:
        made = await http.post(f"{served.url}/v0/management/keys", json={"name": "ann", "scopes": ["chat"]})
        key = (await made.json())["key"]
    client = await connect(served, key)
    await client.ask("e", {"model": "text-embedding-3-small", "input": "a"}, "/v1/embeddings")
    await client.ask("m", None, "/v1/models")
    await client.ask("c", ask_for("yes"))
    reading = asyncio.ensure_future(client.read())
    assert await client.done["c"] == "complete"
    assert client.text("c") == "yes"
    assert {(e["id"], e["status"]) for e in client.errors} == {("e", 403), ("m", 403)}
    assert "is not allowed to use embeddings" in json.dumps(client.errors)
    await client.ws.close()
    await reading


async def test_keys_are_checked_and_sessions_belong_to_them(gateway, connect):
    served = await gateway(settings={"keys": [KEY, "another-key-0123456789"], "lockout_failures": 0})
    refused = await connect(served)
    assert (refused.said["type"], refused.said["status"]) == ("error", 401)
    mine = await connect(served, KEY)
    other = Client(mine.http, served.url, "another-key-0123456789")
    other.session = mine.session
    said = await other.connect()
    assert (said["resumed"], said["session"] != mine.session) == (False, True)


async def test_a_session_to_which_nobody_comes_back_ends(gateway, connect, monkeypatch):
    monkeypatch.setattr(multiplex, "KEEP_SECONDS", 0.2)
    served = await gateway(pace=20)
    client = await connect(served)
    await client.ask("a", ask_for("word " * 200))
    await client.ws.close()
    await asyncio.sleep(0.4)
    said = await client.connect()
    assert said["resumed"] is False


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ({"type": "x", "id": "a"}, "type"),
        ({"type": "request"}, "id"),
        ({"type": "request", "id": "a", "path": "/v0/management/config", "body": {}}, "path"),
        ({"type": "request", "id": "a", "body": 5}, "body"),
        ({"type": "ack", "id": "a", "seq": "x"}, "seq"),
        ({"type": "request", "id": "x" * 101}, "id"),
        ({"type": "request", "id": "a", "body": {}, "headers": {"x": 1}}, "headers"),
    ],
)
async def test_a_frame_that_makes_no_sense_is_named_and_nothing_else_ends(gateway, connect, frame, said):
    served = await gateway()
    client = await connect(served)
    reading = asyncio.ensure_future(client.read())
    await client.ws.send_str(frame if isinstance(frame, str) else json.dumps(frame))
    while not client.errors:
        await asyncio.sleep(0.005)
    assert said in client.errors[0]["error"]["message"]
    await client.ask("ok", ask_for("fine"))
    assert await client.done["ok"] == "complete"
    reading.cancel()


async def test_without_a_hello_and_with_trouble_upstream(gateway, connect):
    served = await gateway(script=Script([Rule(when="down", error=ScriptedError(429, "slow down", "rate_limited", 7))]))
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{served.url}/v1/ws") as ws:
        await ws.send_json({"type": "request", "id": "a"})
        assert (await ws.receive_json())["error"]["param"] == "type"
        assert (await ws.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    client = await connect(served)
    reading = asyncio.ensure_future(client.read())
    await client.ask("a", {"model": "gpt-4.1", "stream": True, "messages": [{"role": "user", "content": "down"}]})
    assert await client.done["a"] == "complete"
    assert client.frames["a"][0]["status"] == 429
    assert client.frames["a"][1]["body"]["error"]["code"] == "rate_limited"
    reading.cancel()
