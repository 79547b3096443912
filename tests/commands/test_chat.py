"""`rightseat ask` and `rightseat chat`, in a real terminal and in a pipe."""

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE

import pexpect
import pytest

from rightseat.simulator.environment import simulated_environment

KEY = "client-key-0123456789"
# The line below an answer, and then the prompt.
DONE = r", \d+ \+ \d+ tokens, [\d.]+ s[\s\S]*?>\x08?"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]|\r")


@pytest.fixture
def ask(tmp_path):
    async def run(served, *arguments, typed=None):
        env = {**os.environ, "RIGHTSEAT_HOME": str(tmp_path), "RIGHTSEAT_KEYRING": "off"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rightseat", "ask", "--base-url", f"{served.url}/v1", "--api-key", "any", *arguments,
            env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        out, err = await process.communicate((typed or "").encode())
        return process.returncode, out.decode(), err.decode()

    return run


@pytest.fixture
def terminal(tmp_path):
    """Programs in a terminal of 80 columns: `child = terminal(served, ...)`."""
    children = []

    def start(*arguments, env=None):
        env = {
            **os.environ,
            "RIGHTSEAT_HOME": str(tmp_path),
            "RIGHTSEAT_KEYRING": "off",
            "TERM": "xterm-256color",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            **(env or {}),
        }
        child = pexpect.spawn(
            sys.executable,
            ["-m", "rightseat", *arguments],
            env=env,
            encoding="utf-8",
            timeout=15,
            dimensions=(30, 80),
            cwd=str(tmp_path),
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


async def until(child, text, seconds=15):
    """Wait for text on the screen without stopping this loop, on which the gateway runs."""
    return await asyncio.to_thread(child.expect, text, seconds)


async def test_in_a_pipe_plain_text_and_standard_input_is_added(gateway, ask):
    served = await gateway()
    assert await ask(served, "Reply with exactly:", "**plain** text") == (0, "**plain** text\n", "")
    status, _, _ = await ask(served, "Review this", typed="a = 1\n")
    body = json.loads(served.app.seen[-1].body)
    assert (status, body["messages"][-1]["content"]) == (0, "Review this\n\na = 1")


async def test_events_as_json(gateway, ask):
    served = await gateway()
    status, out, _ = await ask(served, "--json", "Reply with exactly: one two")
    events = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert "".join(e["text"] for e in events if e["type"] == "text") == "one two"
    assert (events[-1]["type"], events[-1]["finish_reason"]) == ("end", "stop")
    assert events[-1]["usage"]["output_tokens"] > 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "no question"),
        (["--model", "none", "hi"], 1, "does not exist"),
        (["--cli", "hi"], 1, "--cli"),
        (["--timeout", "0", "hi"], 2, "--timeout"),
    ],
)
async def test_what_is_wrong_goes_to_standard_error(gateway, ask, arguments, status, said):
    served = await gateway()
    code, out, err = await ask(served, *arguments)
    assert (code, out) == (status, "")
    assert said in err


async def test_at_a_terminal_markdown_and_the_count_of_tokens(gateway, terminal):
    served = await gateway(pace=200)
    child = terminal("ask", "--base-url", f"{served.url}/v1", "--api-key", "any", "Reply with exactly: a **bold** word")
    await until(child, pexpect.EOF)
    screen = ANSI.sub("", child.before)
    assert "a bold word" in screen
    assert re.search(r"\d+ \+ \d+ tokens, [\d.]+ s", screen)


async def test_a_conversation(gateway, terminal, tmp_path):
    served = await gateway(pace=300)
    child = terminal("chat", "--base-url", f"{served.url}/v1", "--api-key", "any", "--model", "gpt-4.1")
    await until(child, "/help says")
    child.send("Reply with exactly: first answer\r")
    await until(child, DONE)
    child.send("line one\x1b\rReply with exactly: second\r")
    await until(child, DONE)
    body = json.loads(served.app.seen[-1].body)
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][-1]["content"].startswith("line one\n")
    child.send("/model gpt-5-mini\r")
    await until(child, "gpt-5-mini from here on")
    child.send("Reply with exactly: third\r")
    await until(child, "gpt-5-mini" + DONE)
    child.send("/save talk.md\r")
    await until(child, "6 messages are in")
    assert "## You\n\nReply with exactly: first answer" in (tmp_path / "talk.md").read_text()
    child.send("/new\r")
    await until(child, "a new conversation")
    child.send("Reply with exactly: fresh\r")
    await until(child, DONE)
    assert len(json.loads(served.app.seen[-1].body)["messages"]) == 1
    child.send("/what\r")
    await until(child, "/what is not known")
    child.send("/quit\r")
    await until(child, pexpect.EOF)
    assert child.wait() == 0
    assert (tmp_path / "history").stat().st_mode & 0o077 == 0


async def test_ctrl_c_stops_the_answer_and_not_the_program(gateway, terminal):
    served = await gateway(pace=20)
    child = terminal("chat", "--base-url", f"{served.url}/v1", "--api-key", "any", "--model", "gpt-4.1")
    await until(child, "/help says")
    child.send("Reply with exactly: " + "word " * 300 + "\r")
    await until(child, "word word word.*a second")
    child.sendintr()
    await until(child, "stopped")
    child.send("Reply with exactly: still here\r")
    await until(child, DONE)
    child.send("\x04")
    await until(child, pexpect.EOF)
    assert child.wait() == 0


async def test_an_error_does_not_end_the_conversation(gateway, terminal):
    served = await gateway()
    child = terminal("chat", "--base-url", f"{served.url}/v1", "--api-key", "any", "--model", "none")
    await until(child, "/help says")
    child.send("hello\r")
    await until(child, "UpstreamError.*does not exist")
    child.send("/model gpt-4.1\r")
    await until(child, "from here on")
    child.send("Reply with exactly: better\r")
    await until(child, DONE)


async def test_the_cli_asks_for_permission_inline(simulator, terminal, tmp_path, cli_path):
    (tmp_path / "home").mkdir()
    env = {**simulated_environment(simulator.url, tmp_path / "home", os.environ), "COPILOT_CLI_PATH": cli_path}
    child = terminal("chat", "--cli", "--model", "gpt-5", env=env)
    await until(child, "/help says", 30)
    for said, found in (("y", "made-by-the-model"), ("n", None)):
        child.send(f"Run the shell command `echo made-by-the-model > {said}.txt` and reply with its output\r")
        await until(child, "The model wants to shell.*Allow it", 30)
        child.send(f"{said}\r")
        await until(child, "gpt-5" + DONE, 30)
        made = tmp_path / f"{said}.txt"
        assert (made.read_text().strip() if made.exists() else None) == found
    child.send("/quit\r")
    await until(child, pexpect.EOF, 30)


async def test_a_key_is_read_from_a_file_the_environment_or_standard_input(gateway, tmp_path):
    served = await gateway(settings={"keys": [KEY]})
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    for arguments, typed, environment in (
        (["--api-key-file", str(file)], "", {}),
        (["--api-key", "-"], f"{KEY}\n", {}),
        ([], "", {"COPILOT_API_KEY": KEY}),
    ):
        env = {**os.environ, "RIGHTSEAT_HOME": str(tmp_path), "RIGHTSEAT_KEYRING": "off", **environment}
        command = [
            sys.executable,
            "-m",
            "rightseat",
            "ask",
            "--base-url",
            f"{served.url}/v1",
            *arguments,
            "Reply with exactly: let in",
        ]
        process = await asyncio.create_subprocess_exec(*command, env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        out, err = await process.communicate(typed.encode())
        assert (process.returncode, out.decode().strip()) == (0, "let in"), err
