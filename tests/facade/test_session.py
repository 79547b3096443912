"""Conversations through the facade: history, tools, streams, limits, pools; over scripted models and over real servers."""

import asyncio
import json

import pytest

import rightseat
from rightseat import (
    ConfigError,
    CopilotSDK,
    InvalidOptionError,
    LazySession,
    NotLoggedInError,
    NotStartedError,
    SessionPool,
    ToolLoopError,
    UnknownOptionError,
    UpstreamError,
    define_tool,
)
from rightseat.chat import Finish, Image, ReasoningDelta, ReasoningOpaque, Usage
from rightseat.errors import CircuitOpenError, DeadlineExceededError, QueueFullError
from rightseat.handler import tool_call
from rightseat.layers import Backoff, BreakerPolicy, CachePolicy, QueuePolicy
from rightseat.testing import Cut, Hang, ScriptedHandler

DOWN = UpstreamError(503, "down")
SOON = Backoff(base=0.001, cap=0.002)


@define_tool
def calculate(expression: str) -> int:
    """Compute a sum of numbers."""
    return sum(int(n) for n in expression.split("+"))


async def test_a_conversation_is_kept_with_its_system_message():
    upstream = ScriptedHandler({"name": "Ada.", "who": "You are Ada."}, default="Well.")
    async with CopilotSDK(handler=upstream) as sdk, await sdk.create_session(system="Be brief.") as session:
        first = await session.chat("My name is Ada.")
        assert (first.text, str(first), first.model, first.finish_reason, first.steps) == (
            "Ada.",
            "Ada.",
            "gpt-5",
            "stop",
            1,
        )
        assert first.usage.output_tokens > 0
        await session.chat("Who am I?")
        said = [(m.role, m.content) for m in upstream.calls[1].messages]
        assert said == [
            ("system", "Be brief."),
            ("user", "My name is Ada."),
            ("assistant", "Ada."),
            ("user", "Who am I?"),
        ]
        session.clear()
        await session.chat("And now?")
        assert len(upstream.calls[2].messages) == 2


async def test_pieces_come_as_they_come_and_the_whole_is_there_at_the_end():
    upstream = ScriptedHandler(default=[ReasoningDelta("hm "), "one two three", Usage(5, 3, 2), Finish("length")])
    async with CopilotSDK(handler=upstream) as sdk:
        session = await sdk.create_session()
        async with session.stream("count") as stream:
            chunks = [(chunk.text, chunk.reasoning) async for chunk in stream]
        assert chunks == [("", "hm "), ("one ", ""), ("two ", ""), ("three", "")]
        assert stream.response.text == "one two three"
        assert stream.response.reasoning == "hm "
        assert stream.response.finish_reason == "length"
        assert stream.response.usage.cached_tokens == 2
        assert [chunk.text async for chunk in session.stream("again") if chunk.text] == ["one ", "two ", "three"]
    assert session.closed


async def test_tools_run_until_there_is_an_answer():
    upstream = ScriptedHandler(sequence=[
        ["Let me see.", tool_call("calculate", {"expression": "1+2"}, "a"), tool_call("calculate", {"expression": "x"}, "b")],
        "3, and one failed.",
    ])  # fmt: skip
    async with CopilotSDK(handler=upstream) as sdk, await sdk.create_session(tools=[calculate]) as session:
        response = await session.chat("1+2?")
        assert (response.text, response.steps, response.tool_calls) == ("3, and one failed.", 2, ())
        assert [t.name for t in upstream.calls[0].tools] == ["calculate"]
        *_, called, one, other = upstream.calls[1].messages
        assert [c.id for c in called.tool_calls] == ["a", "b"]
        assert (one.tool_call_id, one.content) == ("a", "3")
        failed = json.loads(other.content)
        assert (failed["success"], failed["error_type"]) == (False, "ValueError")
        assert len(session.history) == 5
        assert response.usage.input_tokens > 0


