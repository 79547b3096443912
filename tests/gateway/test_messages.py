"""The Anthropic face with the unmodified Anthropic client, over models that speak OpenAI's dialect."""

import asyncio
import json

import aiohttp
import anthropic
import openai
import pytest

from rightseat.chat import Finish, ReasoningDelta, ReasoningOpaque, Reply, TextDelta, ToolCall, ToolCallEvent, Usage
from rightseat.simulator.script import Rule, Script, ScriptedError

HELLO = [{"role": "user", "content": "Reply with exactly: hello from the other side"}]
TOOL = {
    "name": "calculate",
    "input_schema": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
}


async def test_whole_and_streamed_answers(gateway, claude):
    ai = claude(await gateway())
    whole = await ai.messages.create(model="gpt-5", max_tokens=100, messages=HELLO)
    assert whole.content[0].text == "hello from the other side"
    assert whole.stop_reason == "end_turn"
    assert whole.usage.input_tokens > 0
    assert whole.usage.output_tokens > 0
    async with ai.messages.stream(model="gpt-5", max_tokens=100, messages=HELLO) as stream:
        text = [piece async for piece in stream.text_stream]
        final = await stream.get_final_message()
    assert "".join(text) == "hello from the other side" == final.content[0].text
    assert len(text) > 3
    assert final.usage.output_tokens == whole.usage.output_tokens


async def test_a_tool_turn(gateway, claude):
    served = await gateway()
    ai = claude(served)
    messages = [{"role": "user", "content": "What is 25 * 4 + 10? Use the calculate tool."}]
    first = await ai.messages.create(model="gpt-4.1", max_tokens=100, messages=messages, tools=[TOOL])
    assert first.stop_reason == "tool_use"
    async with ai.messages.stream(model="gpt-4.1", max_tokens=100, messages=messages, tools=[TOOL]) as stream:
        final = await stream.get_final_message()
    (use,) = [block for block in final.content if block.type == "tool_use"]
    assert (use.name, use.input) == ("calculate", {"expression": "25 * 4 + 10"})
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "110"}
    history = [
        *messages,
        {"role": "assistant", "content": [block.model_dump() for block in final.content]},
        {"role": "user", "content": [result]},
    ]
    answer = await ai.messages.create(model="gpt-4.1", max_tokens=100, messages=history, tools=[TOOL])
    assert "110" in answer.content[0].text
    sent = [s for s in served.app.seen if s.path == "/chat/completions"][-1]
    assert sent.headers["x-initiator"] == "agent"
    assert [m["role"] for m in json.loads(sent.body)["messages"]] == ["user", "assistant", "tool"]


async def test_the_system_prompt_images_and_limits(gateway, claude):
    served = await gateway()
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    system = [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=1"},
        {"type": "text", "text": "Be kind."},
    ]
    messages = [{"role": "user", "content": [image, {"type": "text", "text": "hi"}]}]
    ai = claude(served)
    async with ai.messages.stream(
        model="gpt-4.1", max_tokens=128_000, system=system, messages=messages, stop_sequences=["x"]
    ) as stream:
        await stream.get_final_message()
    sent = served.app.seen[-1]
    body = json.loads(sent.body)
    assert sent.headers["copilot-vision-request"] == "true"
    assert body["messages"][0] == {"role": "system", "content": "Be kind."}
    assert body["messages"][1]["content"][0]["image_url"]["url"] == "data:image/png;base64,aGk="
    assert body["max_tokens"] == 16_384
    assert body["stop"] == ["x"]


@pytest.mark.filterwarnings("ignore:The model")  # the client's own remark on a dated name
async def test_a_model_that_speaks_anthropic_gets_the_clients_own_bytes(gateway, claude):
    served = await gateway()
    body = b'{"model":"claude-sonnet-4.5", "max_tokens":10,"stream":true,"brand_new":1,"messages":[{"role":"user","content":"Reply with exactly: x"}]}'
    async with aiohttp.ClientSession() as http, http.post(f"{served.url}/v1/messages", data=body) as response:
        text = await response.text()
    assert text.count("event: message_stop") == 1
    assert (served.app.seen[-1].path, served.app.seen[-1].body) == ("/messages", body)
    ai = claude(served)
    whole = await ai.messages.create(model="claude-sonnet-4-5", max_tokens=10, messages=HELLO)
    assert whole.content[0].text == "hello from the other side"
    async with ai.messages.stream(model="claude-sonnet-4.5", max_tokens=10, messages=HELLO) as stream:
        assert await stream.get_final_text() == "hello from the other side"


def says(*events):
    async def model(request):
        async def run():
            for event in events:
                yield event

        return Reply(run())

    return model


async def test_thinking_and_its_signature_come_and_go_back_byte_for_byte(gateway, claude):
    events = (
        ReasoningDelta("First, "),
        ReasoningDelta("think."),
        ReasoningOpaque("opaque+/="),
        TextDelta("Then speak."),
        Finish("stop"),
    )
    served = await gateway(model=says(*events))
    ai = claude(served)
    async with ai.messages.stream(model="gpt-4.1", max_tokens=100, messages=HELLO) as stream:
        final = await stream.get_final_message()
    thinking, text = final.content
    assert (thinking.type, thinking.thinking) == ("thinking", "First, think.")
    assert text.text == "Then speak."
    history = [
        *HELLO,
        {"role": "assistant", "content": [thinking.model_dump(), text.model_dump()]},
        {"role": "user", "content": "go on"},
    ]
    await ai.messages.create(model="gpt-4.1", max_tokens=100, messages=history)
    sent = json.loads(served.app.seen[-1].body)["messages"][1]
    assert (sent["reasoning_text"], sent["reasoning_opaque"]) == ("First, think.", "opaque+/=")
    foreign = {"type": "thinking", "thinking": "from elsewhere", "signature": "EqQBCgIYAg=="}
    history[1]["content"][0] = foreign
    await ai.messages.create(model="gpt-4.1", max_tokens=100, messages=history)
    assert "reasoning_text" not in json.loads(served.app.seen[-1].body)["messages"][1]


