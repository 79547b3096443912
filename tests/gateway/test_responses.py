"""The responses face with the unmodified OpenAI client, over HTTP and over WebSocket, whatever the model speaks."""

import asyncio
import json

import aiohttp
import openai
import pytest

from rightseat.chat import Finish, ReasoningDelta, ReasoningOpaque, Reply, TextDelta, Usage
from rightseat.simulator.faults import Fault
from rightseat.simulator.script import Rule, Script, ScriptedError

HELLO = "Reply with exactly: hello from the other side"
TOOL = {
    "type": "function",
    "name": "calculate",
    "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
}
MODELS = ["gpt-5", "gpt-4.1", "claude-sonnet-4.5"]  # native, over chat, over messages


@pytest.mark.parametrize("model", MODELS)
async def test_whole_and_streamed_answers(gateway, client, model):
    ai = await client(await gateway())
    whole = await ai.responses.create(model=model, input=HELLO)
    assert whole.output_text == "hello from the other side"
    assert whole.status == "completed"
    assert whole.usage.output_tokens > 0
    async with ai.responses.stream(model=model, input=HELLO) as stream:
        text = [e.delta async for e in stream if e.type == "response.output_text.delta"]
        final = await stream.get_final_response()
    assert "".join(text) == final.output_text == "hello from the other side"
    assert len(text) > 3


@pytest.mark.parametrize("model", MODELS)
async def test_a_tool_turn(gateway, client, model):
    served = await gateway()
    ai = await client(served)
    asked = [{"role": "user", "content": "What is 25 * 4 + 10? Use the calculate tool."}]
    async with ai.responses.stream(model=model, input=asked, tools=[TOOL]) as stream:
        final = await stream.get_final_response()
    (call,) = [item for item in final.output if item.type == "function_call"]
    assert json.loads(call.arguments) == {"expression": "25 * 4 + 10"}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "110"}
    history = [*asked, *(item.model_dump(exclude_none=True) for item in final.output), result]
    for item in history:
        item.pop("parsed_arguments", None)
    answer = await ai.responses.create(model=model, input=history, tools=[TOOL])
    assert "110" in answer.output_text
    assert served.app.seen[-1].headers["x-initiator"] == "agent"


async def test_bytes_pass_where_the_model_speaks_the_dialect(gateway):
    served = await gateway()
    body = b'{"model":"gpt-5",  "input":"Reply with exactly: x", "stream":true, "brand_new":{"a":1}, "tools":[{"type":"web_search"},{"type":"custom","name":"exec","format":{"type":"grammar"}},{"type":"namespace","name":"n","tools":[]}]}'
    async with aiohttp.ClientSession() as http, http.post(f"{served.url}/v1/responses", data=body) as response:
        text = await response.text()
    assert text.count("event: response.completed") == 1
    assert served.app.seen[-1].body == body


@pytest.mark.parametrize("kind", ["web_search", "tool_search", "image_generation"])
async def test_tools_that_cannot_be_expressed_are_refused_by_name(gateway, client, kind):
    ai = await client(await gateway())
    with pytest.raises(openai.BadRequestError, match=kind):
        await ai.responses.create(model="gpt-4.1", input="hi", tools=[{"type": kind}])
    drops = await client(await gateway(settings={"unsupported_tools": "drop"}))
    answer = await drops.responses.with_raw_response.create(model="gpt-4.1", input="hi", tools=[{"type": kind}, TOOL])
    assert answer.headers["warning"] == f'299 rightseat "not supported and left out: tool {kind}"'
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        await ai.responses.create(model="gpt-4.1", input="hi", previous_response_id="resp_1")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("setting", ["pass", "function"])
async def test_tools_that_take_text_and_tools_in_namespaces_work_with_every_model(gateway, client, model, setting):
    ai = await client(await gateway(settings={"custom_tools": setting}))
    exec_tool = {"type": "custom", "name": "exec", "description": "runs code"}
    extra = {"type": "additional_tools", "role": "developer", "tools": [{"type": "namespace", "name": "functions", "tools": [exec_tool]}]}  # fmt: skip
    asked = [extra, {"role": "user", "content": "Use the exec tool, which some know as functions__exec"}]
    done = await ai.responses.create(model=model, input=asked)
    (call,) = [item for item in done.output if item.type == "custom_tool_call"]
    assert (call.name, call.namespace) == ("exec", "functions")
    assert call.input


def says(*events):
    async def model(request):
        async def run():
            for event in events:
                yield event

        return Reply(run())

    return model


