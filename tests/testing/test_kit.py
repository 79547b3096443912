"""The testing kit, tested: scripted sessions, time, recordings, fixtures."""

import asyncio
import os
import re
import subprocess
import sys
import textwrap

import pytest

from rightseat import ConfigError, CopilotSDK, UpstreamError, define_tool
from rightseat.chat import ChatRequest, Finish, Message, ReasoningDelta, ToolCall, Usage
from rightseat.layers import Retry, stack
from rightseat.testing import (
    Cut,
    Fail,
    FakeClock,
    NothingLeftError,
    NotRecordedError,
    Played,
    Recorder,
    Replayer,
    ScriptedHandler,
    ScriptedSession,
    Slow,
    run_virtual,
)

ASK = ChatRequest("gpt-5", (Message("user", "hi"),))


async def said(handler, request=ASK) -> list[str]:
    async with await handler(request) as reply:
        return [e.text async for e in reply if hasattr(e, "text")]


# Scripted answers.


async def test_a_scripted_session_as_in_the_guide():
    session = ScriptedSession({"python": "Python is a high-level programming language."})
    response = await session.chat("Tell me about Python", priority=1)
    assert "programming language" in response.text
    assert [chunk.text async for chunk in session.stream("else")] == ["Default ", "mock ", "response"]
    assert session.call_history == [("chat", "Tell me about Python", {"priority": 1}), ("stream", "else", {})]
    assert session.handler.prompts == ["Tell me about Python", "else"]


async def test_answers_by_pattern_sequence_function_and_pieces():
    handler = ScriptedHandler(
        {
            "b": "second",
            re.compile("^A"): "case",
            "tool": {"name": "t", "arguments": {"x": 1}},
            "fn": lambda r: r.model,
        },
        sequence=["first"],
        pieces=3,
    )
    assert await said(handler) == ["fir", "st"]
    for prompt, pieces in (("B", ["sec", "ond"]), ("Ab", ["sec", "ond"]), ("Ax", ["cas", "e"]), ("fn", ["gpt", "-5"])):
        assert await said(handler, ChatRequest("gpt-5", (Message("user", prompt),))) == pieces
    events = [e async for e in await handler(ChatRequest("m", (Message("user", "tool"),)))]
    assert isinstance(events[0].call, ToolCall)
    assert events[-1] == Finish("tool_calls")
    assert isinstance(events[-2], Usage)


async def test_failures_on_cue_and_tools_work_in_a_scripted_session():
    @define_tool
    def add(a: int) -> int:
        return a + 1

    session = ScriptedSession(
        sequence=[UpstreamError(500, "x"), {"name": "add", "arguments": {"a": 1}}, "2"], tools=[add]
    )
    with pytest.raises(UpstreamError):
        await session.chat("1+1")
    assert (await session.chat("1+1")).text == "2"
    assert session.history[2].content == "2"


async def test_an_upstream_played_by_hand():
    upstream = Played()
    clock = FakeClock()
    task = asyncio.ensure_future(said(Retry(clock=clock)(upstream)))
    (await upstream.next()).refuse(UpstreamError(503, "busy"))
    call = await upstream.next()
    assert call.request is ASK
    call.answer("hello ", "you")
    assert await task == ["hello ", "you"]
    assert len(clock.slept) == 1
    gone = asyncio.ensure_future(upstream(ASK))
    call = await upstream.next()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert call.left
    call.answer("late")
    with pytest.raises(TimeoutError):
        await upstream.next(0.001)


# Time.


def test_virtual_time_costs_none_and_is_exact():
    async def main():
        loop = asyncio.get_running_loop()
        await asyncio.sleep(3600)
        first = loop.time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(86_400):
                await asyncio.Event().wait()
        return first, loop.time()

    assert run_virtual(main) == (3600, 90_000)


def test_a_deadlock_is_told_and_not_waited_for():
    async def main():
        await asyncio.Event().wait()

    with pytest.raises(NothingLeftError):
        run_virtual(main)


