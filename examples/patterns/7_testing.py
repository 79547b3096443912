"""Tests of code that talks to models: canned answers, failures on cue, hours in milliseconds. Run it with pytest."""

import asyncio

import pytest

from rightseat import CopilotSDK, UpstreamError
from rightseat.layers import Deadline
from rightseat.testing import Hang, LoopClock, Recorder, Replayer, ScriptedHandler, ScriptedSession, run_virtual


async def summarise(session, text):
    """The code under test."""
    response = await session.chat(f"Summarise in one line: {text}", timeout=30)
    return response.text.strip()


def test_a_canned_answer():
    session = ScriptedSession({"summarise": "  It is short.\n"})
    assert asyncio.run(summarise(session, "a long text")) == "It is short."
    assert session.call_history[0][0] == "chat"


def test_a_failure():
    session = ScriptedSession(sequence=[UpstreamError(500, "down")])
    with pytest.raises(UpstreamError):
        asyncio.run(summarise(session, "x"))
    assert session.history == ()  # may be asked again


def test_a_model_that_never_answers_takes_no_time():
    async def main():
        handler = Deadline(3600, clock=LoopClock())(Hang()(ScriptedHandler()))
        async with CopilotSDK(handler=handler, timeout=None, window=None) as sdk:  # rightseat: ignore[RS105]
            with pytest.raises(TimeoutError):
                await sdk.chat("anybody there?")
        assert asyncio.get_running_loop().time() == 3600

    run_virtual(main)


def test_a_recording_stands_in_for_the_real_thing(tmp_path):
    async def talk(handler):
        async with CopilotSDK(handler=handler) as sdk:
            return (await sdk.chat("What is Python?")).text

    recorded = asyncio.run(talk(Recorder(tmp_path / "calls.jsonl")(ScriptedHandler(default="A language."))))
    assert asyncio.run(talk(Replayer(tmp_path / "calls.jsonl"))) == recorded == "A language."
