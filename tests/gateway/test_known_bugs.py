"""Faults that others' gateways have had, each with a test that fails when the fault is put back. The numbers are only for counting.

The simulator plays the upstream of the time: its quirks, and what it refuses.
"""

import asyncio
import json

import aiohttp
import openai
import pytest

from rightseat.chat import Finish, ReasoningDelta, Reply, TextDelta, ToolCall, ToolCallEvent, Usage
from rightseat.simulator.app import SimulatorApp
from rightseat.simulator.cloud import Cloud
from rightseat.simulator.faults import Fault
from rightseat.simulator.model import SimulatedModel
from rightseat.simulator.quirks import Quirks
from rightseat.simulator.script import Rule, Script, ScriptedError
from rightseat.wire.copilot_models import model_entry

HELLO = [{"role": "user", "content": "Reply with exactly: hello from the other side"}]
SUM = [{"role": "user", "content": "What is 25 * 4 + 10? Use the calculate tool."}]
SCHEMA = {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}
CHAT_TOOL = {"type": "function", "function": {"name": "calculate", "parameters": SCHEMA}}
CLAUDE_TOOL = {"name": "calculate", "input_schema": SCHEMA}


def says(*events):
    async def model(request):
        async def run():
            for event in events:
                yield event

        return Reply(run())

    return model


async def raw_stream(served, path, body) -> list[dict]:
    async with aiohttp.ClientSession() as http, http.post(f"{served.url}{path}", json={**body, "stream": True}) as r:
        text = await r.text()
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


def posted(served) -> dict:
    return json.loads(next(s.body for s in reversed(served.app.seen) if s.method == "POST"))


TWO_CALLS = says(
    TextDelta("Let me see. "),
    ToolCallEvent(ToolCall("call_1", "calculate", '{"expression": "1"}')),
    ToolCallEvent(ToolCall("call_2", "calculate", '{"expression": "2"}')),
    Usage(50, 9, 10),
    Finish("tool_calls"),
)


@pytest.mark.parametrize("quirk", ["split_choices", "no_tool_index", "zero_tool_index", "empty_first_chunk", "null_choices", "no_done", "whole_message", "annotations", "comments", "crlf"])  # fmt: skip
async def test_01_25_turns_in_several_choices_and_calls_without_index(gateway, client, claude, quirk):
    served = await gateway(model=TWO_CALLS)
    served.app.quirks = Quirks(**{quirk: True})
    whole = await (await client(served)).chat.completions.create(model="gpt-4.1", messages=SUM, tools=[CHAT_TOOL])
    assert whole.choices[0].message.content == "Let me see. "
    assert [c.function.arguments for c in whole.choices[0].message.tool_calls] == ['{"expression": "1"}', '{"expression": "2"}']  # fmt: skip
    assert whole.choices[0].finish_reason == "tool_calls"
    async with claude(served).messages.stream(
        model="gpt-4.1", max_tokens=9, messages=SUM, tools=[CLAUDE_TOOL]
    ) as stream:
        final = await stream.get_final_message()
    assert [b.input["expression"] for b in final.content if b.type == "tool_use"] == ["1", "2"]
    assert final.stop_reason == "tool_use"
    response = await (await client(served)).responses.create(model="gpt-4.1", input="hi")
    assert [i.call_id for i in response.output if i.type == "function_call"] == ["call_1", "call_2"]


async def test_02_03_a_first_tool_call_begins_the_message_and_every_block_stops_once(gateway):
    served = await gateway(model=says(ToolCallEvent(ToolCall("c", "calculate", "{}")), Finish("tool_calls")))
    said = await raw_stream(served, "/v1/messages", {"model": "gpt-4.1", "max_tokens": 9, "messages": SUM})
    kinds = [e["type"] for e in said]
    assert kinds[0] == "message_start"
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1
    assert kinds[-1] == "message_stop"


