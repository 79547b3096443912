"""From a function to a tool: `define_tool` makes the JSON Schema from its annotations.

It does not know how calls are executed and how they travel.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, overload

from rightseat.errors import InvalidToolError
from rightseat.json_types import JsonObject
from rightseat.sdk.calling import is_async
from rightseat.sdk.tool_rules import Rules, described
from rightseat.sdk.tool_schema import Shape
from rightseat.sdk.tools import Tool, ToolFailure, ToolInvocation


@overload
def define_tool(
    name: str | None = None,
    *,
    description: str | None = None,
    params_type: object = None,
    overrides_built_in_tool: bool = False,
    skip_permission: bool = False,
    defer: Literal["auto", "never"] | None = None,
    metadata: JsonObject | None = None,
    is_terminal: bool = False,
    namespace: JsonObject | None = None,
    timeout: float | None = None,
    rules: Rules = "warn",
) -> Callable[[Callable[..., object]], Tool]: ...


@overload
def define_tool(
    name: str | Callable[..., object] | None = None,
    *,
    description: str | None = None,
    handler: Callable[..., object] | None = None,
    params_type: object = None,
    overrides_built_in_tool: bool = False,
    skip_permission: bool = False,
    defer: Literal["auto", "never"] | None = None,
    metadata: JsonObject | None = None,
    is_terminal: bool = False,
    namespace: JsonObject | None = None,
    timeout: float | None = None,
    rules: Rules = "warn",
) -> Tool: ...


def define_tool(
    name: str | Callable[..., object] | None = None,
    *,
    description: str | None = None,
    handler: Callable[..., object] | None = None,
    params_type: object = None,
    rules: Rules = "warn",
    **options: object,
) -> Tool | Callable[[Callable[..., object]], Tool]:
    """Make a tool of a function: as a decorator with or without arguments, or by `handler=`.

    What the docstring says of a parameter (in a section "Args:") describes it.

    The function may take
    - nothing;
    - one parameter whose type is a Pydantic model, a dataclass, a TypedDict or a msgspec Struct: its fields are the arguments;
    - plain parameters with type hints: they are the arguments; `Annotated[str, "what it is"]` describes one;
    - and in each case, wherever it likes, a ToolInvocation.

    A `def` runs in a worker thread, so that it cannot block the event loop; an `async def` runs on the loop. It returns text,
    a ToolResult, None, or anything JSON can hold. To say no, raise ToolFailure; any other exception tells the model only its type.

    Args:
        name: the tool's name; the function's own otherwise.
        description: for the model; the function's docstring otherwise.
        handler: the function, when not used as a decorator.
        params_type: the type of the arguments, when the annotations do not tell.
        rules: what follows when a model will find the tool hard to use rightly (see `tool_rules.problems`): "warn" is a
            ToolRulesWarning, "error" an InvalidToolError, "off" nothing.
        **options: further fields of `Tool`.

    Raises:
        InvalidToolError: a bad name, hints that no schema can be made of, or with rules="error" a broken rule.
    """
    options = {**options, "rules": rules}
    if callable(name):  # @define_tool without parentheses
        return _make_tool(name, None, description, params_type, options)
    if handler is not None:
        return _make_tool(handler, name, description, params_type, options)

    def decorate(function: Callable[..., object]) -> Tool:
        return _make_tool(function, name, description, params_type, options)

    return decorate


def _make_tool(
    function: Callable[..., object],
    name: str | None,
    description: str | None,
    params_type: object,
    options: dict[str, Any],
) -> Tool:
    name = name or str(getattr(function, "__name__", ""))
    shape = Shape.of(function, name, params_type, ToolInvocation)
    text, of_parameters = described(inspect.getdoc(function))
    try:
        tool = Tool(
            name=name,
            description=description or text,
            handler=_Handler(function, shape),
            parameters=_with_descriptions(shape.schema, of_parameters),
            **options,
        )
    except TypeError as e:
        if isinstance(e, InvalidToolError):
            raise
        raise InvalidToolError(f"tool {name!r}: {e}") from e
    return tool


def _with_descriptions(schema: JsonObject | None, of_parameters: Mapping[str, str]) -> JsonObject | None:
    """The schema, with descriptions of parameters from the docstring where it has none."""
    if not schema or not of_parameters:
        return schema
    properties = {
        name: {"description": of_parameters[name], **inner}
        if isinstance(inner, dict) and of_parameters.get(name)
        else inner
        for name, inner in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties}


class _Handler:
    """The function of a tool, called with what it asked for."""

    def __init__(self, function: Callable[..., object], shape: Shape) -> None:
        self.function = function
        self._shape = shape
        self.is_async = is_async(function)

    def __call__(self, invocation: ToolInvocation) -> object:
        shape, keywords = self._shape, dict[str, object]()
        if shape.parse is not None:
            value = self._parse(invocation)
            if shape.spread:
                keywords.update(value)
            elif shape.params_name is not None:
                keywords[shape.params_name] = value
        if shape.invocation_name is not None:
            keywords[shape.invocation_name] = invocation
        return self.function(**keywords)

    def _parse(self, invocation: ToolInvocation) -> Any:
        assert self._shape.parse is not None
        try:
            return self._shape.parse(invocation.arguments if invocation.arguments is not None else {})
        except ValueError as e:  # msgspec's and Pydantic's validation errors are ValueErrors
            raise ToolFailure(f"Invalid arguments for tool {invocation.tool_name}: {e}") from e


def as_tool(value: object) -> Tool:
    """A Tool from whatever the option `tools` holds: a Tool, a plain function, or any object with a tool's attributes.

    Raises:
        InvalidToolError: it is none of these.
    """
    if isinstance(value, Tool):
        return value
    if isinstance(value, Mapping):
        try:
            return Tool(**value)
        except TypeError as e:
            raise InvalidToolError(f"a tool given as a dict: {e}") from e
    if hasattr(value, "name") and hasattr(value, "handler"):
        return Tool(**{f.name: getattr(value, f.name) for f in dataclasses.fields(Tool) if hasattr(value, f.name)})
    if callable(value):
        return _make_tool(value, None, None, None, {})
    raise InvalidToolError(f"{value!r} is not a tool: use define_tool, a Tool, or a function")
