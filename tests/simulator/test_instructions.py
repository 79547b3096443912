"""The simulated model obeys plain instructions with whatever tools a request offers, and is repeatable."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightseat import InvalidOptionError
from rightseat.chat import ChatRequest, Message, TextDelta, ToolCallEvent, ToolSpec, fold
from rightseat.simulator.instructions import Say, UseTool, arguments_from, decide
from rightseat.simulator.model import SimulatedError, SimulatedModel
from rightseat.simulator.prose import prose, tokens
from rightseat.simulator.script import Rule, Script, ScriptedError, ScriptedTool, load_script


def ask(prompt: str, *tools: ToolSpec, results: tuple[str, ...] = ()) -> ChatRequest:
    answers = [Message("tool", text, tool_call_id="1") for text in results]
    return ChatRequest("m", (Message("system", "s"), Message("user", prompt), *answers), tools, stream=True)


def decided(prompt: str, *tools: ToolSpec, results: tuple[str, ...] = ()):
    return decide(ask(prompt, *tools, results=results), lambda text: f"prose about {text}")


def schema(required: tuple[str, ...] = (), **properties: object) -> dict:
    return {"type": "object", "properties": properties, "required": list(required)}


TEXT = {"type": "string"}
BASH = ToolSpec("bash", "", schema(("command", "description"), command=TEXT, description=TEXT))
CREATE = ToolSpec("create", "", schema(("path", "file_text"), path=TEXT, file_text=TEXT))


def test_reply_with_exactly():
    assert decided("Reply with exactly: one\ntwo") == Say("one\ntwo")
    wrapped = (
        "<current_datetime>2026</current_datetime>\n\nReply with exactly: pong\n\n<reminder>\nbe good\n</reminder>"
    )
    assert decided(wrapped) == Say("pong")


@pytest.mark.parametrize("name", ["bash", "shell", "powershell", "run_in_terminal"])
def test_the_shell_by_any_name(name):
    tool = ToolSpec(name, "", schema(("command",), command=TEXT))
    assert decided("Run the shell command `ls -l` and reply with its output", CREATE, tool) == UseTool(
        name, {"command": "ls -l"}
    )


def test_an_unknown_tool_with_a_command_serves_as_shell_and_required_fields_are_filled():
    assert decided("Run the shell command `ls` and reply with its output", BASH).arguments.keys() == {
        "command",
        "description",
    }
    odd = ToolSpec("do_it", "", schema(("command",), command=TEXT))
    assert decided("Run the shell command `ls` and reply with its output", odd) == UseTool("do_it", {"command": "ls"})


def test_the_first_instruction_holds():
    assert decided("Run the shell command `ls` and reply with exactly its output", BASH).arguments["command"] == "ls"
    assert decided("Reply with exactly: Run the shell command `ls`", BASH) == Say("Run the shell command `ls`")


WEATHER = ToolSpec("get_weather", "", schema(("location",), location=TEXT))


@pytest.mark.parametrize(
    ("prompt", "choice", "calls"),
    [
        ("What is the weather in 'Rome'?", None, "get_weather"),
        ("What is the weather in 'Rome'?", "none", None),
        ("Hello there", "required", "bash"),
        ("Hello there", {"type": "function", "function": {"name": "get_weather"}}, "get_weather"),
        ("Hello there", "auto", None),
    ],
)
def test_tools_that_are_demanded_or_asked_for_by_what_they_get(prompt, choice, calls):
    request = ask(prompt, BASH, WEATHER)
    request.extra["tool_choice"] = choice
    decision = decide(request, lambda _: "prose")
    assert getattr(decision, "name", None) == calls


def test_an_answer_keeps_to_the_schema_that_is_asked_for():
    person = schema(
        ("name", "tags", "home"), name=TEXT, tags={"type": "array", "items": TEXT}, home=schema(("city",), city=TEXT)
    )
    request = ask("Make up a person called 'Ann'")
    request.extra["response_format"] = {"type": "json_schema", "json_schema": {"name": "p", "schema": person}}
    said = json.loads(decide(request, lambda _: "prose").text)
    assert (said["name"], sorted(said), type(said["tags"]), sorted(said["home"])) == (
        "Ann",
        ["home", "name", "tags"],
        list,
        ["city"],
    )
    request.extra["response_format"] = {"type": "json_object"}
    assert isinstance(json.loads(decide(request, lambda _: "prose").text), dict)


def test_its_output_alone_is_the_answer():
    for note in ("<exited with exit code 0>", "<shellId: 0 completed with exit code 0>", "exited with status 0"):
        said = decided("Run the shell command `ls` and reply with its output", BASH, results=(f"a\nb\n{note}",))
        assert said == Say("a\nb")


def test_files_are_written_with_what_is_there():
    prompt = "Write the file `a/b.txt` containing: one\ntwo"
    assert decided(prompt, BASH, CREATE) == UseTool("create", {"path": "a/b.txt", "file_text": "one\ntwo"})
    editor = ToolSpec("str_replace_editor", "", schema(("command", "path"), command=TEXT, path=TEXT, file_text=TEXT))
    assert decided(prompt, editor).arguments == {"command": "create", "path": "a/b.txt", "file_text": "one\ntwo"}
    patch = decided(prompt, ToolSpec("apply_patch", kind="custom"))
    assert patch.arguments == "*** Begin Patch\n*** Add File: a/b.txt\n+one\n+two\n*** End Patch\n"


def test_without_a_fitting_tool_it_says_so():
    assert "no shell tool" in decided("Run the shell command `ls` and reply with its output", CREATE).text
    assert "no tool to write" in decided("Write the file `x` containing: y").text
    assert "There is no tool named fly. I can use: bash" in decided("Use the fly tool", BASH).text


@pytest.mark.parametrize(
    ("prompt", "properties", "arguments"),
    [
        ("What is 25 * 4 + 10? Use the calculate tool.", {"expression": TEXT}, {"expression": "25 * 4 + 10"}),
        ("Use the calculate tool: (2+3)*4", {"expression": TEXT}, {"expression": "(2+3)*4"}),
        ('Use the weather tool for "Oslo" and 3 days', {"city": TEXT, "days": {"type": "integer"}}, {"city": "Oslo", "days": 3}),
        ("Use the ask tool: Which colour?", {"question": TEXT}, {"question": "Which colour?"}),
        ("Use the set tool in celsius", {"unit": {"enum": ["fahrenheit", "celsius"]}}, {"unit": "celsius"}),
        ('Use the x tool with {"a": 1, "b": [2]}', {"a": TEXT}, {"a": 1, "b": [2]}),
        ("Use the x tool", {"n": {"type": "number"}, "on": {"type": "boolean"}, "o": {"type": "object"}}, {"n": 1.0, "on": True, "o": {}}),
    ],
)  # fmt: skip
def test_arguments_are_taken_from_the_prompt_by_the_schema(prompt, properties, arguments):
    assert arguments == arguments_from(prompt, schema(**properties))


@given(
    st.text(),
    st.dictionaries(
        st.text(min_size=1), st.sampled_from([TEXT, {"type": "integer"}, {"type": ["null", "array"]}, {}]), max_size=4
    ),
)
def test_no_prompt_and_schema_break_it(prompt, properties):
    json.dumps(arguments_from(prompt, schema(tuple(properties), **{k: v for k, v in properties.items()})))
    decided(prompt, ToolSpec("x", "", schema(**properties)))


@given(st.text(max_size=50), st.integers(0, 3), st.integers(1, 200))
def test_prose_is_repeatable_and_of_the_length_asked_for(prompt, seed, words):
    text = prose(prompt, seed, words)
    assert text == prose(prompt, seed, words)
    assert len(text.split()) <= words + 60
    assert "".join(tokens(text)) == text


async def test_the_pace_is_kept_and_the_stream_is_whole():
    class Clock:
        slept = 0.0

        def now(self):
            return self.slept

        async def sleep(self, seconds):
            self.slept += seconds

    clock = Clock()
    events = [e async for e in await SimulatedModel(pace=50, words=30, clock=clock)(ask("tell me about clocks"))]
    pieces = [e for e in events if isinstance(e, TextDelta)]
    assert clock.slept == pytest.approx(len(pieces) / 50)
    done = fold(events)
    assert done.finish_reason == "stop"
    assert done.usage.output_tokens > 0
    assert done.text == prose("tell me about clocks", 0, 30)


@pytest.mark.parametrize("options", [{"words": 0}, {"pace": -1}])
def test_impossible_settings_are_refused(options):
    with pytest.raises(InvalidOptionError, match=next(iter(options))):
        SimulatedModel(**options)


# Scripts.


async def answer(model: SimulatedModel, prompt: str, results: tuple[str, ...] = ()):
    return [e async for e in await model(ask(prompt, BASH, results=results))]


async def test_rules_are_tried_from_the_top_and_used_up():
    script = Script([
        Rule(when="weather", times=1, chunks=["It ", "rains."]),
        Rule(when="/^what.*weather/", text="Still raining."),
        Rule(when="tool", tool=ScriptedTool("bash", {"command": "date"})),
        Rule(when="broken", error=ScriptedError(429, "slow down", retry_after=3)),
    ])  # fmt: skip
    model = SimulatedModel(pace=0, script=script)
    first = await answer(model, "what is the Weather?")
    assert [e.text for e in first if isinstance(e, TextDelta)] == ["It ", "rains."]
    assert fold(await answer(model, "what is the weather?")).text == "Still raining."
    (call,) = [e.call for e in await answer(model, "a tool") if isinstance(e, ToolCallEvent)]
    assert (call.name, json.loads(call.arguments)) == ("bash", {"command": "date"})
    assert "Friday" in fold(await answer(model, "a tool", results=("Friday",))).text
    with pytest.raises(SimulatedError) as caught:
        await answer(model, "broken")
    assert caught.value.error.retry_after == 3
    assert fold(await answer(model, "Reply with exactly: model")).text == "model"


async def test_a_python_script_answers_or_leaves_it(tmp_path):
    path = tmp_path / "script.py"
    path.write_text("def reply(request):\n    return 'scripted' if 'script' in request.prompt else None\n")
    model = SimulatedModel(pace=0, script=load_script(path))
    assert fold(await answer(model, "script please")).text == "scripted"
    assert fold(await answer(model, "Reply with exactly: model")).text == "model"


async def test_a_toml_script(tmp_path):
    path = tmp_path / "script.toml"
    path.write_text(
        '[[reply]]\nwhen = "hi"\ntext = "hello"\n\n[[reply]]\ntool = { name = "bash", arguments = { command = "ls" } }\n'
    )
    assert fold(await answer(SimulatedModel(pace=0, script=load_script(path)), "hi")).text == "hello"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.toml", "[[reply]]\ntxt = 'x'\n", "unknown field `txt`"),
        ("a.toml", "[[reply]\n", "script .*a.toml"),
        ("a.toml", "[[reply]]\nwhen = '/(/'\n", "script .*a.toml"),
        ("a.toml", "[[reply]]\ntimes = 'two'\n", "reply"),
        ("a.py", "1/0\n", "ZeroDivisionError"),
        ("a.py", "x = 1\n", "defines no function reply"),
        ("missing.toml", None, "there is no such file"),
    ],
)
def test_bad_scripts_are_named(tmp_path, name, content, says):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidOptionError, match=says):
        load_script(path)
