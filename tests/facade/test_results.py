"""What an answer comes with: warnings, usage with its cost, a limit of its length; and the list of models."""

import json

import pytest
from aiohttp import web

from rightseat import AnswerTooLongError, CopilotSDK, InvalidOptionError
from rightseat.backends.fitting import fitted, warnings_of
from rightseat.backends.registry import Model
from rightseat.chat import ChatRequest, Message, ReasoningDelta, ToolSpec, Usage
from rightseat.facade.options import RequestOptions
from rightseat.handler import tool_call
from rightseat.simulator.quirks import Quirks
from rightseat.testing import ScriptedHandler
from rightseat.wire import dialects

VALUES = {
    "temperature": 0.5,
    "top_p": 0.5,
    "max_tokens": 100,
    "stop": ["a"],
    "seed": 3,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "reasoning_effort": "low",
    "thinking_budget": 2048,
    "verbosity": "low",
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "prompt_cache_key": "k",
    "user": "u",
}
DIALECTS = {dialect.name: dialect for dialect in dialects.ALL}


def sent(dialect, name, value, model="gpt-4.1"):
    """The body with an option, the one without it, and what is told of it."""
    known = Model(model, max_output_tokens=16_384)
    plain = ChatRequest(model, (Message("user", "hi"),), (ToolSpec("look"),))
    given = ChatRequest(model, plain.messages, plain.tools, extra={name: value})
    asked = fitted(given, known, dialect, stream=True)
    before = dialect.encode(fitted(plain, known, dialect, stream=True))
    return dialect.encode(asked), before, warnings_of(given, asked, dialect)


def test_every_option_has_a_value_here():
    assert set(VALUES) == set(RequestOptions.__annotations__) - {"extra_body"}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_option_changes_what_is_sent_or_is_named_in_a_warning(dialect, name):
    after, before, warnings = sent(DIALECTS[dialect], name, VALUES[name])
    if after == before:
        assert [w.partition(":")[0] for w in warnings] == [name]
    elif name != "thinking_budget":  # which becomes an effort where a model has none
        assert warnings == ()


def test_what_is_asked_for_otherwise_is_told():
    messages, responses, chat = (DIALECTS[name] for name in ("messages", "responses", "chat"))
    assert sent(chat, "max_tokens", 99_999)[2] == ("max_tokens: gpt-4.1 takes 16384 where 99999 was asked for",)
    assert sent(chat, "max_tokens", 99_999, "gpt-5")[2] == ("max_tokens: gpt-5 takes 16384 where 99999 was asked for",)
    assert sent(responses, "max_tokens", 3)[2] == ("max_tokens: gpt-4.1 takes 16 where 3 was asked for",)
    assert sent(messages, "max_tokens", 16_384)[2] == ()
    assert sent(responses, "thinking_budget", 20_000)[2] == ("thinking_budget: gpt-4.1 has none; the effort is high",)
    assert sent(messages, "reasoning_effort", "minimal")[2] == ("reasoning_effort: gpt-4.1 has no 'minimal'",)
    assert sent(messages, "top_k", 3)[2] == ("top_k: gpt-4.1 has no such option",)
    assert sent(messages, "parallel_tool_calls", None)[2] == ()


@pytest.mark.parametrize("cache", [None, True])
async def test_warnings_come_with_the_answer(simulator, cache):
    async with CopilotSDK("gho_token", host=simulator.url, model="claude-sonnet-4.5", cache=cache) as sdk:
        for _ in range(2):
            response = await sdk.chat("Reply with exactly: hello", seed=3, temperature=0.1)
            assert response.warnings == ("seed: claude-sonnet-4.5 has no such option",)
        assert (await sdk.chat("Reply with exactly: hello")).warnings == ()


async def test_what_copilot_refuses_is_left_out_and_told(simulator):
    async with CopilotSDK("gho_token", host=simulator.url, model="gpt-4.1") as sdk:
        response = await sdk.chat("Reply with exactly: hello", extra_body={"n": 2, "top_k": 3})
    assert (response.text, response.warnings) == ("hello", ("n: gpt-4.1 has no such option",))
    body = json.loads([s for s in simulator.app.seen if s.path.endswith("/chat/completions")][-1].body)
    assert "n" not in body
    assert body["top_k"] == 3  # what nobody knows is the server's to judge


# The length.


async def test_an_answer_that_has_no_end_is_given_up_and_the_limit_is_named():
    async def endless(_):
        while True:
            yield "x" * 1000

    async with CopilotSDK(handler=endless) as sdk:
        session = await sdk.create_session()
        with pytest.raises(AnswerTooLongError, match="longer than 4194304 characters, set max_answer_chars= to allow"):
            await session.chat("?")
        with pytest.raises(AnswerTooLongError, match="longer than 2500 characters") as caught:
            await session.chat("?", max_answer_chars=2500)
        assert caught.value.limit == 2500
        seen = 0
        with pytest.raises(AnswerTooLongError):
            async for chunk in session.stream("?", max_answer_chars=2500):
                seen += len(chunk.text)
        assert seen == 2000
        assert session.history == ()


