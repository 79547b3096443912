"""Each rule: what it finds, what it leaves alone, how it is told that something is meant."""

import ast
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightseat.lint import RULES, check_paths, check_source
from rightseat.lint.run import as_json, as_sarif

SDK = "from github_copilot_sdk import CopilotSDK\n"
OPENAI = "from openai import AsyncOpenAI, OpenAI\n"
OFFICIAL = "from copilot import CopilotClient\n"
ROOT = Path(__file__).parent.parent.parent


def codes(source: str, path: str = "app.py") -> list[str]:
    return [finding.code for finding in check_source(textwrap.dedent(source), path)]


BAD = {
    "RS101": [
        SDK + """
async def stream_forever(session, prompt):
    all_text = ""
    async for chunk in session.stream(prompt):
        all_text += chunk.text  # Growing unbounded
    return all_text
""",
        OPENAI + """
client = AsyncOpenAI(timeout=5)
async def read():
    parts = []
    stream = await client.chat.completions.create(model="m", messages=[], stream=True)
    async for chunk in stream:
        parts.append(chunk.choices[0].delta.content)
""",
        SDK + """
async def read(session):
    parts = []
    async with session.stream("x") as answer:
        async for chunk in answer:
            parts.append(chunk.text)
""",
    ],
    "RS102": [
        SDK + """
async def ask(session, prompt):
    try:
        response = await session.chat(prompt)
    except Exception:
        pass  # Error disappears
""",
        OFFICIAL + """
async def ask(session):
    try:
        return await session.send_and_wait("x", timeout=5)
    except:
        return None
""",
        SDK + """
import contextlib
async def ask(session):
    with contextlib.suppress(Exception):
        await session.chat("x")
""",
    ],
    "RS103": [
        SDK + """
import asyncio
def chat(session, prompt):
    loop = asyncio.get_event_loop()
    return loop.run_until_complete(session.chat(prompt))
""",
        SDK + """
import time
async def ask(session):
    time.sleep(1)
    return await session.chat("x")
""",
        OPENAI + """
client = OpenAI(timeout=3)
async def ask():
    return client.chat.completions.create(model="m", messages=[])
""",
        SDK + """
import requests
async def fetch():
    return requests.get("https://example.com")
""",
    ],
    "RS104": [
        SDK + 'sdk = CopilotSDK(api_key="ghp_abc123...")\n',
        OPENAI + 'client = OpenAI(api_key="sk-0123456789abcdef", timeout=1)\n',
        SDK + 'API_KEY = "a-secret-of-mine"\n',
        SDK + 'PASSWORD = "correct horse battery staple and more"\n',
        OFFICIAL + 'client = CopilotClient(github_token="0123456789abcdef")\n',
    ],
    "RS105": [
        OPENAI + """
client = AsyncOpenAI()
async def ask():
    return await client.responses.create(model="m", input="x")
""",
        SDK + """
async def ask(session):
    return await session.chat("x", timeout=None)
""",
        SDK + "sdk = CopilotSDK(timeout=None)\n",
    ],
    "RS106": [
        OPENAI + """
client = OpenAI(timeout=9)
messages = []
def turn(prompt):
    messages.append({"role": "user", "content": prompt})
    response = client.chat.completions.create(model="m", messages=messages)
    messages.append({"role": "assistant", "content": response})
""",
        OPENAI + """
client = OpenAI(timeout=9)
def talk():
    history = []
    while True:
        history.append({"role": "user", "content": input()})
        client.chat.completions.create(model="m", messages=history)
""",
    ],
    "RS107": [
        SDK + """
tool = {
    "name": "execute",
    "description": "Execute any operation",
    "parameters": {"operation": {"type": "string"}, "properties": {"operation": {"type": "string"}, "data": {"type": "object"}}},
}
""",
        SDK + """
from rightseat import define_tool
@define_tool
def do_stuff(action: str) -> str:
    '''Does various things.'''
""",
        SDK + """
from rightseat import define_tool
@define_tool(name="x")
def anything(action: str, data: dict) -> str:
    '''Does various things.'''
""",
    ],
    "RS108": [
        SDK + """
async def test_chat(session):
    response = await session.chat("Hello")
    assert response.text
""",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("code", "source"), [(code, source) for code, sources in BAD.items() for source in sources])
def test_what_each_rule_finds(code, source):
    path = "test_app.py" if code == "RS108" else "app.py"
    found = codes(source, path)
    assert code in found
    assert set(found) == {code}, "and nothing else"


# As on a page or in a review: no imports, no function around it, sometimes not even valid where it stands.
FRAGMENTS = {
    "RS101": [
        """
async def read(session, prompt):
    said = ""
    async for piece in session.stream(prompt):
        said += piece.text
    return said
"""
    ],
    "RS102": ["try:\n    answer = await session.chat(prompt)\nexcept Exception:\n    pass\n"],
    "RS103": [
        """
def ask(prompt):
    loop = asyncio.get_event_loop()
    return loop.run_until_complete(session.chat(prompt))
"""
    ],
    "RS104": ['sdk = CopilotSDK(api_key="ghp_abc123...")\n'],
    "RS105": [
        "answer = await session.chat(prompt)\n",
        "import asyncio\nasync def f(session):\n    return await session.chat('x')\n",
    ],
    "RS106": [
        """
messages.append({"role": "user", "content": prompt})
messages.append({"role": "assistant", "content": answer})
"""
    ],
    "RS107": [
        """
{
    "name": "execute",
    "description": "Execute any operation",
    "parameters": {"operation": {"type": "string"}, "data": {"type": "object"}},
}
""",
        """
TOOL = {
    "name": "call_service",
    "description": "Call it",
    "parameters": {"type": "object", "additionalProperties": True},
}
""",
    ],
    "RS108": ["def test_chat():\n    answer = await session.chat('Hello')\n    assert answer.text\n"],
}


@pytest.mark.parametrize(
    ("code", "source"), [(code, source) for code, sources in FRAGMENTS.items() for source in sources]
)
def test_fragments_are_read_without_their_imports(code, source):
    found = codes(source)
    assert code in found
    assert set(found) <= {code, "RS105"}, "and nothing else but that nothing limits the time"


IN_CLASSES = {
    "of the object": """
class Bot:
    def __init__(self):
        self.history = []
    def ask(self, prompt):
        self.history.append({"role": "user", "content": prompt})
        return client.chat.completions.create(model="m", messages=self.history)
""",
    "of the class": """
class Bot:
    history = []
    async def ask(self, prompt):
        self.history.append({"role": "user", "content": prompt})
        answer = await client.chat.completions.create(model="m", messages=self.history)
        self.history.append({"role": "assistant", "content": answer})
""",
}


@pytest.mark.parametrize("name", IN_CLASSES)
def test_a_history_of_an_object_grows_as_any_other(name):
    source = OPENAI + "client = OpenAI(timeout=3)\n" + IN_CLASSES[name]
    assert set(codes(source)) == {"RS106"}
    for cut in (
        "self.history = self.history[-20:]",
        "del self.history[0]",
        "self.history.pop(0)",
        "self.history.clear()",
    ):
        assert codes(source + f"    def cut(self):\n        {cut}\n") == []
    assert codes(source + "    def new(self):\n        self.history = []\n") == []


def test_raw_schemas_of_tools_are_read_wherever_they_stand():
    vague = '{"type": "object", "properties": {"action": {"type": "string"}, "data": {"type": "string"}}}'
    for source in (
        f'tools = [{{"type": "function", "function": {{"name": "do_stuff", "description": "x", "parameters": {vague}}}}}]\n',
        f'tool = {{"name": "do_stuff", "description": "x", "input_schema": {vague}}}\n',
        f'tool = Tool("do_stuff", "x", None, parameters={vague})\n',
        f'tool = Tool(name="do_stuff", description="x", parameters={vague})\n',
    ):
        assert codes(SDK + source) == ["RS107"]


def test_a_clients_own_limit_of_time_counts_unless_that_is_asked_for(tmp_path):
    source = OPENAI + 'client = OpenAI()\nprint(client.responses.create(model="m", input="x"))\n'
    assert check_source(source, strict=False) == []
    (found,) = check_source(source)
    assert found.code == "RS105"
    assert "ten minutes" in found.message
    (tmp_path / "app.py").write_text(source)
    assert check_paths([tmp_path])[0] == []
    assert [f.code for f in check_paths([tmp_path], strict=True)[0]] == ["RS105"]


# What programs of others do, and is no fault.
COMMON = {
    "messages that are put together": """
client = OpenAI()
def ask(conversation):
    messages = []
    for turn in conversation:
        messages.append({"role": turn.role, "content": turn.text})
    return client.chat.completions.create(model="m", messages=messages)
""",
    "keys for nobody": 'client = OpenAI(api_key="Set-but-ignored", base_url="http://localhost:8000")\nAPI_KEY = "My API Key"\n',
    "one tool of many": """
TOOLS = [{"name": "run_query", "description": "x", "parameters": {"type": "object", "properties": {"data": {"type": "string", "enum": ["a"]}}}}]
""",
}


@pytest.mark.parametrize("name", COMMON)
def test_no_alarm_for_what_others_do_rightly(name):
    assert check_source(OPENAI + COMMON[name], strict=False) == []


def test_files_that_only_look_alike_are_left_alone():
    for source in (
        "async def talk(self, room):\n    return await room.chat('hello')\n",
        "class Room:\n    async def chat(self, text):\n        self.lines.append(text)\n",
        "import requests\nasync def f(session):\n    return await session.chat('x')\n",
        '{"name": "x", "parameters": {"action": {"type": "string"}, "data": {}}}\n',
    ):
        assert codes(source) == [], source


GOOD = {
    "bounded by hand": SDK + """
async def read(session):
    text = ""
    async for chunk in session.stream("x"):
        text += chunk.text
        if len(text) > 10_000:
            break
""",
    "flushed": SDK + """
async def read(session):
    buffer = []
    async for chunk in session.stream("x"):
        buffer.append(chunk.text)
        if len(buffer) > 10:
            yield "".join(buffer)
            buffer.clear()
""",
    "another loop": SDK + """
def read(words):
    text = ""
    for word in words:
        text += word
""",
    "logged": SDK + """
async def ask(session):
    try:
        return await session.chat("x")
    except Exception as e:
        log.error("failed: %s", e)
        raise
""",
    "a narrow error": SDK + """
async def ask(session):
    try:
        return await session.chat("x")
    except TimeoutError:
        return None
""",
    "sleeping outside of the loop": SDK + "import time\ndef wait():\n    time.sleep(1)\n",
    "a key from outside": SDK + "import os\nsdk = CopilotSDK(api_key=os.environ['COPILOT_API_KEY'])\n",
    "a sentence about a key": SDK + "NO_TOKEN = 'Nobody has logged in on this machine'\n",
    "a placeholder": OPENAI + "client = OpenAI(api_key='any', timeout=3)\n",
    "limited around": OPENAI + """
import asyncio
client = AsyncOpenAI()
async def ask():
    async with asyncio.timeout(5):
        return await client.responses.create(model="m", input="x")
async def other():
    return await asyncio.wait_for(client.responses.create(model="m", input="x"), 5)
""",
    "a list of one call": OPENAI + """
client = OpenAI(timeout=3)
def ask(prompt):
    messages = []
    messages.append({"role": "user", "content": prompt})
    return client.chat.completions.create(model="m", messages=messages)
""",
    "a list that is cut": OPENAI + """
client = OpenAI(timeout=3)
messages = []
def turn(prompt):
    messages.append({"role": "user", "content": prompt})
    client.chat.completions.create(model="m", messages=messages[-20:])
    client.chat.completions.create(model="m", messages=messages)
""",
    "a clear tool": SDK + """
tool = {"name": "search_codebase", "description": "Search.", "parameters": {"type": "object", "properties": {"pattern": {"type": "string"}, "max_results": {"type": "integer"}}}}
""",
    "a constrained command": SDK + """
tool = {"name": "set_light", "description": "x", "parameters": {"type": "object", "properties": {"action": {"type": "string", "enum": ["on", "off"]}, "data": {"type": "string", "pattern": "^a"}}}}
""",
    "code of others": "def chat(session):\n    try:\n        session.chat('x')\n    except Exception:\n        pass\n",
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_is_left_alone(name):
    assert codes(GOOD[name]) == []


def test_tests_with_failure_cases_are_left_alone():
    happy = BAD["RS108"][0]
    raising = "\nimport pytest\nasync def test_bad(session):\n    with pytest.raises(ValueError):\n        await session.chat('')\n"
    assert codes(happy + raising, "test_app.py") == []
    assert codes(happy + "\nasync def test_timeout(session): ...\n", "test_app.py") == []
    assert codes(happy, "app.py") == []


def test_what_is_meant_can_be_said():
    line = SDK + 'sdk = CopilotSDK(api_key="ghp_abc123...")  # rightseat: ignore'
    assert codes(line) == codes(line + "[RS104]") == codes(line + "[RS101, RS104]") == []
    assert codes(line + "[RS101]") == ["RS104"]
    assert codes("# rightseat: ignore-file[RS104]\n" + BAD["RS104"][0]) == []
    assert codes("# rightseat: ignore-file\n" + BAD["RS104"][0]) == []
    assert codes(BAD["RS104"][0] + 's = "# rightseat: ignore-file"\n') == ["RS104"]


def test_places_are_told_and_rules_may_be_chosen():
    (finding,) = check_source(BAD["RS104"][0], "a/b.py")
    assert (finding.path, finding.line, finding.column) == ("a/b.py", 2, 26)
    assert "ghp_" not in finding.message
    assert check_source(BAD["RS104"][0], codes=frozenset({"RS101"})) == []
    assert [rule.code for rule in RULES] == [f"RS10{i}" for i in range(1, 9)]


@given(st.text(max_size=200))
def test_no_text_breaks_it(text):
    for source in (text, SDK + text):
        try:
            ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        check_source(source)


def test_files_folders_and_forms(tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "bad.py").write_text(BAD["RS104"][0])
    (tmp_path / "pkg" / "broken.py").write_text("def f(:\n")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "other.py").write_text(BAD["RS104"][0])
    found, files = check_paths([tmp_path, tmp_path / "pkg" / "bad.py"])
    assert files == 2
    assert [f.code for f in found] == ["RS104", "RS100"]
    assert json.loads(as_json(found))[0]["name"] == "hard-coded keys"
    sarif = json.loads(as_sarif(found))
    assert sarif["version"] == "2.1.0"
    ids = {rule["id"] for rule in sarif["runs"][0]["tool"]["driver"]["rules"]}
    assert {r["ruleId"] for r in sarif["runs"][0]["results"]} <= ids
    assert sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 2,
        "startColumn": 26,
    }


def test_the_command(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text(BAD["RS104"][0])

    def lint(*args) -> subprocess.CompletedProcess:
        argv = [sys.executable, "-m", "rightseat", "lint", *map(str, args)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    done = lint(bad)
    assert (done.returncode, done.stdout) == (1, f"{bad}:2:26: RS104 hard-coded keys: a key is written in the code\n")
    assert lint(bad, "--select", "rs101").returncode == 0
    assert lint(bad, "--select", "RS999").returncode == 2
    assert lint(tmp_path / "nowhere").returncode == 2
    assert json.loads(lint(bad, "--json").stdout)[0]["code"] == "RS104"
    assert json.loads(lint(bad, "--sarif").stdout)["runs"]
    assert "RS108" in lint("--explain").stdout


def test_our_own_examples_and_sources_are_clean():
    found, files = check_paths([ROOT / "src", ROOT / "examples"])
    assert files > 100
    assert found == []
