"""Streams that pass through the gateway: what is ours stands between events, one error ends an answer, and clients' SDKs can read it."""

import asyncio
import contextlib
import json

import aiohttp
import pytest

from rightseat.chat import Finish, Reply, TextDelta, ToolCall, ToolCallEvent, Usage
from rightseat.simulator.faults import Fault
from rightseat.simulator.quirks import Quirks
from rightseat.simulator.script import Rule, Script
from rightseat.wire.copilot_models import model_entry
from rightseat.wire.dialects import ALL
from rightseat.wire.sse import SseDecoder

ASKED = [{"role": "user", "content": "hi"}]
# Each dialect, and a model that speaks it, so that bytes pass.
RELAYS = {
    "chat": ("/v1/chat/completions", {"model": "gpt-4.1", "messages": ASKED}),
    "responses": ("/v1/responses", {"model": "gpt-5", "input": "hi"}),
    "messages": ("/v1/messages", {"model": "claude-sonnet-4.5", "max_tokens": 99, "messages": ASKED}),
}
BY_NAME = pytest.mark.parametrize("dialect", ALL, ids=lambda d: d.name)


@pytest.fixture(params=["core+direct", "core+aiohttp", "uvicorn+direct", "uvicorn+aiohttp"])
def http_server(request):
    """Each promise is kept by both servers with both clients: streams are pushed, or pulled."""
    return request.param


def events(data: bytes) -> list:
    decoder = SseDecoder()
    found = decoder.feed(data)
    assert decoder.feed_eof() == [], "the last event is cut off"
    for event in found:
        assert event.data == b"[DONE]" or isinstance(json.loads(event.data), dict)
    return found


async def told(served, dialect, **more) -> bytes:
    """All that a client gets, also where the connection is dropped in the end."""
    path, body = RELAYS[dialect.name]
    asked = {**body, **more, "stream": True}
    data = b""
    async with aiohttp.ClientSession() as http, http.post(served.url + path, json=asked) as response:
        with contextlib.suppress(aiohttp.ClientPayloadError):
            async for piece in response.content.iter_any():
                data += piece
    return data


@BY_NAME
@pytest.mark.parametrize("after", [1000, 1001, 1060])  # behind the first event, which is the largest
async def test_a_ping_never_stands_inside_an_event(gateway, dialect, after):
    script = Script([Rule(chunks=["word "] * 50, fault=Fault(hang=after))])
    served = await gateway(script=script, settings={"ping_seconds": 0.05})
    path, body = RELAYS[dialect.name]
    data = b""
    asked = {**body, "stream": True}
    async with (
        asyncio.timeout(20),
        aiohttp.ClientSession() as http,
        http.post(served.url + path, json=asked) as response,
    ):
        while data.count(b"ping") < 3:
            data += await response.content.readany()
    kept = data[: data.rindex(b"\n\n") + 2]
    assert any(event.event == b"ping" for event in events(kept)) or b": ping\n\n" in kept
    assert events(kept)


def errors(data: bytes) -> list[dict]:
    values = [json.loads(event.data) for event in events(data) if event.data != b"[DONE]"]
    return [value for value in values if value.get("error") or value.get("type") in ("error", "response.failed")]


@BY_NAME
async def test_upstreams_own_error_is_the_only_one(gateway, dialect):
    served = await gateway()
    served.app.quirks = Quirks(error_after=2)
    (error,) = errors(await told(served, dialect))
    assert "simulated error in the stream" in json.dumps(error)


@BY_NAME
@pytest.mark.parametrize("fault", [{"cut": 900}, {"end": 900}])
async def test_a_connection_that_is_lost_is_told_in_our_words(gateway, dialect, fault):
    served = await gateway(script=Script([Rule(chunks=["word "] * 50, fault=Fault(**fault))]))
    (error,) = errors(await told(served, dialect))
    assert error["error"]["message"] == "stream disconnected before completion"
    assert error["error"]["type"] == "api_error"


async def two_calls(request):
    async def run():
        for event in (
            TextDelta("Let me see. "),
            ToolCallEvent(ToolCall("call_1", "calculate", '{"expression": "1"}')),
            ToolCallEvent(ToolCall("call_2", "calculate", '{"expression": "2"}')),
            Usage(50, 9, 10),
            Finish("tool_calls"),
        ):
            yield event

    return Reply(run())


@pytest.mark.parametrize("quirk", ["no_tool_index", "zero_tool_index", "empty_first_chunk", "null_choices", "no_done", "annotations", "comments", "crlf"])  # fmt: skip
async def test_openais_client_can_stream_tool_calls(gateway, client, quirk):
    served = await gateway(model=two_calls)
    served.app.quirks = Quirks(**{quirk: True})
    tool = {"type": "function", "function": {"name": "calculate", "parameters": {"type": "object", "properties": {}}}}
    ai = await client(served)
    async with ai.chat.completions.stream(model="gpt-4.1", messages=ASKED, tools=[tool]) as stream:
        async for _ in stream:
            pass
        calls = (await stream.get_final_completion()).choices[0].message.tool_calls
    assert [(c.id, c.function.arguments) for c in calls] == [
        ("call_1", '{"expression": "1"}'),
        ("call_2", '{"expression": "2"}'),
    ]


@BY_NAME
@pytest.mark.parametrize("fault", [{"garbage": "<html>"}, {"end": 200}, {"end": 0}])
async def test_a_whole_answer_that_is_broken_is_an_error(gateway, dialect, fault):
    entry = model_entry("whole", endpoints=(dialect.path,))
    entry["capabilities"]["supports"]["streaming"] = False
    script = Script([Rule(text="word " * 50, fault=Fault(**fault))])
    served = await gateway(script=script, extra_models=[entry])
    path, body = RELAYS[dialect.name]
    async with (
        aiohttp.ClientSession() as http,
        http.post(served.url + path, json={**body, "model": "whole"}) as response,
    ):
        answer = await response.json()
    assert not json.loads(served.app.seen[-1].body).get("stream")
    assert response.status == 502
    assert "Copilot sent" in answer["error"]["message"]


async def test_a_client_cannot_keep_upstream_from_telling_usage(gateway):
    served = await gateway()
    data = await told(served, ALL[-1], stream_options={"include_usage": False})
    assert json.loads(served.app.seen[-1].body)["stream_options"] == {"include_usage": True}
    assert any(json.loads(e.data).get("usage") for e in events(data) if e.data != b"[DONE]")