async def test_calls_that_nobody_here_can_run_are_given_to_the_caller():
    upstream = ScriptedHandler(default=tool_call("elsewhere", {"a": 1}))
    async with CopilotSDK(handler=upstream) as sdk:
        response = await sdk.chat("do it", tools=[calculate])
    assert response.finish_reason == "tool_calls"
    assert response.tool_calls[0].name == "elsewhere"


async def test_a_model_that_goes_on_calling_is_stopped_and_leaves_no_trace():
    upstream = ScriptedHandler(default=tool_call("calculate", {"expression": "1"}))
    async with CopilotSDK(handler=upstream) as sdk:
        session = await sdk.create_session(tools=[calculate], max_steps=3)
        with pytest.raises(ToolLoopError, match="max_steps=3"):
            await session.chat("loop")
        assert len(upstream.calls) == 3
        assert session.history == ()


async def test_what_failed_leaves_no_trace_and_may_be_asked_again():
    upstream = ScriptedHandler(sequence=["one", UpstreamError(400, "bad"), ["half ", DOWN], "two"])
    async with CopilotSDK(handler=upstream) as sdk:
        session = await sdk.create_session()
        await session.chat("first")
        for _ in range(2):
            with pytest.raises(UpstreamError):
                await session.chat("second")
        await session.chat("second")
        assert [m.content for m in session.history] == ["first", "one", "second", "two"]


async def test_a_stream_that_is_left_stops_its_source():
    upstream = ScriptedHandler(default="word " * 100)
    async with CopilotSDK(handler=upstream) as sdk:
        session = await sdk.create_session()
        async with session.stream("go") as stream:
            async for _ in stream:
                break
        assert upstream.open == 0
        assert sdk.state.queue.state.running == 0
        assert stream.response is None
        assert session.history == ()
        left = session.stream("never read")
        await left.aclose()


async def test_a_loop_that_is_left_without_a_block_ends_the_answer_too():
    upstream = ScriptedHandler(default="word " * 100, pause=0.001)
    async with CopilotSDK(handler=upstream) as sdk:
        session = await sdk.create_session()
        async for _ in session.stream("go"):
            break
        for _ in range(10):
            await asyncio.sleep(0)
        assert upstream.open == 0
        assert sdk.state.queue.state.running == 0
        stream = session.stream("twice")
        assert [c.text async for c in stream]
        with pytest.raises(NotStartedError, match="read already"):
            aiter(stream)


async def test_thoughts_go_back_with_the_conversation():
    upstream = ScriptedHandler(sequence=[[ReasoningDelta("hm"), ReasoningOpaque("sealed"), "yes"], "ok"])
    async with CopilotSDK(handler=upstream) as sdk:
        session = await sdk.create_session()
        await session.chat("really?")
        await session.chat("and?")
    answer = upstream.calls[1].messages[1]
    assert (answer.reasoning, answer.reasoning_opaque, answer.content) == ("hm", "sealed", "yes")


async def test_images_options_priority_and_timeout_reach_the_request():
    upstream = ScriptedHandler()
    async with CopilotSDK(handler=upstream, model="gpt-4.1", timeout=50) as sdk:
        session = await sdk.create_session(temperature=0.1)
        await session.chat("look", images=["data:image/png;base64,AAAA"], max_tokens=5, priority=3, timeout=20)
    (request,) = upstream.calls
    assert request.messages[0].parts == ("look", Image("data:image/png;base64,AAAA"))
    assert request.extra == {"temperature": 0.1, "max_tokens": 5}
    assert request.model == "gpt-4.1"
    assert request.meta.priority == 3
    assert request.meta.conversation == session.id
    loop_now = asyncio.get_running_loop().time()
    assert 0 < request.meta.deadline - loop_now <= 20


