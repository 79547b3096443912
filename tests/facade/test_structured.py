"""`response_format=` with a type: `response.parsed` is a value of it, over every backend, or the error holds the text."""

import dataclasses
import json
from typing import Literal, NotRequired, TypedDict

import msgspec
import pydantic
import pytest
from pydantic.dataclasses import dataclass as pydantic_dataclass

from rightseat import AnswerFormatError, CopilotSDK, InvalidOptionError, LazySession, PeerError
from rightseat.chat import ChatRequest, Finish
from rightseat.handler import tool_call
from rightseat.simulator.script import Rule, Script
from rightseat.testing import ScriptedHandler


class Model(pydantic.BaseModel):
    name: str
    people: int = pydantic.Field(0, ge=0)
    parts: list["Part"] = []


class Part(pydantic.BaseModel):
    kind: Literal["old", "new"]


@dataclasses.dataclass
class Data:
    """A city."""

    name: str
    people: int = 0


class Struct(msgspec.Struct):
    name: str
    people: int = 0


class Typed(TypedDict):
    name: str
    people: NotRequired[int]


@pydantic_dataclass
class Checked:
    name: str
    people: int = pydantic.Field(0, ge=0)


class Tree(msgspec.Struct):
    name: str
    people: int = 0
    inner: list["Tree"] = []


ANSWER = '{"name": "Paris", "people": 2100000}'
TYPES = [Model, Data, Struct, Typed, Checked, Tree]


def shape(value):
    return {name: value[name] if isinstance(value, dict) else getattr(value, name) for name in ("name", "people")}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "said",
    [ANSWER, f"```json\n{ANSWER}\n```", f"Here it is:\n\n{ANSWER}\nAnything else?", f"  ```\n{ANSWER}```  "],
)
async def test_an_answer_is_a_value_of_the_type(kind, said):
    upstream = ScriptedHandler(default=said)
    async with CopilotSDK(handler=upstream) as sdk:
        response = await sdk.chat("Which city?", response_format=kind)
    assert shape(response.parsed) == {"name": "Paris", "people": 2_100_000}
    assert isinstance(response.parsed, dict if kind is Typed else kind)
    assert (response.text, response.steps) == (said, 1)


@pytest.mark.parametrize("kind", TYPES)
async def test_the_schema_is_strict_and_goes_to_functions_as_a_value_and_in_words(kind):
    upstream = ScriptedHandler(default=ANSWER)
    async with CopilotSDK(handler=upstream) as sdk:
        session = await sdk.create_session(system="Be brief.")
        await session.chat("Which city?", response_format=kind)
        await session.chat("And?")
    first, second = upstream.calls
    named = first.extra["response_format"]["json_schema"]
    assert (named["name"], named["strict"]) == (kind.__name__, True)
    assert named["schema"]["type"] == "object"
    assert named["schema"]["additionalProperties"] is False
    assert named["schema"]["required"] == list(named["schema"]["properties"])
    assert "default" not in json.dumps(named["schema"])
    assert [m.role for m in first.messages] == ["system", "system", "user"]
    assert json.dumps(named["schema"]) in first.messages[1].content
    assert [m.role for m in second.messages] == ["system", "user", "assistant", "user"]  # the words are not kept
    assert second.extra == {}


async def test_a_list_and_a_map_are_wrapped_as_apis_take_objects_alone():
    async with CopilotSDK(
        handler=ScriptedHandler(sequence=['{"value": ["a"]}', '["b"]', '{"value": {"c": 1}}'])
    ) as sdk:
        assert (await sdk.chat("?", response_format=list[str])).parsed == ["a"]
        assert (await sdk.chat("?", response_format=list[str])).parsed == ["b"]
    upstream = ScriptedHandler(default='{"c": 1}')
    async with CopilotSDK(handler=upstream) as sdk:
        assert (await sdk.chat("?", response_format=dict[str, int])).parsed == {"c": 1}
    assert upstream.calls[0].extra["response_format"]["json_schema"]["strict"] is False  # any key is right
    async with CopilotSDK(handler=ScriptedHandler(default='{"value": [{"name": "a"}]}')) as sdk:
        assert (await sdk.chat("?", response_format=list[Model])).parsed == [Model(name="a")]


async def test_an_answer_that_does_not_fit_is_asked_for_once_more():
    upstream = ScriptedHandler(sequence=["Paris, I think.", ANSWER, "And again."])
    async with CopilotSDK(handler=upstream) as sdk:
        session = await sdk.create_session()
        response = await session.chat("Which city?", response_format=Data)
        assert response.parsed == Data("Paris", 2_100_000)
        assert (response.steps, response.text) == (2, ANSWER)
        assert response.usage.output_tokens == 15 // 4 + len(ANSWER) // 4
        _, *said = upstream.calls[1].messages
        assert [m.role for m in said] == ["user", "assistant", "user"]
        assert "does not fit" in said[-1].content
        assert '"people"' in said[-1].content  # the schema once more
        assert [m.content for m in session.history] == [
            "Which city?",
            ANSWER,
        ]  # the conversation has the good one alone


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('{"name": 3}', "name"),
        ("nothing at all", "JSON"),
        ("", "no JSON"),
        ("{" * 5000, "JSON|malformed|nested|recursion|truncated"),
        ('{"people": 1}', "missing required field"),
    ],
)
async def test_an_answer_that_never_fits_is_an_error_that_holds_the_text(said, reason):
    upstream = ScriptedHandler(default=said)
    async with CopilotSDK(handler=upstream) as sdk:
        session = await sdk.create_session()
        with pytest.raises(AnswerFormatError, match=f"(?i){reason}") as caught:
            await session.chat("Which city?", response_format=Struct)
        assert session.history == ()
    assert caught.value.text == said
    assert isinstance(caught.value, PeerError)
    assert len(str(caught.value)) < 1200
    assert len(upstream.calls) == 2