async def test_the_limit_covers_thoughts_and_all_steps_and_can_be_taken_away():
    def look() -> str:
        """Look."""
        return "x"

    said = [[ReasoningDelta("t" * 30), tool_call("look")], "y" * 30]
    async with CopilotSDK(handler=ScriptedHandler(sequence=[*said, *said, "z" * 100])) as sdk:
        with pytest.raises(AnswerTooLongError):
            await sdk.chat("?", tools=[look], max_answer_chars=50)
        assert (await sdk.chat("?", tools=[look], max_answer_chars=70)).text == "y" * 30
        assert len((await sdk.chat("?", max_answer_chars=None)).text) == 100
        for wrong in (0, -1, "many", True, 1.5):
            with pytest.raises(InvalidOptionError, match="max_answer_chars"):
                await sdk.chat("?", max_answer_chars=wrong)


async def test_a_stream_of_the_cli_has_the_same_limit(scripted):
    client, cli = await scripted()
    session = await client.create_session(streaming=True)
    async with session.stream("hello", max_answer_chars=350) as stream:
        cli.turn(session.session_id, *(["x" * 100] * 5), idle=False)
        with pytest.raises(AnswerTooLongError, match="350 characters, set max_answer_chars="):
            [text async for text in stream]
    await cli.until("session.abort")
    with pytest.raises(InvalidOptionError, match="max_answer_chars: must be at least 1"):
        session.stream("hello", max_answer_chars=0)


# Usage and cost.

CHAT = [
    {"choices": [{"index": 0, "delta": {"content": "hi"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
     "usage": {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}},
     "copilot_usage": {"total_nano_aiu": 235_000_000}},
]  # fmt: skip
RESPONSES = [
    {"type": "response.output_text.delta", "output_index": 0, "delta": "hi"},
    {"type": "response.completed", "copilot_usage": {"total_nano_aiu": 235_000_000},
     "response": {"status": "completed", "output": [],
                  "usage": {"input_tokens": 10, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}}}},
]  # fmt: skip
MESSAGES = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 6, "cache_read_input_tokens": 4}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2},
     "copilot_usage": {"total_nano_aiu": 235_000_000}},
    {"type": "message_stop"},
]  # fmt: skip


@pytest.mark.parametrize(("name", "events"), [("chat", CHAT), ("responses", RESPONSES), ("messages", MESSAGES)])
def test_every_dialect_tells_tokens_cached_tokens_and_cost(name, events):
    reader = DIALECTS[name].reader()
    said = [e for event in events for e in reader.feed(b"data: " + json.dumps(event).encode() + b"\n\n")]
    usage = next(e for e in [*said, *reader.feed_eof()] if isinstance(e, Usage))
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (10, 2, 4)
    assert (usage.nano_aiu, usage.credits) == (235_000_000, 0.235)


@pytest.mark.parametrize("told", [None, "x", -1, True, [], {}, {"total_nano_aiu": "1"}])
def test_a_cost_that_is_none_is_not_told(told):
    reader = DIALECTS["chat"].reader()
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    for cost in (told, {"total_nano_aiu": told}):
        event = {"choices": [], "usage": usage, "copilot_usage": cost}
        reader.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
        assert reader.usage.credits is None


async def test_an_answer_has_the_cost_of_all_its_steps_where_each_tells():
    async def answer(request):
        stream = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await stream.prepare(request)
        for event in CHAT:
            await stream.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        await stream.write(b"data: [DONE]\n\n")
        return stream

    app = web.Application()
    app.router.add_post("/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with CopilotSDK("k", base_url=f"http://127.0.0.1:{runner.addresses[0][1]}") as sdk:
            usage = (await sdk.chat("?")).usage
            assert (usage.input_tokens, usage.cached_tokens, usage.credits) == (10, 4, 0.235)
    finally:
        await runner.cleanup()
    both = Usage(1, 2, 3, nano_aiu=5) + Usage(1, 1, 1, nano_aiu=0)
    assert (both.input_tokens, both.cached_tokens, both.nano_aiu) == (2, 4, 5)
    assert (Usage(1, 2, nano_aiu=5) + Usage(1, 1)).credits is None


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5", "claude-sonnet-4.5"])  # one of each dialect
async def test_the_simulated_cloud_tells_costs_as_copilot_does(simulator, model):
    async with CopilotSDK("gho_token", host=simulator.url, model=model) as sdk:
        assert (await sdk.chat("hi")).usage.credits is None
        simulator.app.quirks = Quirks(nano_aiu=235_000_000)
        assert (await sdk.chat("hi")).usage.credits == 0.235


# Models.


async def test_the_models_that_can_be_asked(simulator, gateway):
    async with CopilotSDK("gho_token", host=simulator.url) as sdk:
        models = {model.id: model for model in await sdk.models()}
    assert models["gpt-5"].max_output_tokens == 16_384
    key = "a-key-of-16-chars-or-more"
    served = await gateway(settings={"keys": (key,)})
    async with CopilotSDK(key, base_url=f"{served.url}/v1") as sdk:
        assert {"gpt-5", "claude-sonnet-4.5"} <= {model.id for model in await sdk.models()}
    async with CopilotSDK(handler=ScriptedHandler()) as sdk:
        with pytest.raises(InvalidOptionError, match="a handler= has no list of models"):
            await sdk.models()


@pytest.mark.contract
async def test_the_models_of_the_cli_and_the_cost_it_tells(simulator, copilot):
    simulator.app.quirks = Quirks(nano_aiu=235_000_000)
    async with copilot(simulator) as client, CopilotSDK(client=client) as sdk:
        models = {model.id: model for model in await sdk.models()}
        usage = (await sdk.chat("Reply with exactly: hello")).usage
    assert (usage.output_tokens, usage.credits) == (2, 0.235)
    assert models["gpt-5"].max_output_tokens == 16_384
    assert "high" in models["gpt-5"].efforts