async def test_the_layers_are_on_by_default_and_each_is_one_keyword():
    upstream = ScriptedHandler(sequence=[DOWN, DOWN], default="up")
    async with CopilotSDK(handler=upstream, retry=SOON) as sdk:
        assert (await sdk.chat("hi")).text == "up"
        assert len(upstream.calls) == 3
    async with CopilotSDK(handler=ScriptedHandler(default=DOWN), retry=None) as sdk:
        for _ in range(10):
            with pytest.raises(UpstreamError):
                await sdk.chat("hi")
        with pytest.raises(CircuitOpenError):
            await sdk.chat("hi")
        assert sdk.state.circuits.states() == {"gpt-5": "open"}
    async with CopilotSDK(handler=ScriptedHandler(default=DOWN), retry=None, breaker=None) as sdk:
        for _ in range(30):
            with pytest.raises(UpstreamError):
                await sdk.chat("hi")
    async with CopilotSDK(handler=Hang()(ScriptedHandler()), timeout=0.02) as sdk:
        with pytest.raises(DeadlineExceededError):
            await sdk.chat("hi")
        with pytest.raises(DeadlineExceededError):
            await sdk.chat("hi", timeout=0.01)
    async with CopilotSDK(
        handler=Cut(after=1, error=None)(ScriptedHandler(default="a b")), timeout=None, silence=0.02
    ) as sdk:
        with pytest.raises(DeadlineExceededError, match="no data for"):
            await sdk.chat("hi")
    once = ScriptedHandler()
    async with CopilotSDK(handler=once, cache=CachePolicy(seconds=60)) as sdk:
        assert [(await sdk.chat("hi")).text for _ in range(5)] == ["Default mock response"] * 5
        assert len(once.calls) == 1
    fallback = ScriptedHandler(default=lambda request: DOWN if request.model == "gpt-5" else "other")
    async with CopilotSDK(handler=fallback, retry=None, fallbacks={"gpt-5": ["gpt-4.1"]}) as sdk:
        assert (await sdk.chat("hi")).text == "other"
    narrow = QueuePolicy(concurrency=1, length=0)
    async with CopilotSDK(handler=ScriptedHandler(default="a b", pause=0.01), concurrency=narrow) as sdk:
        results = await asyncio.gather(*(sdk.chat("hi") for _ in range(3)), return_exceptions=True)
        assert sum(isinstance(r, QueueFullError) for r in results) == 2


async def test_a_long_conversation_is_kept_within_its_window():
    upstream = ScriptedHandler(default="word " * 50)
    async with CopilotSDK(handler=upstream, window=400) as sdk:
        session = await sdk.create_session(system="Be brief.")
        for i in range(20):
            await session.chat(f"question {i}")
    last = upstream.calls[-1].messages
    assert len(last) < 20
    assert last[0].content == "Be brief."
    assert "question 0" in last[1].content  # the summary of what was left out
    assert last[-1].content == "question 19"


async def test_questions_side_by_side_and_many_sessions():
    upstream = ScriptedHandler(default=lambda request: f"to {request.last_user_text}", pause=0.001)
    async with CopilotSDK(handler=upstream) as sdk:
        session = await sdk.create_session()
        answers = await asyncio.gather(*(session.chat(f"q{i}") for i in range(20)))
        assert [a.text for a in answers] == [f"to q{i}" for i in range(20)]
        said = [m.content for m in session.history]
        assert sorted(said[::2]) == sorted(f"q{i}" for i in range(20))
        assert all(a == f"to {q}" for q, a in zip(said[::2], said[1::2], strict=True))
        sessions = [await sdk.create_session() for _ in range(5)]
        assert sdk.sessions == 6
        await sessions[0].close()
        assert sdk.sessions == 5
    assert sdk.sessions == 0
    with pytest.raises(NotStartedError):
        await sdk.create_session()
    with pytest.raises(NotStartedError):
        await session.chat("late")


