"""Rules for tools: what breaks them, what follows, and where descriptions come from."""

import warnings
from typing import Annotated, Literal

import pytest

from rightseat import InvalidToolError, Tool, define_tool
from rightseat.sdk.tool_definition import as_tool
from rightseat.sdk.tool_rules import ToolRulesWarning, described, problems

GOOD = {
    "name": "search_codebase",
    "description": "Search for code patterns in repository files. Returns matching files with line numbers.",
    "schema": {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "description": "Regex pattern to search (Python re syntax)"},
            "file_pattern": {"type": "string", "description": "Glob pattern for files to search", "default": "**/*"},
            "max_results": {"type": "integer", "description": "How many", "default": 50, "minimum": 1, "maximum": 500},
        },
        "required": ["pattern"],
    },
}


def test_the_good_example_of_the_guide_breaks_no_rule():
    assert problems(**GOOD) == []


def test_the_bad_example_of_the_guide_breaks_most():
    properties = {"action": {"type": "string"}, "data": {"type": "string"}}
    found = problems("do_stuff", "Does various things", {"type": "object", "properties": properties})
    assert [text.split(":")[0] for text in found] == [
        "one tool for one purpose",
        "parameter 'action' accepts any value",
        "parameter 'data' accepts any value",
        "parameter 'action' has no description",
        "parameter 'data' has no description",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"description": ""}, "say in a sentence"),
        ({"name": "execute"}, "one tool for one purpose"),
        ({"schema": {"type": "object", "additionalProperties": True}}, "it takes any parameters"),
        ({"schema": {"properties": {"n": {"type": "integer", "description": "x"}}}}, "without bounds or default"),
        ({"schema": {"properties": {"x": {"type": "string"}}}}, "has no description"),
    ],
)
def test_each_rule(change, said):
    (found,) = problems(**{**GOOD, **change})
    assert said in found


def test_values_that_are_named_are_no_catch_all():
    properties = {"action": {"enum": ["on", "off"], "description": "which"}}
    assert problems("set_light", "Switch the light of a room.", {"properties": properties}) == []


def test_docstrings_describe_parameters_and_are_not_repeated():
    @define_tool(rules="error")
    def find_flights(origin: str, seats: Annotated[int, "how many"] = 1, cabin: Literal["eco", "first"] = "eco") -> str:
        """Find flights from an airport.

        Args:
            origin: IATA code of the airport,
                three letters.
            seats: not this one.
            cabin (str): the class.

        Returns:
            A list.
        """

    assert find_flights.description == "Find flights from an airport."
    properties = find_flights.parameters["properties"]
    assert properties["origin"]["description"] == "IATA code of the airport, three letters."
    assert properties["seats"]["description"] == "how many"
    assert properties["cabin"]["description"] == "the class."


def test_odd_docstrings_are_texts():
    assert described(None) == ("", {})
    assert described("Args: none") == ("Args: none", {})
    assert described("Args:\n    x") == ("", {})


def test_what_follows_is_chosen():
    def do_it(data):
        """Do it."""

    with pytest.warns(ToolRulesWarning, match="tool 'do_it'") as caught:
        define_tool(do_it)
    assert caught[0].filename == __file__
    with pytest.warns(ToolRulesWarning) as caught:

        @define_tool("do_all", description="Does it.")
        def other(data: str) -> str: ...

    assert caught[0].filename == __file__
    with pytest.raises(InvalidToolError, match="one tool for one purpose"):
        define_tool(do_it, rules="error")
    with pytest.raises(InvalidToolError, match="rules must be"):
        define_tool(do_it, rules="never")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        define_tool(do_it, rules="off")


# Tools that are no functions: dicts, and Tool(...)

EXECUTE = {  # parameters stand where only keywords of JSON Schema may
    "name": "execute",
    "description": "Execute any operation",
    "parameters": {"operation": {"type": "string"}, "data": {"type": "object"}},
}
DO_STUFF = {
    "name": "do_stuff",
    "description": "Does various things",
    "parameters": {"type": "object", "properties": {"action": {"type": "string"}, "data": {"type": "string"}}},
}
SEARCH = {"name": GOOD["name"], "description": GOOD["description"], "parameters": GOOD["schema"]}


@pytest.mark.parametrize("make", [as_tool, lambda tool: Tool(**tool)])
def test_raw_schemas_have_the_same_rules(make):
    with pytest.raises(
        InvalidToolError, match=r"'execute': parameters\.operation is no keyword.*parameters\.properties"
    ):
        make(EXECUTE)
    with pytest.warns(ToolRulesWarning, match="one tool for one purpose") as caught:
        make(DO_STUFF)
    assert caught[0].filename == __file__
    with pytest.raises(InvalidToolError, match="'action' accepts any value"):
        make({**DO_STUFF, "rules": "error"})
    with pytest.raises(InvalidToolError, match="rules must be"):
        make({**DO_STUFF, "rules": "maybe"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert make(SEARCH).name == "search_codebase"
        assert make({**DO_STUFF, "rules": "off"}).name == "do_stuff"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {}, "$defs": {"a": {"type": "string"}}},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "x-vendor": {"a": 1}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}},
        {"type": "object", "properties": {}, "if": {}, "then": {}, "else": {}, "not": {"required": ["b"]}},
    ],
)
def test_keywords_of_json_schema_are_no_parameters(schema):
    assert Tool("lookup", "Look something up.", None, schema, rules="off").parameters == schema
