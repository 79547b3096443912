"""The testing kit, tested: scripted sessions, time, recordings, fixtures."""

import asyncio
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rightseat import ConfigError, CopilotSDK, UpstreamError, define_tool, pytest_plugin
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

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "testing.md").read_text(encoding="utf-8")
(USERS,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run_pytest(folder: Path, source: str, *options: str, **env: str) -> subprocess.CompletedProcess:
    (folder / "test_users.py").write_text(source)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)]
    return subprocess.run(
        argv, capture_output=True, text=True, cwd=folder, timeout=120, env={**os.environ, **env}, check=False
    )


def test_the_fixtures_work_in_a_project_of_a_user(tmp_path, cli_path):
    done = run_pytest(tmp_path, USERS, COPILOT_CLI_PATH=cli_path)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_without_pytest_asyncio_it_is_said_what_to_install(tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "pytest_asyncio.py").write_text("raise ModuleNotFoundError(name='pytest_asyncio')")
    path = os.pathsep.join([str(hidden), os.environ.get("PYTHONPATH", "")])
    source = "def test_sync(fake_clock):\n    fake_clock()\n\ndef test_async(copilot_gateway):\n    pass\n"
    plugin = ("-p", "rightseat.pytest_plugin")
    done = run_pytest(tmp_path, source, *plugin, PYTHONPATH=path, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert "1 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "needs pytest-asyncio: pip install 'rightseat[pytest]'" in done.stdout


def plain(name: str, signature: inspect.Signature, result: str, *, awaited: bool) -> str:
    """A call as the page shows it: parameters without their types."""
    shown = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name != "self"]
    call = f"{name}{signature.replace(parameters=shown, return_annotation=inspect.Signature.empty)} -> {result}"
    return f"await {call}" if awaited else call


def test_every_fixture_is_documented_with_its_signature():
    made = {"scripted_handler": ScriptedHandler, "scripted_session": ScriptedSession, "fake_clock": FakeClock}
    started = {
        "copilot_simulator": pytest_plugin.StartSimulator,
        "copilot_gateway": pytest_plugin.StartGateway,
        "copilot_client": pytest_plugin.StartClient,
    }
    rows = [
        f"| `{name}` | `type[{kind.__name__}]` | `{plain(name, inspect.signature(kind), kind.__name__, awaited=False)}` |"
        for name, kind in made.items()
    ]
    for name, kind in started.items():
        signature = inspect.signature(kind.__call__)
        rows.append(
            f"| `{name}` | `{kind.__name__}` | `{plain(name, signature, signature.return_annotation, awaited=True)}` |"
        )
    assert [line for line in PAGE.splitlines() if line.startswith("| `")] == rows
    fixtures = [n for n, v in vars(pytest_plugin).items() if type(v).__name__ == "FixtureFunctionDefinition"]
    assert fixtures == [*made, *started]
    assert all(f"`{name}` (" in PAGE or f"`{name}`" in PAGE for name in pytest_plugin.ModelOptions.__annotations__)