async def test_what_was_cut_or_withheld_says_so():
    async with CopilotSDK(handler=ScriptedHandler(default=['{"na', Finish("length")])) as sdk:
        with pytest.raises(AnswerFormatError, match="it was cut: give more max_tokens"):
            await sdk.chat("?", response_format=Data)
    upstream = ScriptedHandler(default=["I cannot", Finish("content_filter")])
    async with CopilotSDK(handler=upstream) as sdk:
        with pytest.raises(AnswerFormatError):
            await sdk.chat("?", response_format=Data)
    assert len(upstream.calls) == 1  # it would be withheld again


async def test_tools_run_on_the_way_and_a_repair_is_not_counted_as_one_of_their_steps():
    def look() -> str:
        """Look it up."""
        return "Paris"

    upstream = ScriptedHandler(sequence=[tool_call("look"), "Paris!", ANSWER])
    async with CopilotSDK(handler=upstream) as sdk:
        response = await sdk.chat("?", response_format=Data, tools=[look], max_steps=2)
    assert (response.parsed.name, response.steps) == ("Paris", 3)
    assert [m.role for m in response.messages] == ["user", "assistant", "tool", "assistant"]


async def test_a_stream_shows_the_first_answer_and_ends_with_the_one_that_fits():
    upstream = ScriptedHandler(sequence=["no ", ANSWER])
    async with CopilotSDK(handler=upstream) as sdk:
        session = await sdk.create_session()
        async with session.stream("?", response_format=Data) as stream:
            assert "".join([chunk.text async for chunk in stream]) == "no "
        assert stream.response.parsed == Data("Paris", 2_100_000)
        assert (await LazySession(sdk).chat("?", response_format={"type": "json_object"})).parsed is None


async def test_one_json_object_is_asked_for_in_words_and_given_as_it_is():
    upstream = ScriptedHandler(default="{}")
    async with CopilotSDK(handler=upstream) as sdk:
        session = await sdk.create_session(response_format={"type": "json_object"})
        response = await session.chat("?")
    assert (response.text, response.parsed) == ("{}", None)
    assert upstream.calls[0].extra["response_format"] == {"type": "json_object"}
    assert upstream.calls[0].messages[0].content.startswith("Answer with one JSON object")


class Plain:
    pass


def nowhere():
    class Local(msgspec.Struct):
        other: "Missing"  # noqa: F821

    return Local


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("City", "response_format: must be a type or a dict, not str"),
        (Data("x"), "must be a type or a dict, not Data"),
        (Plain, "response_format: Plain has no JSON Schema"),
        (type(lambda: 0), "function has no JSON Schema"),
        (nowhere(), "Local has no JSON Schema: NameError"),
    ],
)
async def test_a_type_that_an_answer_cannot_have_is_refused_before_anything_is_asked(kind, said):
    upstream = ScriptedHandler()
    async with CopilotSDK(handler=upstream) as sdk:
        with pytest.raises(InvalidOptionError, match=said):
            await sdk.chat("?", response_format=kind)
        with pytest.raises(InvalidOptionError, match="a type is given with each question"):
            await sdk.create_session(response_format=Data)
    assert upstream.calls == []


ASKED = {
    "gpt-4.1": lambda body: body["response_format"]["json_schema"],
    "gpt-5": lambda body: body["text"]["format"],
    "gpt-5.3-codex": lambda body: body["text"]["format"],
    "claude-sonnet-4.5": lambda body: {"schema": json.loads(body["system"][body["system"].index("{") :])},  # in words
}
CITY = Script([Rule(text=ANSWER)])


@pytest.mark.parametrize("model", ASKED)
async def test_over_http_every_dialect_sends_the_schema(simulate, model):
    simulator = await simulate(script=CITY)
    async with CopilotSDK("gho_token", host=simulator.url, model=model) as sdk:
        response = await sdk.chat("Which city?", response_format=Data)
    assert response.parsed == Data("Paris", 2_100_000)
    body = next(s for s in simulator.app.seen if s.method == "POST" and "token" not in s.path).body
    schema = ASKED[model](json.loads(body))["schema"]
    assert schema["required"] == ["name", "people"]


async def test_over_a_gateway_every_dialect_sends_the_schema(gateway):
    key = "a-key-of-16-chars-or-more"
    served = await gateway(settings={"keys": (key,)}, script=CITY)
    for model in ("gpt-5", "claude-sonnet-4.5"):
        async with CopilotSDK(key, base_url=f"{served.url}/v1", model=model) as sdk:
            assert (await sdk.chat("Which city?", response_format=Model)).parsed == Model(
                name="Paris", people=2_100_000
            )


@pytest.mark.contract
async def test_over_the_cli_it_is_asked_for_in_words(simulate, copilot):
    simulator = await simulate(script=Script([Rule(when="JSON Schema", text=f"Gladly: {ANSWER}")]))
    async with copilot(simulator) as client, CopilotSDK(client=client) as sdk:
        response = await sdk.chat("Which city?", response_format=Typed)
    assert response.parsed == {"name": "Paris", "people": 2_100_000}


async def test_a_function_sees_the_question_and_the_format():
    def model(request: ChatRequest) -> str:
        assert request.prompt == "Which city?"
        return json.dumps(dict.fromkeys(request.extra["response_format"]["json_schema"]["schema"]["required"], "x"))

    class Names(pydantic.BaseModel):
        first: str
        last: str

    async with CopilotSDK(handler=model) as sdk:
        assert (await sdk.chat("Which city?", response_format=Names)).parsed == Names(first="x", last="x")
