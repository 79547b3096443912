"""Every example runs, and so does every Python block of the README and of the documentation."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = {
    "stream_basic.py": [r"(\w+ ){10}", r"written by \S+"],
    "stream_token_counter.py": [
        r"\[  10 pieces",
        r"first text after",
        r"the model read [1-9]\d* tokens and wrote [1-9]",
    ],
    "stream_multi_subscriber.py": [
        r"the whole message is the same: True",
        r"assistant\.message_delta",
        "this listener is broken",
    ],
    "stream_with_tools.py": [r"\[calls calculate with", r"\[done\]", r"Result: 110"],
    "stream_robust.py": [r"\([1-9]\d+ characters\)"],
    "stream_concurrent.py": [r"ann: [1-9]", r"dan: [1-9]", r"all 4 answers: [1-9]"],
    "stream_infinite_session.py": [r"What is BERT\? -> [1-9]", r"\[compaction complete: [1-9]", r"asked for: [1-9]"],
    "own_client.py": [r"The tool answered: 4"],
    "your_function_as_model.py": [r"Let me look\. There are 42 pieces left\."],
}


PATTERNS = {
    "1_lifecycle.py": [
        "closed afterwards: \\w",
        "9 answers from 3 sessions; the last: number 8",
        "first use: 0",
        "after it: 1",
    ],
    "2_streaming.py": [r"\[\d+ characters\]", "is all of it: True", "stopped: the answer is longer than 100"],
    "3_tools.py": ['2 steps:.*"count": ?1', "Invalid regex pattern.*invalid_pattern"],
    "4_recovery.py": [
        "trouble: 0 1 2 3 4 5 6 7 8 9",
        "not asked any more: gpt-5",
        "'gpt-5': 'open'",
        "caller's mistake",
    ],
    "5_context.py": [r"\d+ messages, \d+ tokens; the first: 'You are", "the last: 'Question 19", "True that some"],
    "6_limits.py": [r"21 answers; \d+ waited", "batch: 25 answered; once more: 25 skipped", "3 were sent away"],
    "8_security.py": [
        r"by accident: \*\*\*\*\n",
        "looks like an injection",
        r"mail it to \[REDACTED_EMAIL\]",
        r"for people: gho_\.\.\.",
        "it works",
        "an OpenAI API key",
        "Anthropic",
        r"Bearer gho_\.\.\.",
    ],
}


def simulate(*command: str, cwd: Path, cli_path: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "rightseat", "simulate", "--pace", "300", "--", *command],
        cwd=cwd, env={**os.environ, "COPILOT_CLI_PATH": cli_path}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_every_example_has_a_test():
    assert {p.name for p in (ROOT / "examples").glob("*.py")} == {*EXAMPLES, "stream_websocket.py"}


@pytest.mark.contract
@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name, tmp_path, cli_path):
    done = simulate(sys.executable, str(ROOT / "examples" / name), cwd=tmp_path, cli_path=cli_path)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    for pattern in EXAMPLES[name]:
        assert re.search(pattern, output), f"{pattern!r} is not in: {output}"


@pytest.mark.parametrize("name", PATTERNS)
def test_pattern(name, tmp_path, cli_path):
    done = simulate(sys.executable, str(ROOT / "examples" / "patterns" / name), cwd=tmp_path, cli_path=cli_path)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    for pattern in PATTERNS[name]:
        assert re.search(pattern, output), f"{pattern!r} is not in: {output}"


def test_the_pattern_of_testing(tmp_path):
    path = ROOT / "examples" / "patterns" / "7_testing.py"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(path)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_every_pattern_has_a_test():
    assert {p.name for p in (ROOT / "examples" / "patterns").glob("*.py")} == {*PATTERNS, "7_testing.py"}


@pytest.mark.contract
async def test_the_websocket_example(tmp_path, cli_path):
    script = str(ROOT / "examples" / "stream_websocket.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rightseat", "simulate", "--", sys.executable, script, "0",
        cwd=tmp_path, env={**os.environ, "COPILOT_CLI_PATH": cli_path}, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(30):
        url = (await process.stdout.readline()).decode().split()[-1]
        async with aiohttp.ClientSession() as http:
            assert "<form>" in await (await http.get(url)).text()
            async with http.ws_connect(f"{url}/ws") as socket:
                for prompt, answer in (
                    ("Reply with exactly: over the socket", "over the socket"),
                    ("Reply with exactly: twice", "twice"),
                ):
                    await socket.send_str(prompt)
                    text = ""
                    while (message := json.loads((await socket.receive()).data))["type"] == "chunk":
                        text += message["content"]
                    assert message == {"type": "complete"}
                    assert text == answer
        process.terminate()
        await process.wait()


OURS = "http://127.0.0.1:4141"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{path.relative_to(ROOT)}:{i}")
    for path in DOCUMENTS
    for i, block in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL))
]


SCRIPTS = [
    pytest.param(block, id=f"{path.relative_to(ROOT)}:{i}")
    for path in DOCUMENTS
    for i, block in enumerate(re.findall(r"```js\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL))
]


@pytest.mark.parametrize("block", SCRIPTS)
async def test_scripts_in_the_documentation_run(block, tmp_path, gateway):
    (tmp_path / "block.mjs").write_text(block.replace(OURS, (await gateway()).url), encoding="utf-8")
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    process = await asyncio.create_subprocess_exec(
        "node", "block.mjs", cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, errors = await process.communicate()
    assert (out, process.returncode) == (b"hello", 0), errors.decode()


@pytest.mark.contract
@pytest.mark.parametrize("block", BLOCKS)
async def test_code_in_the_documentation_runs(block, tmp_path, cli_path, gateway):
    if OURS in block:  # a client of a gateway: there is one
        block = block.replace(OURS, (await gateway()).url)
    (tmp_path / "block.py").write_text(block, encoding="utf-8")
    done = await asyncio.to_thread(simulate, sys.executable, "block.py", cwd=tmp_path, cli_path=cli_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pages_build_without_a_complaint(tmp_path):
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "reference" / "sdk.html").read_text(encoding="utf-8")
    assert "CopilotSDK" in page
    assert "create_session" in page
    assert not re.findall(r'(?:src|href)="https?://(?:fonts|unpkg|cdn)', page)


def anchors_of(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    heads = re.findall(r"^#+\s+(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_anchors_lead_to_headings(path):
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", path.read_text(encoding="utf-8")):
        page = (path.parent / target) if target else path
        assert anchor in anchors_of(page), f"{path.name} links to {target}#{anchor}"


COMMANDS = sorted({
    line.split("#")[0].strip()
    for path in DOCUMENTS
    for line in re.findall(r"^ {4,}(rightseat [^\n|&>]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    + re.findall(r"`(rightseat [a-z][^`]*)`", path.read_text(encoding="utf-8"))
})  # fmt: skip


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_in_the_documentation_exist(line):
    import shlex

    import click

    from rightseat.commands.root import cli

    words = shlex.split(line.replace("|", " ").replace("...", ""))[1:]
    command: click.Command | None = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and words:
        command = command.get_command(context, words[0])
        assert command is not None, f"there is no {words[0]!r} in: {line}"
        words = words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }
    if "--" in words:
        words = words[: words.index("--")]
    assert {word.split("=")[0] for word in words if word.startswith("-") and len(word) > 1} <= known, line


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_inside_the_project_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"