async def test_04_08_usage_is_estimated_first_and_disjoint_at_the_end(gateway):
    served = await gateway(model=TWO_CALLS)
    said = await raw_stream(served, "/v1/messages", {"model": "gpt-4.1", "max_tokens": 9, "messages": SUM})
    assert said[0]["message"]["usage"]["input_tokens"] > 0
    usage = next(e["usage"] for e in said if e["type"] == "message_delta")
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (40, 10, 9)
    whole = said_whole = (await raw_stream(served, "/v1/responses", {"model": "claude-sonnet-4.5", "input": "hi"}))[-1]
    assert whole["response"]["usage"]["input_tokens"] == 50
    assert said_whole["response"]["usage"]["input_tokens_details"]["cached_tokens"] == 10


async def test_05_usage_after_the_finish_is_read(gateway, client):
    ai = await client(await gateway())
    done = await ai.chat.completions.create(model="gpt-4.1", messages=HELLO)
    assert done.usage.completion_tokens > 0


async def test_06_counting_is_on_the_high_side(gateway, claude):
    text = "The quick brown fox jumps over the lazy dog. " * 100  # some 1,000 tokens
    counted = await claude(await gateway()).messages.count_tokens(model="claude-sonnet-4.5", messages=[{"role": "user", "content": text}])  # fmt: skip
    assert 1000 <= counted.input_tokens <= 2000


async def test_07_models_come_with_their_limits(gateway, claude, client):
    served = await gateway()
    model = await claude(served).models.retrieve("claude-sonnet-4.5")
    assert (model.max_input_tokens, model.max_tokens) == (128_000, 64_000)
    assert (await (await client(served)).models.retrieve("gpt-5")).context_window == 144_384


@pytest.mark.filterwarnings("ignore:The model")
async def test_09_10_foreign_and_empty_thinking_is_dropped(gateway, claude):
    served = await gateway()
    for signature in ("rs1:chat::from-another-model", "rs1:responses:rs_1:xyz"):
        thinking = {"type": "thinking", "thinking": "hm", "signature": signature}
        empty = {"type": "thinking", "thinking": "", "signature": ""}
        history = [*HELLO, {"role": "assistant", "content": [thinking, empty, {"type": "text", "text": "ok"}]}, *HELLO]
        await claude(served).messages.create(model="claude-sonnet-4.5", max_tokens=9, messages=history)
        assert posted(served)["messages"][1]["content"] == [{"type": "text", "text": "ok"}]


@pytest.mark.parametrize("message", ["The encrypted content for item rs_1 could not be verified.", "Invalid signature in thinking block"])  # fmt: skip
async def test_11_refused_encrypted_reasoning_is_left_out_once(gateway, client, message):
    served = await gateway(script=Script([Rule(times=1, error=ScriptedError(400, message, "invalid_request_body"))]))
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "AAA+/="}
    asked = [{"role": "user", "content": "hi"}, item, *HELLO]
    done = await (await client(served)).responses.create(model="gpt-5", input=asked)
    assert done.output_text == "hello from the other side"
    first, second = [s.body for s in served.app.seen if s.path == "/responses"]
    assert b"AAA+/=" in first
    assert b"AAA+/=" not in second


async def test_12_an_answer_in_anthropics_form_on_the_chat_endpoint(gateway, client, claude):
    served = await gateway(model=SimulatedModel(pace=0))
    served.app._models[1]["capabilities"]["supports"]["streaming"] = False
    served.app.quirks = Quirks(anthropic_body=True)
    done = await (await client(served)).chat.completions.create(model="gpt-4", messages=HELLO, max_tokens=1)
    assert done.choices[0].message.content == "hello from the other side"
    whole = await claude(served).messages.create(model="gpt-4", messages=HELLO, max_tokens=1)
    assert whole.content[0].text == "hello from the other side"


async def test_13_newer_models_get_the_limit_under_its_newer_name(gateway, client, claude):
    served = await gateway()
    await (await client(served)).chat.completions.create(model="gpt-5", messages=HELLO, max_tokens=99)
    assert (posted(served).get("max_tokens"), posted(served)["max_completion_tokens"]) == (None, 99)