def test_faults_as_layers():
    async def main():
        loop = asyncio.get_running_loop()
        assert await said(Slow(5)(ScriptedHandler())) != []
        assert loop.time() == 5
        with pytest.raises(UpstreamError):
            await Fail(lambda: UpstreamError(503, "x"))(ScriptedHandler())(ASK)
        with pytest.raises(ConnectionError):
            await said(Cut(after=1)(ScriptedHandler(default="a b c")))
        assert await said(stack(Fail(ValueError, rate=0), Cut(rate=0))(ScriptedHandler(default="ok"))) == ["ok"]

    run_virtual(main)


# Recordings.


async def test_a_recording_gives_the_same_again_without_its_upstream(tmp_path):
    file = tmp_path / "calls.jsonl"
    upstream = ScriptedHandler(
        sequence=[
            [ReasoningDelta("hm"), "one two three", Usage(3, 4)],
            {"name": "t", "arguments": {"key": "gho_0123456789abcdef"}},
            UpstreamError(429, "slow", code="rate_limited", retry_after=7),
            ["half ", UpstreamError(502, "broke")],
            "again",
        ]
    )
    requests = [ChatRequest("gpt-5", (Message("user", f"question {i}"),)) for i in range(4)] + [ASK]

    async def go(handler) -> list[object]:
        found = []
        for request in requests:
            try:
                async with await handler(request) as reply:
                    found.append([e async for e in reply])
            except UpstreamError as e:
                found.append((e.status, e.message, e.code, e.retry_after))
        return found

    before = await go(Recorder(file)(upstream))
    assert "gho_0123456789abcdef" not in file.read_text()
    replayer = Replayer(file, pieces=1000)
    after = await go(replayer)
    assert after[2:4] == before[2:4]
    assert [type(e).__name__ for e in after[0]] == ["ReasoningDelta", "TextDelta", "Usage", "Finish"]
    assert after[0][1].text == "one two three"
    assert after[1][0].call.name == "t"
    assert len(replayer.calls) == 5
    with pytest.raises(NotRecordedError, match="'other' was recorded"):
        await replayer(ChatRequest("gpt-5", (Message("user", "other"),)))


async def test_a_conversation_with_tools_can_be_recorded_and_played(tmp_path):
    @define_tool
    def add(a: int) -> int:
        return a + 1

    file = tmp_path / "talk.jsonl"

    async def talk(handler):
        async with CopilotSDK(handler=handler) as sdk, await sdk.create_session(tools=[add]) as session:
            return [(await session.chat(q)).text for q in ("1+1?", "sure?")]

    upstream = ScriptedHandler(sequence=[{"name": "add", "arguments": {"a": 1}}, "2", "Sure."])
    assert await talk(Recorder(file)(upstream)) == await talk(Replayer(file)) == ["2", "Sure."]


async def test_what_is_no_recording_is_said_at_once(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        Replayer(tmp_path / "none")
    (tmp_path / "odd").write_text("{}\n")
    with pytest.raises(ConfigError, match="line 1: not a recording"):
        Replayer(tmp_path / "odd")


# Fixtures, in a pytest of their own.

USERS = """
import openai, pytest

def test_handlers(scripted_handler, scripted_session, fake_clock):
    assert scripted_handler.calls == [] and fake_clock.now() and scripted_session({}).history == ()

@pytest.mark.asyncio
async def test_gateway(copilot_gateway):
    gateway = await copilot_gateway()
    async with openai.AsyncOpenAI(base_url=gateway.url + "/v1", api_key="any") as ai:
        done = await ai.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "Reply with exactly: hi"}])
    assert done.choices[0].message.content == "hi"
    assert gateway.simulator.app.seen

@pytest.mark.asyncio
async def test_client(copilot_client):
    client = await copilot_client()
    async with await client.create_session() as session:
        reply = await session.send_and_wait("Reply with exactly: hi")
    assert reply.data.content == "hi"
"""


def test_the_fixtures_work_in_a_project_of_a_user(tmp_path, cli_path):
    (tmp_path / "test_users.py").write_text(textwrap.dedent(USERS))
    env = {**os.environ, "COPILOT_CLI_PATH": cli_path}
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, timeout=120, env=env, check=False)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