async def test_every_block_starts_and_stops_once(gateway):
    call = ToolCall("call_1", "t", '{"a": 1}')
    events = (
        ReasoningDelta("hm"),
        TextDelta("a"),
        ToolCallEvent(call),
        ToolCallEvent(ToolCall("call_2", "t", "{}")),
        Usage(10, 5, 4),
        Finish("stop"),
    )
    served = await gateway(model=says(*events))
    body = {"model": "gpt-5", "max_tokens": 10, "stream": True, "messages": HELLO}
    async with aiohttp.ClientSession() as http, http.post(f"{served.url}/v1/messages", json=body) as response:
        lines = (await response.text()).splitlines()
    said = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert [line.removeprefix("event: ") for line in lines if line.startswith("event: ")] == [s["type"] for s in said]
    kinds = [s["type"] for s in said]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("message_stop") == 1
    starts = [s["index"] for s in said if s["type"] == "content_block_start"]
    assert starts == [0, 1, 2, 3] == [s["index"] for s in said if s["type"] == "content_block_stop"]
    assert said[0]["message"]["usage"]["input_tokens"] > 0
    delta = said[-2]
    assert delta["delta"]["stop_reason"] == "tool_use"
    assert delta["usage"] == {
        "input_tokens": 6,
        "output_tokens": 5,
        "cache_read_input_tokens": 4,
        "cache_creation_input_tokens": 0,
        **dict.fromkeys(
            ("output_tokens_details", "server_tool_use", "cache_creation", "inference_geo", "service_tier")
        ),
    }


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (503, anthropic.InternalServerError, "overloaded_error"),
    ],
)
async def test_upstream_errors_in_anthropics_form(gateway, claude, status, error, kind):
    ai = claude(await gateway(script=Script([Rule(error=ScriptedError(status, "said upstream", retry_after=2))])))
    with pytest.raises(error, match="said upstream") as caught:
        await ai.messages.create(model="gpt-5", max_tokens=10, messages=HELLO)
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.response.headers["retry-after"] == "2"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"messages": []}, "messages: must be"),
        ({"messages": [{"role": "robot", "content": "x"}]}, r"messages\[0\].role"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "kind 'video'"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        ({"system": 5}, "system: must be"),
    ],
)
async def test_bad_requests_name_the_field(gateway, claude, change, says):
    ai = claude(await gateway())
    with pytest.raises(anthropic.BadRequestError, match=says):
        await ai.messages.create(**{"model": "gpt-5", "max_tokens": 10, "messages": HELLO, **change})


async def test_a_stream_that_breaks_is_an_error_event_and_never_a_clean_end(gateway, claude):
    async def breaks(request):
        async def run():
            yield TextDelta("the beginning ")
            raise ConnectionResetError

        return Reply(run())

    ai = claude(await gateway(model=breaks))
    with pytest.raises(anthropic.APIStatusError, match="disconnected"):
        async with ai.messages.stream(model="gpt-5", max_tokens=10, messages=HELLO) as stream:
            await stream.get_final_message()


async def test_counting_models_and_both_ways_to_show_a_key(gateway, claude):
    served = await gateway(settings={"keys": ("a-key-of-16-chars-or-more",)})
    ai = claude(served, api_key="a-key-of-16-chars-or-more")
    assert (await ai.messages.count_tokens(model="gpt-5", messages=HELLO)).input_tokens > 10
    models = [m async for m in ai.models.list()]
    assert models[0].id == "gpt-5"
    assert models[0].display_name
    assert (await ai.models.retrieve("gpt-4")).id == "gpt-4"
    with pytest.raises(anthropic.AuthenticationError, match="Invalid API key"):
        await claude(served).models.list()
    async with aiohttp.ClientSession() as http:
        headers = {"x-api-key": "a-key-of-16-chars-or-more", "anthropic-version": "2023-06-01"}
        async with http.get(f"{served.url}/v1/models", headers=headers) as response:
            assert (await response.json())["first_id"] == "gpt-5"


async def test_silence_is_filled_with_pings(gateway, claude):
    async def thinks(request):
        async def run():
            await asyncio.sleep(0.3)
            yield TextDelta("at last")
            yield Finish("stop")

        return Reply(run())

    served = await gateway(model=thinks, settings={"ping_seconds": 0.1})
    async with claude(served).messages.stream(model="gpt-5", max_tokens=10, messages=HELLO) as stream:
        assert (await stream.get_final_text()) == "at last"


async def test_both_dialects_on_one_gateway(gateway, claude, client):
    served = await gateway()
    one, two = await asyncio.gather(
        claude(served).messages.create(model="gpt-5", max_tokens=50, messages=HELLO),
        (await client(served)).chat.completions.create(model="gpt-5", messages=HELLO),
    )
    assert one.content[0].text == two.choices[0].message.content
    assert openai.__version__