@pytest.mark.parametrize(("model", "path"), [("gpt-4.1", "/chat/completions"), ("gpt-5.3-codex", "/responses"), ("my-claude", "/messages")])  # fmt: skip
async def test_14_15_every_model_is_asked_where_it_is_served_and_read_as_it_answers(
    gateway, client, claude, model, path
):
    app = [model_entry("claude-opus-4.8", endpoints=("/v1/messages",))]
    served = await gateway(settings={"aliases": {"my-claude": "claude-opus-4.8"}}, extra_models=app)
    ai = await client(served)
    chat = await ai.chat.completions.create(model=model, messages=HELLO)
    response = await ai.responses.create(model=model, input=HELLO)
    message = await claude(served).messages.create(model=model, max_tokens=50, messages=HELLO)
    assert chat.choices[0].message.content == response.output_text == message.content[0].text == "hello from the other side"  # fmt: skip
    assert {s.path for s in served.app.seen if s.method == "POST"} == {path}


async def test_16_17_a_token_that_ends_in_between_is_renewed(gateway, client):
    served = await gateway()
    ai = await client(served)
    await ai.chat.completions.create(model="gpt-4.1", messages=HELLO)
    served.cloud.revoke_all()
    assert (await ai.chat.completions.create(model="gpt-4.1", messages=HELLO)).choices
    assert served.cloud.exchanges == 2


REMINDER = {"type": "text", "text": "<system-reminder>Keep to the plan.</system-reminder>"}
RESULT = {"type": "tool_result", "tool_use_id": "1", "content": "110"}
USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "calculate", "input": {}}]}


@pytest.mark.filterwarnings("ignore:The model")
@pytest.mark.parametrize(("last", "who"), [([RESULT], "agent"), ([RESULT, REMINDER], "agent"), ([RESULT, {"type": "text", "text": "And now?"}], "user"), ("hi", "user")])  # fmt: skip
async def test_18_19_who_began_a_turn_is_told_per_turn(gateway, claude, last, who):
    served = await gateway()
    history = [*SUM, USE, {"role": "user", "content": last}]
    await claude(served).messages.create(model="claude-sonnet-4.5", max_tokens=9, messages=history, tools=[CLAUDE_TOOL])
    assert served.app.seen[-1].headers["x-initiator"] == who
    headers = {"X-Initiator": "Agent"}
    await claude(served).messages.create(model="claude-sonnet-4.5", max_tokens=9, messages=HELLO, extra_headers=headers)
    assert served.app.seen[-1].headers["x-initiator"] == "agent"


PNG = "data:image/png;base64,aGk="