async def test_closing_a_session_stops_its_answers():
    upstream = ScriptedHandler(default="a b c d", pause=0.01)
    async with CopilotSDK(handler=upstream) as sdk:
        session = await sdk.create_session()
        stream = session.stream("go")
        chunks = aiter(stream)
        await anext(chunks)
        await session.close()
        assert upstream.open == 0


async def test_a_pool_bounds_and_reuses_and_a_lazy_session_waits():
    upstream = ScriptedHandler(default="ok", pause=0.001)
    async with CopilotSDK(handler=upstream) as sdk:
        async with SessionPool(sdk, size=3) as pool:
            most = 0

            async def use(i):
                nonlocal most
                async with pool.session() as session:
                    most = max(most, sdk.sessions)
                    assert session.history == ()
                    await session.chat(f"q{i}")

            await asyncio.gather(*(use(i) for i in range(30)))
            assert most == pool.made == 3
            with pytest.raises(RuntimeError, match="mine"):
                async with pool.session() as broken:
                    raise RuntimeError("mine")
            assert broken.closed
            await use(0)
        assert sdk.sessions == 0
        with pytest.raises(NotStartedError):
            async with pool.session():
                pass
        lazy = LazySession(sdk, model="gpt-4.1")
        assert sdk.sessions == 0
        assert (await lazy.chat("hi")).model == "gpt-4.1"
        assert [c.text async for c in await lazy.stream("hi")] == ["ok"]
        assert sdk.sessions == 1
        await lazy.close()
        assert sdk.sessions == 0


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"timeout": -1}, InvalidOptionError, "seconds"),
        ({"retry": 3}, InvalidOptionError, "retry: must be"),
        ({"breaker": BreakerPolicy}, InvalidOptionError, "breaker: must be"),
        ({"concurrency": -5}, InvalidOptionError, "concurrency"),
        ({"requests_per_minute": 0}, InvalidOptionError, "requests_per_minute"),
        ({"window": 0}, InvalidOptionError, "limit"),
        ({"fallbacks": {"a": ["a"]}}, InvalidOptionError, "names a model twice"),
        ({"retries": 3}, UnknownOptionError, "retries: no such option"),
        ({"model": ""}, InvalidOptionError, "model"),
        ({"base_url": "http://127.0.0.1:1", "handler": ScriptedHandler()}, InvalidOptionError, "give one of them"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(options, error, said):
    with pytest.raises(error, match=said):
        CopilotSDK(**options)


@pytest.mark.parametrize("prompt", ["", "   ", None, 3])
async def test_an_empty_prompt_is_refused(prompt):
    async with CopilotSDK(handler=ScriptedHandler()) as sdk:
        session = await sdk.create_session()
        with pytest.raises(InvalidOptionError, match="prompt"):
            await session.chat(prompt)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("sk-proj-abc", "this is an OpenAI API key"),
        ("sk-ant-api03-abc", "Anthropic"),
        ("ghs_abc", "token of a GitHub App"),
        (" ", "empty"),
        ("whatever", "no known token format"),
        ("AKIAABCDEFGHIJKLMNOP", "AWS"),
    ],
)
async def test_a_key_of_the_wrong_kind_is_named_and_not_shown(key, said):
    with pytest.raises(ConfigError, match=said) as caught:
        await CopilotSDK(api_key=key).create_session()
    assert key.strip() == "" or key not in str(caught.value)


async def test_without_a_key_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("COPILOT_API_KEY", raising=False)
    with pytest.raises(NotLoggedInError, match="rightseat login"):
        await CopilotSDK(home=tmp_path).create_session()
    with pytest.raises(ConfigError, match="a server at base_url takes a key of its own"):
        await CopilotSDK(api_key="gho_abc", base_url="http://127.0.0.1:9").create_session()


def test_the_seeds_import_works():
    from github_copilot_sdk import CopilotSDK as TheirName

    assert TheirName is rightseat.CopilotSDK
