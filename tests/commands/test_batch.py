"""`rightseat batch` and what is behind it: answers, errors by line, and going on after an interruption."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest

from rightseat import ConfigError, CopilotSDK, UpstreamError
from rightseat.batch import run_batch
from rightseat.testing import ScriptedHandler

LINES = [
    b'"plain text"\n',
    b'{"id": "b", "prompt": "with options", "temperature": 0.5, "model": "gpt-4.1", "system": "Be brief."}\n',
    b"\n",
    b"not json\n",
    b'{"prompt": ""}\n',
    b'{"id": "b", "prompt": "the same id"}\n',
    b'{"prompt": "fails"}\n',
    b"[1]\n",
    b'{"prompt": "odd option", "timeout": -1}',
]


def read(path) -> dict:
    return {v["id"]: v for v in map(json.loads, path.read_text().splitlines())}


async def test_every_line_has_an_answer_or_an_error_of_its_own(tmp_path):
    upstream = ScriptedHandler({"fails": UpstreamError(400, "refused, key gho_0123456789abcdef")}, default="yes")
    out, told = tmp_path / "out.jsonl", []
    async with CopilotSDK(handler=upstream) as sdk:
        report = await run_batch(sdk, LINES, out, on_progress=lambda r: told.append(r.answered + r.failed))
        assert (report.answered, report.failed, report.skipped) == (2, 6, 0)
        assert told[-1] == 8
        found = read(out)
        assert found["line-1"] | {"usage": None} == {"id": "line-1", "line": 1, "text": "yes", "model": "gpt-5", "finish_reason": "stop", "usage": None}  # fmt: skip
        assert found["b"]["model"] == "gpt-4.1"
        asked = next(c for c in upstream.calls if c.model == "gpt-4.1")
        assert (asked.extra, asked.messages[0].content) == ({"temperature": 0.5}, "Be brief.")
        errors = {name: value["error"] for name, value in found.items() if "error" in value}
        assert "not JSON" in errors["line-4"]["message"]
        assert "prompt" in errors["line-5"]["message"]
        assert "earlier line" in errors["line-6"]["message"]
        assert (errors["line-7"]["type"], errors["line-7"]["status"]) == ("UpstreamError", 400)
        assert "gho_0123456789abcdef" not in out.read_text()
        assert "object with a prompt" in errors["line-8"]["message"]
        assert "timeout" in errors["line-9"]["message"]
        calls = len(upstream.calls)
        again = await run_batch(sdk, LINES, out)
        assert (again.answered, again.failed, again.skipped) == (0, 6, 2)
        assert len(upstream.calls) == calls + 1  # only the one that failed on the other side


async def test_a_torn_last_line_is_asked_again_and_a_foreign_file_is_left_alone(tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_bytes(b'{"id": "line-1", "line": 1, "text": "kept"}\n{"id": "line-2", "te')
    async with CopilotSDK(handler=ScriptedHandler(default="new")) as sdk:
        report = await run_batch(sdk, [b'"one"\n', b'"two"\n'], out)
        assert (report.answered, report.skipped) == (1, 1)
        assert {n: v["text"] for n, v in read(out).items()} == {"line-1": "kept", "line-2": "new"}
        foreign = tmp_path / "foreign.txt"
        foreign.write_text("my thesis\n")
        with pytest.raises(ConfigError, match="line 1: not an answer of a batch"):
            await run_batch(sdk, [b'"one"'], foreign)
        assert foreign.read_text() == "my thesis\n"
        with pytest.raises(ConfigError, match="cannot be written"):
            await run_batch(sdk, [b'"one"'], tmp_path)


async def test_no_more_than_asked_for_are_under_way(tmp_path):
    upstream = ScriptedHandler(default="a b c", pause=0.001)
    most = 0

    async def watched(request):
        nonlocal most
        reply = await upstream(request)
        most = max(most, upstream.open)
        return reply

    async with CopilotSDK(handler=watched) as sdk:
        await run_batch(sdk, (b'"%d"' % i for i in range(60)), tmp_path / "o", concurrency=5)
    assert most == 5


async def test_cancelled_in_the_middle_it_leaves_whole_lines(tmp_path):
    out = tmp_path / "o"
    async with CopilotSDK(handler=ScriptedHandler(default="a b c", pause=0.002)) as sdk:
        lines = [b'"%d"' % i for i in range(200)]
        task = asyncio.ensure_future(run_batch(sdk, lines, out))
        while not out.exists() or out.read_bytes().count(b"\n") < 20:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        done = len(read(out))
        report = await run_batch(sdk, lines, out)
        assert report.skipped == done
        assert len(read(out)) == 200


def test_the_command_against_the_simulator(tmp_path):
    prompts, out = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"Reply with exactly: answer {i}"}) + "\n" for i in range(40)))
    rightseat = f"{sys.executable} -m rightseat"
    script = f"{rightseat} login --no-browser 2>/dev/null; {rightseat} batch {prompts} -o {out} --model gpt-4.1 --json"
    env = {**os.environ, "RIGHTSEAT_HOME": str(tmp_path / "home")}
    env.pop("COPILOT_API_KEY", None)
    done = subprocess.run([*rightseat.split(), "simulate", "--", "sh", "-c", script], capture_output=True, text=True, timeout=60, env=env, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["answered"] == 40
    assert {v["text"] for v in read(out).values()} == {f"answer {i}" for i in range(40)}


def test_ctrl_c_stops_it_with_a_word_and_the_rest_can_be_done_later(tmp_path):
    prompts, out = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
    prompts.write_text("".join(json.dumps(f"Tell me about number {i}, at length") + "\n" for i in range(2000)))
    env = {**os.environ, "RIGHTSEAT_HOME": str(tmp_path / "home")}
    with subprocess.Popen([sys.executable, "-m", "rightseat", "simulate", "--port", "0", "--pace", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as simulator:  # fmt: skip
        try:
            url = simulator.stdout.readline().split("listens on ")[1].split(". ")[0]
            argv = [sys.executable, "-m", "rightseat", "batch", str(prompts), "-o", str(out), "--base-url", f"{url}/v1", "--api-key", "any"]  # fmt: skip
            with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=env) as batch:
                try:
                    while not out.exists() or out.read_bytes().count(b"\n") < 5:
                        assert batch.poll() is None
                    batch.send_signal(signal.SIGINT)
                    _, said = batch.communicate(timeout=20)
                finally:
                    batch.kill()
            assert batch.returncode == 130
            assert "run the same command again" in said
            assert "Traceback" not in said
            assert 5 <= len(read(out)) < 2000
        finally:
            simulator.kill()