@pytest.mark.filterwarnings("ignore:The model")
@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5", "claude-sonnet-4.5"])
async def test_20_images_are_announced_wherever_they_are(gateway, client, claude, model):
    served = await gateway()
    ai = await client(served)
    await ai.chat.completions.create(model=model, messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG}}]}])  # fmt: skip
    await ai.responses.create(model=model, input=[
        {"role": "user", "content": "look"},
        {"type": "function_call", "call_id": "1", "name": "see", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_image", "image_url": PNG, "detail": "auto"}]},
    ])  # fmt: skip
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    nested = {"type": "tool_result", "tool_use_id": "1", "content": [image]}
    await claude(served).messages.create(model=model, max_tokens=9, messages=[*SUM, USE, {"role": "user", "content": [nested]}])  # fmt: skip
    sent = [s for s in served.app.seen if s.method == "POST"]
    assert [s.headers.get("copilot-vision-request") for s in sent] == ["true"] * 3
    assert all(b"aGk=" in s.body for s in sent)


async def test_21_every_call_carries_every_header(gateway, client):
    served = await gateway()
    ai = await client(served)
    await ai.chat.completions.create(model="gpt-4.1", messages=HELLO)
    await ai.responses.create(model="gpt-5", input="hi")
    await ai.embeddings.create(model="text-embedding-3-small", input="hi")
    assert {s.path for s in served.app.seen} >= {"/copilot_internal/v2/token", "/models", "/embeddings"}
    for sent in served.app.seen:
        for name in ("user-agent", "editor-version", "editor-plugin-version", "x-github-api-version"):
            assert sent.headers.get(name), (sent.path, name)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
async def test_22_silence_is_filled(gateway, path):
    async def thinks(request):
        async def run():
            await asyncio.sleep(0.25)
            yield TextDelta("at last")
            yield Finish("stop")

        return Reply(run())

    served = await gateway(model=thinks, settings={"ping_seconds": 0.05})
    body = {"model": "gpt-5", "max_tokens": 9, "stream": True, "messages": HELLO, "input": "hi"}
    async with aiohttp.ClientSession() as http, http.post(f"{served.url}{path}", json=body) as response:
        text = await response.text()
    assert "ping" in text.partition("at last")[0]
    assert "at last" in text


@pytest.mark.filterwarnings("ignore:The model")
async def test_23_blank_texts_and_blanks_at_the_end(gateway, client, claude):
    served = await gateway()
    said = [
        {"role": "user", "content": [{"type": "text", "text": " "}, {"type": "text", "text": "hi"}]},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "t", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "x"},
        {"role": "assistant", "content": "So: \n"},
    ]  # fmt: skip
    await (await client(served)).chat.completions.create(model="gpt-4.1", messages=said)
    sent = posted(served)["messages"]
    assert sent[0]["content"] == [{"type": "text", "text": "hi"}]
    assert sent[1]["content"] is None
    assert sent[3]["content"] == "So:"
    blocks = [{"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "hi"}]}, {"role": "assistant", "content": "So: "}]  # fmt: skip
    for model in ("claude-sonnet-4.5", "gpt-4.1", "gpt-5"):
        await claude(served).messages.create(model=model, max_tokens=9, messages=blocks)


@pytest.mark.filterwarnings("ignore:The model")
@pytest.mark.parametrize("model", ["claude-sonnet-4.5", "gpt-4.1"])
async def test_24_the_billing_line_is_no_part_of_the_prompt(gateway, claude, model):
    served = await gateway()
    system = [{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197.abc;"}, {"type": "text", "text": "Be kind."}]  # fmt: skip
    await claude(served).messages.create(model=model, max_tokens=9, messages=HELLO, system=system)
    assert b"billing" not in served.app.seen[-1].body
    assert b"Be kind." in served.app.seen[-1].body


@pytest.mark.filterwarnings("ignore:The model")
@pytest.mark.parametrize("name", ["claude-sonnet-4-5-20250929", "claude-sonnet-4-5", "claude-sonnet-4.5[1m]", "claude-sonnet-4-5-latest"])  # fmt: skip
async def test_26_dated_names_are_mapped_to_live_ones(gateway, claude, name):
    served = await gateway()
    await claude(served).messages.create(model=name, max_tokens=9, messages=HELLO)
    assert posted(served)["model"] == "claude-sonnet-4.5"


async def test_27_a_tool_without_parameters_gets_an_empty_object(gateway, client, claude):
    served = await gateway()
    tools = [{"type": "function", "function": {"name": "now"}}, {"type": "function", "function": {"name": "then", "parameters": {}}}]  # fmt: skip
    await (await client(served)).chat.completions.create(model="gpt-4.1", messages=HELLO, tools=tools)
    assert all(t["function"]["parameters"]["type"] == "object" for t in posted(served)["tools"])
    await claude(served).messages.create(model="gpt-4.1", max_tokens=9, messages=HELLO, tools=[{"name": "now", "input_schema": {}}])  # fmt: skip
    assert posted(served)["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.filterwarnings("ignore:The model")
@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5"])
async def test_28_calls_and_results_are_paired(gateway, client, claude, model):
    served = await gateway()
    orphan = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "9", "content": "stray"}]}
    await claude(served).messages.create(model=model, max_tokens=9, messages=[*SUM, USE, *HELLO, orphan])
    call = {"id": "1", "type": "function", "function": {"name": "t", "arguments": "{}"}}
    said = [{"role": "tool", "tool_call_id": "9", "content": "stray"}, *SUM, {"role": "assistant", "tool_calls": [call]}, *HELLO]  # fmt: skip
    await (await client(served)).chat.completions.create(model=model, messages=said)
    roles = [m["role"] for m in posted(served)["messages"]]
    assert roles == ["user", "user", "assistant", "tool", "user"]


async def test_29_reasoning_alone_is_said(gateway, claude):
    served = await gateway(model=says(ReasoningDelta("hm"), Finish("stop")))
    async with claude(served).messages.stream(model="gpt-4.1", max_tokens=9, messages=HELLO) as stream:
        final = await stream.get_final_message()
    assert [(b.type, b.thinking) for b in final.content] == [("thinking", "hm")]


async def test_30_one_requests_error_is_never_the_nexts(gateway):
    served = await gateway(script=Script([Rule(when="cut", text="word " * 50, fault=Fault(cut=900))]))
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{served.url}/v1/responses") as socket:
            await socket.send_json({"type": "response.create", "model": "gpt-4.1", "input": "cut"})
            await socket.send_json({"type": "response.create", "model": "gpt-4.1", "input": "Reply with exactly: next"})
            said = [json.loads(m.data) async for m in socket]
        assert said[-1]["type"] == "error"
        assert not any("next" in str(frame) for frame in said)  # the connection is given up instead
        async with http.ws_connect(f"{served.url}/v1/responses") as socket:
            await socket.send_json({"type": "response.create", "model": "gpt-4.1", "input": "Reply with exactly: next"})
            while (frame := json.loads((await socket.receive(timeout=5)).data))["type"] != "response.completed":
                assert frame["type"] != "error"


@pytest.mark.parametrize("after", [7, "Fri, 01 Jan 2100 00:00:00 GMT"])
async def test_31_a_429_shows_at_once_with_its_retry_after_and_is_not_repeated(gateway, client, after):
    served = await gateway(script=Script([Rule(error=ScriptedError(429, "too fast", "rate_limited", after))]))
    with pytest.raises(openai.RateLimitError, match="too fast") as caught:
        await (await client(served)).chat.completions.create(model="gpt-4.1", messages=HELLO)
    assert int(caught.value.response.headers["retry-after"]) >= 7
    assert len([s for s in served.app.seen if s.method == "POST"]) == 1


@pytest.mark.filterwarnings("ignore:The model")
async def test_32_a_history_survives_a_change_of_model(gateway, claude):
    served = await gateway(model=says(ReasoningDelta("hm"), TextDelta("ok"), ToolCallEvent(ToolCall("c1", "calculate", "{}")), Finish("tool_calls")))  # fmt: skip
    ai = claude(served)
    history = [*SUM]
    for model in ("gpt-5", "claude-sonnet-4.5", "gpt-4.1", "gpt-5", "gpt-4.1", "claude-sonnet-4.5"):
        done = await ai.messages.create(model=model, max_tokens=9, messages=history, tools=[CLAUDE_TOOL])
        history += [{"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in done.content]}]
        history += [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "1"}]}]


async def test_33_streaming_works_with_a_node_client(gateway, node):
    served = await gateway()
    said = await node(served, """
        const stream = await client.chat.completions.create({model: "gpt-4.1", stream: true, messages: [{role: "user", content: "Reply with exactly: hello node"}]});
        let text = ""; for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
        console.log(text);
    """)  # fmt: skip
    assert said.strip() == "hello node"


# Errors inside a stream, ids that change within an item, unsupported parameters, disabled and broken entries of the model list.


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5", "claude-sonnet-4.5"])
async def test_an_error_inside_a_stream_is_told_in_the_clients_dialect(gateway, path, model):
    served = await gateway(model=says(*[TextDelta("word ")] * 5, Finish("stop")))
    served.app.quirks = Quirks(error_after=3)
    body = {"model": model, "max_tokens": 9, "stream": True, "messages": HELLO, "input": "hi"}
    async with aiohttp.ClientSession() as http, http.post(f"{served.url}{path}", json=body) as response:
        text = b""
        try:
            async for chunk in response.content.iter_any():
                text += chunk
        except aiohttp.ClientPayloadError:
            pass  # cut off, so that no client takes the part for the whole
    assert b"simulated error in the stream" in text


SAYS_THE_END = 'data: [DONE] event: error {"type":"message_stop"} "finish_reason":"stop" [DONE]'


@pytest.mark.parametrize("fault", [{"end": 560}, {"cut": 560}, {"garbage": "<html>\n\n", "end": 560}], ids=str)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5", "claude-sonnet-4.5"])
async def test_a_part_is_never_taken_for_the_whole_whatever_the_model_says(gateway, path, model, fault):
    served = await gateway(script=Script([Rule(chunks=[SAYS_THE_END] * 20, fault=Fault(**fault))]))
    body = {"model": model, "max_tokens": 9, "messages": HELLO, "input": "hi"}
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{served.url}{path}", json=body) as response:
            assert response.status >= 400
        async with http.post(f"{served.url}{path}", json={**body, "stream": True}) as response:
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()


async def test_items_keep_one_id(gateway, client):
    served = await gateway()
    served.app.quirks = Quirks(fresh_item_ids=True)
    ids: dict[int, set[str]] = {}
    for event in await raw_stream(served, "/v1/responses", {"model": "gpt-5", "input": SUM, "tools": [{"type": "function", "name": "calculate", "parameters": SCHEMA}]}):  # fmt: skip
        if "output_index" in event:
            ids.setdefault(event["output_index"], set()).add(event.get("item_id") or event["item"]["id"])
        for i, item in enumerate(event.get("response", {}).get("output", ())):
            ids[i].add(item["id"])
    assert ids
    assert all(len(found) == 1 for found in ids.values())


async def test_unsupported_parameters_are_left_out_with_a_warning(gateway, client, caplog):
    served = await gateway()
    ai = await client(served)
    answer = await ai.chat.completions.with_raw_response.create(model="gpt-4.1", messages=HELLO, logprobs=True, top_logprobs=3, n=1)  # fmt: skip
    assert answer.headers["warning"] == '299 rightseat "not supported and left out: logprobs, top_logprobs"'
    assert not {"logprobs", "top_logprobs"} & set(posted(served))
    answer = await ai.chat.completions.with_raw_response.create(
        model="gpt-5.3-codex", messages=HELLO, stop=["x"], seed=1
    )
    assert "stop" in answer.headers["warning"]
    answer = await ai.chat.completions.with_raw_response.create(model="gpt-4.1", messages=HELLO, temperature=0.5)
    assert "warning" not in answer.headers


async def test_too_large_limits_are_clamped_in_every_dialect(gateway, client, claude):
    served = await gateway()
    async with claude(served).messages.stream(model="claude-sonnet-4.5", max_tokens=128_000, messages=HELLO) as stream:
        await stream.get_final_message()
    assert posted(served)["max_tokens"] == 64_000
    await (await client(served)).responses.create(model="gpt-5", input="hi", max_output_tokens=999_999)
    assert posted(served)["max_output_tokens"] == 16_384


async def test_disabled_doubled_and_broken_entries_of_the_model_list(gateway, client):
    odd = [{**model_entry("off"), "policy": {"state": "disabled"}}, model_entry("gpt-5", name="again"), {"id": 5}, "x", None, {"name": "no id"}]  # fmt: skip
    ai = await client(await gateway(extra_models=odd))
    ids = [m.id async for m in ai.models.list()]
    assert ids.count("gpt-5") == 1
    assert "off" not in ids


async def test_who_fakes_an_upstream_error_of_its_own_token_gets_no_401(gateway, client):
    served = await gateway(script=Script([Rule(error=ScriptedError(401, "unauthorized: token expired"))]))
    with pytest.raises(openai.InternalServerError, match="Copilot refused the gateway's own token"):
        await (await client(served)).chat.completions.create(model="gpt-4.1", messages=HELLO)


def test_the_app_of_these_tests_is_the_simulator():
    assert SimulatorApp(SimulatedModel(), cloud=Cloud()).quirks == Quirks()
