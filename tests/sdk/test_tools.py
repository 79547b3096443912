"""Tools: schemas from hints, checks at definition, results and failures."""

import asyncio
import dataclasses
from typing import Annotated, Literal, TypedDict

import msgspec
import pytest
from pydantic import BaseModel, Field

from rightseat import InvalidToolError, Tool, ToolBinaryResult, ToolFailure, ToolInvocation, ToolResult, define_tool
from rightseat.sdk.tool_run import run


async def call(tool: Tool, arguments: object = None) -> ToolResult:
    return await run(tool, ToolInvocation(session_id="s", tool_call_id="c", tool_name=tool.name, arguments=arguments))


def test_plain_hints_become_a_schema():
    @define_tool
    def search(query: Annotated[str, "what to look for"], limit: int = 10, kind: Literal["web", "news"] = "web") -> str:
        """Search for something."""
        return ""

    assert search.name == "search"
    assert search.description == "Search for something."
    properties = search.parameters["properties"]
    assert properties["query"] == {"type": "string", "description": "what to look for"}
    assert properties["limit"] == {"type": "integer", "default": 10}
    assert sorted(properties["kind"]["enum"]) == ["news", "web"]
    assert search.parameters["required"] == ["query"]
    assert search.parameters["type"] == "object"


class Params(BaseModel):
    name: str = Field(description="whose")


@dataclasses.dataclass
class Data:
    name: str


class Typed(TypedDict):
    name: str


class Shape(msgspec.Struct):
    name: str


def by_pydantic(params: Params) -> str:
    return params.name


def by_dataclass(params: Data) -> str:
    return params.name


def by_typeddict(params: Typed) -> str:
    return params["name"]


def by_struct(params: Shape, invocation: ToolInvocation) -> str:
    return params.name + invocation["tool_name"].removeprefix("by_struct")


@pytest.mark.parametrize("function", [by_pydantic, by_dataclass, by_typeddict, by_struct])
async def test_every_kind_of_model_is_understood(function):
    tool = define_tool(function, description="d")
    assert tool.parameters["properties"]["name"]["type"] == "string"
    assert tool.parameters["required"] == ["name"]
    assert (await call(tool, {"name": "Ada"})).text_result_for_llm == "Ada"
    failed = await call(tool, {"nam": "Ada"})
    assert failed.result_type == "failure"
    assert "name" in failed.text_result_for_llm


async def test_hints_that_only_pydantic_understands():
    class Item(BaseModel):
        price: float

    @define_tool
    def total(items: list[Item], factor: int = Field(default=1, ge=1)) -> float:
        """Sum."""
        return sum(item.price for item in items) * factor

    assert (await call(total, {"items": [{"price": 1.5}, {"price": 2}], "factor": 2})).text_result_for_llm == "7.0"
    assert (await call(total, {"items": [{"price": "x"}]})).result_type == "failure"


async def test_a_tool_without_arguments_and_one_with_the_invocation_alone():
    @define_tool
    def ping() -> str:
        """Ping."""
        return "pong"

    @define_tool
    async def who(invocation) -> str:
        """Who."""
        return invocation.session_id

    assert ping.parameters is None
    assert (await call(ping)).text_result_for_llm == "pong"
    assert (await call(who, {"unexpected": 1})).text_result_for_llm == "s"


async def test_the_function_form():
    tool = define_tool("add", description="Add", handler=lambda params, invocation: params["a"] + 1, params_type=dict)
    assert isinstance(tool, Tool)


async def test_a_tool_by_hand_gets_the_invocation():
    tool = Tool("raw", "Raw.", lambda invocation: str(invocation.arguments), {"type": "object", "properties": {}})
    assert (await call(tool, {"x": 1})).text_result_for_llm == "{'x': 1}"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Tool("no spaces"), "use 1 to 64 letters"),
        (lambda: Tool(""), "use 1 to 64 letters"),
        (lambda: Tool("x" * 65), "use 1 to 64 letters"),
        (lambda: Tool("x", parameters=[1]), "must be a JSON Schema"),
        (lambda: Tool("x", parameters={"type": "string"}), "must have type 'object', not 'string'"),
        (lambda: Tool("x", parameters={"properties": [1]}), "parameters.properties must be a dict"),
        (lambda: Tool("x", parameters={"properties": {"a": "string"}}), "parameters.properties.a must be a schema"),
        (
            lambda: Tool("x", parameters={"properties": {"a": {}}, "required": ["b"]}),
            "names 'b', which properties does not have",
        ),
        (
            lambda: Tool("x", parameters={"properties": {"a": {"default": object()}}}),
            "the schema of tool 'x' cannot be written",
        ),
        (lambda: Tool("x", handler="f"), "the handler is not a function"),
        (lambda: Tool("x", timeout=0), "timeout must be more than 0"),
        (lambda: define_tool(no_such_option=1)(by_struct), "no_such_option"),
        (lambda: define_tool(lambda a: a), "use 1 to 64 letters"),
    ],
)
def test_bad_tools_are_refused_when_they_are_defined(make, says):
    with pytest.raises(InvalidToolError, match=says):
        make()


async def test_results_in_every_form():
    async def gives(value: object) -> dict:
        return (await call(Tool("t", handler=lambda _: value))).to_wire()

    assert await gives("text") == {"textResultForLlm": "text", "resultType": "success"}
    assert await gives(None) == {"textResultForLlm": "", "resultType": "success"}
    assert await gives({"a": [1]}) == {"textResultForLlm": '{"a":[1]}', "resultType": "success"}
    assert await gives(Params(name="x")) == {"textResultForLlm": '{"name":"x"}', "resultType": "success"}
    assert (await gives({"success": False, "error": "e", "error_type": "T"}))["toolTelemetry"] == {"errorType": "T"}
    picture = ToolResult("see", binary_results_for_llm=[ToolBinaryResult("aGk=", "image/png", description="d")])
    assert (await gives(picture))["binaryResultsForLlm"] == [
        {"data": "aGk=", "mimeType": "image/png", "type": "image", "description": "d"}
    ]
    classic = {"textResultForLlm": "t", "resultType": "failure", "error": "e", "sessionLog": "l"}
    assert await gives(classic) == classic


async def test_failures_say_to_the_model_only_what_is_meant_for_it():
    def leak(_):
        raise RuntimeError("token ghp_abcdefghijklmnopqrstuvwxyz0123")

    def refuse(_):
        raise ToolFailure("Not today.")

    leaked = await call(Tool("leak", handler=leak))
    assert leaked.text_result_for_llm == "Tool leak failed with RuntimeError."
    assert "abcdefghijkl" not in leaked.error
    assert leaked.error_type == "RuntimeError"
    assert (await call(Tool("refuse", handler=refuse))).text_result_for_llm == "Not today."


async def test_the_time_of_a_tool_is_limited():
    async def slow(_):
        await asyncio.Event().wait()

    result = await call(Tool("slow", handler=slow, timeout=0.01))
    assert result.result_type == "timeout"
    assert "0.01 seconds" in result.text_result_for_llm


async def test_a_tools_own_timeout_error_is_a_failure():
    async def slow(_):
        raise TimeoutError

    assert (await call(Tool("slow", handler=slow))).error_type == "TimeoutError"