THOUGHT = (ReasoningDelta("First, "), ReasoningDelta("think."), ReasoningOpaque("opaque+/="), TextDelta("Then speak."), Usage(9, 5, 3), Finish("stop"))  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
async def test_encrypted_reasoning_comes_and_goes_back_byte_for_byte(gateway, client, model):
    served = await gateway(model=says(*THOUGHT))
    ai = await client(served)
    done = await ai.responses.create(model=model, input="hi", include=["reasoning.encrypted_content"])
    reasoning, message = done.output
    assert reasoning.summary[0].text == "First, think."
    assert message.content[0].text == "Then speak."
    assert done.usage.input_tokens_details.cached_tokens == 3
    items = [{"role": "user", "content": "hi"}, *(i.model_dump(exclude_none=True) for i in done.output)]
    await ai.responses.create(model=model, input=[*items, {"role": "user", "content": "go on"}])
    assert b"opaque+/=" in served.app.seen[-1].body
    assert b"rs1:" not in served.app.seen[-1].body
    for other in MODELS:  # what one model has encrypted is not shown to another
        if other != model:
            await ai.responses.create(model=other, input=[*items, {"role": "user", "content": "go on"}])
            foreign = model == "gpt-5" and other != "gpt-5"
            assert (b"opaque" not in served.app.seen[-1].body) or not foreign


@pytest.mark.parametrize("model", MODELS)
async def test_a_stream_that_breaks_is_an_error_and_never_a_clean_end(gateway, client, model):
    served = await gateway(script=Script([Rule(text="the beginning of something", fault=Fault(cut=400))]))
    ai = await client(served)
    with pytest.raises((openai.APIError, openai.APIConnectionError)):
        async for _ in await ai.responses.create(model=model, input="hi", stream=True):
            pass
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with http.post(
                f"{served.url}/v1/responses", json={"model": model, "input": "hi", "stream": True}
            ) as r:
                await r.read()


@pytest.mark.parametrize("model", MODELS)
async def test_errors_have_the_right_class(gateway, client, model):
    ai = await client(await gateway(script=Script([Rule(error=ScriptedError(429, "too fast", "rate_limited", 7))])))
    with pytest.raises(openai.RateLimitError, match="too fast") as caught:
        await ai.responses.create(model=model, input="hi")
    assert caught.value.response.headers["retry-after"] == "7"


async def frames(socket):
    """The frames of one answer."""
    found = []
    while not found or found[-1]["type"] not in (
        "response.completed",
        "response.failed",
        "response.incomplete",
        "error",
    ):
        found.append(json.loads((await socket.receive(timeout=10)).data))
    return found


@pytest.mark.parametrize("model", MODELS)
async def test_a_conversation_over_a_websocket(gateway, model):
    served = await gateway()
    headers = {"authorization": "Bearer any", "openai-beta": "responses_websockets=2026-02-06"}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{served.url}/v1/responses", headers=headers, compress=15) as socket,
    ):
        start = {"type": "response.create", "model": model, "tools": [TOOL], "store": False}
        instructions = {"type": "message", "role": "developer", "content": "Be brief."}
        await socket.send_json({**start, "input": [instructions], "generate": False})
        created, prepared = await frames(socket)
        assert (created["type"], prepared["type"]) == ("response.created", "response.completed")
        before = len([s for s in served.app.seen if s.method == "POST"])
        await socket.send_json(
            {
                **start,
                "previous_response_id": prepared["response"]["id"],
                "input": [
                    {"type": "message", "role": "user", "content": "What is 25 * 4 + 10? Use the calculate tool."}
                ],
            }
        )
        first = (await frames(socket))[-1]["response"]
        (call,) = [item for item in first["output"] if item["type"] == "function_call"]
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "110"}
        await socket.send_json({**start, "previous_response_id": first["id"], "input": [result]})
        said = await frames(socket)
        assert "110" in "".join(f["delta"] for f in said if f["type"] == "response.output_text.delta")
        posts = [s for s in served.app.seen if s.method == "POST"]
        assert len(posts) == before + 2
        assert b"Be brief." in posts[-1].body
        assert posts[-1].headers["x-initiator"] == "agent"
        await socket.send_json({**start, "previous_response_id": "resp_foreign", "input": "hi"})
        (error,) = await frames(socket)
        assert error["error"]["code"] == "previous_response_not_found"
        await socket.send_str("no json")
        assert (await frames(socket))[-1]["status"] == 400


async def test_a_websocket_needs_the_key_and_tells_errors_in_frames(gateway):
    served = await gateway(
        settings={"keys": ("a-key-of-16-chars-or-more",)},
        script=Script([Rule(when="fast", error=ScriptedError(503, "too fast", "model_overloaded", 7)), Rule(when="cut", text="word " * 50, fault=Fault(cut=900))]),
    )  # fmt: skip
    url = f"{served.url}/v1/responses"
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(url)
        assert caught.value.status == 401
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{served.url}/v1/elsewhere")
        async with http.ws_connect(url, headers={"x-api-key": "a-key-of-16-chars-or-more"}) as socket:
            await socket.send_json({"type": "response.create", "model": "gpt-5", "input": "fast"})
            (error,) = await frames(socket)
            assert (error["status"], error["error"]["code"], error["headers"]["retry-after"]) == (
                503,
                "model_overloaded",
                "7",
            )
            await asyncio.sleep(0)
        async with http.ws_connect(url, headers={"x-api-key": "a-key-of-16-chars-or-more"}) as socket:
            await socket.send_json({"type": "response.create", "model": "gpt-4", "input": "cut"})
            assert (await frames(socket))[-1]["type"] == "error"
            closed = await socket.receive(timeout=5)
            assert closed.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
            assert socket.close_code == 1011
