"""Tools: Python functions that a model may call.

`define_tool` turns a function into a `Tool` with a JSON Schema made from its annotations; `run` executes one call and always
gives a result. This module refuses to know how calls and results travel.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, overload

from rightseat.errors import EncodeError, InvalidToolError
from rightseat.log import logger
from rightseat.sdk.calling import is_async
from rightseat.sdk.tool_rules import ToolRulesWarning, described, problems
from rightseat.sdk.tool_schema import Shape
from rightseat.security.masking import mask
from rightseat.wire.jsonrpc import encode_json
from rightseat.wire.record import Record, as_record

ToolResultType: TypeAlias = Literal["success", "failure", "rejected", "denied", "timeout"]

Rules: TypeAlias = Literal["warn", "error", "off"]

# What the Copilot API accepts as the name of a function.
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclasses.dataclass(slots=True)
class ToolBinaryResult:
    """An image or a file returned by a tool. `data` is base64."""

    data: str = ""
    mime_type: str = ""
    type: Literal["image", "resource"] = "image"
    description: str = ""


@dataclasses.dataclass(slots=True)
class ToolResult:
    """What a tool returns when text alone does not say it.

    Attributes:
        text_result_for_llm: what the model reads.
        result_type: "success", "failure", "rejected", "denied" or "timeout".
        error: what went wrong, for logs; the model does not see it.
        error_type: a short name of the failure that programs can rely on, such as "ValueError".
        binary_results_for_llm: images and files.
        session_log: a line for the session's timeline.
        tool_telemetry: anything, kept with the event.
    """

    text_result_for_llm: str = ""
    result_type: ToolResultType = "success"
    error: str | None = None
    error_type: str | None = None
    binary_results_for_llm: list[ToolBinaryResult] | None = None
    session_log: str | None = None
    tool_telemetry: dict[str, Any] | None = None
    tool_references: list[str] | None = None

    def to_wire(self) -> dict[str, Any]:
        """The result as the CLI takes it."""
        wire: dict[str, Any] = {"textResultForLlm": self.text_result_for_llm, "resultType": self.result_type}
        if self.error is not None:
            wire["error"] = self.error
        if self.binary_results_for_llm:
            wire["binaryResultsForLlm"] = [
                {"data": b.data, "mimeType": b.mime_type, "type": b.type, "description": b.description}
                for b in self.binary_results_for_llm
            ]
        if self.session_log is not None:
            wire["sessionLog"] = self.session_log
        if self.tool_telemetry or self.error_type:
            wire["toolTelemetry"] = {
                **(self.tool_telemetry or {}),
                **({"errorType": self.error_type} if self.error_type else {}),
            }
        if self.tool_references is not None:
            wire["toolReferences"] = self.tool_references
        return wire


class ToolFailure(Exception):  # noqa: N818 - it is not an error of ours but the tool's way to say no
    """Raise this in a tool to tell the model, in your own words, that and why it did not work."""


@dataclasses.dataclass(slots=True)
class ToolInvocation:
    """The circumstances of one call. Fields can be read as attributes or as `invocation["field"]`.

    Attributes:
        session_id: the session that called.
        tool_call_id: the model's id for the call.
        tool_name: the tool's name.
        arguments: the arguments as the model gave them, unchecked.
        request_id: the CLI's id for the request.
        agent_id: the sub-agent that called, or None.
        working_directory: the session's, or None.
    """

    session_id: str = ""
    tool_call_id: str = ""
    tool_name: str = ""
    arguments: Any = None
    request_id: str | None = None
    agent_id: str | None = None
    working_directory: str | None = None

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None


ToolHandler: TypeAlias = Callable[..., Any]


@dataclasses.dataclass(slots=True)
class Tool:
    """Something a model may call.

    Attributes:
        name: letters, digits, "_" and "-", at most 64.
        description: what it does, for the model.
        handler: a function of one ToolInvocation, or None when another client runs the tool.
        parameters: JSON Schema of its arguments, an object; None for a tool without arguments.
        overrides_built_in_tool: it takes the place of the CLI's own tool of that name.
        skip_permission: it runs without a permission request.
        defer: "auto" or "never": whether the model may find it by search only.
        is_terminal: a successful call ends the turn.
        timeout: seconds it may take; None: no limit of ours.
    """

    name: str
    description: str = ""
    handler: ToolHandler | None = None
    parameters: dict[str, Any] | None = None
    overrides_built_in_tool: bool = False
    skip_permission: bool = False
    defer: Literal["auto", "never"] | None = None
    metadata: dict[str, Any] | None = None
    is_terminal: bool = False
    namespace: dict[str, Any] | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InvalidToolError(f"tool name {self.name!r}: use 1 to 64 letters, digits, '_' or '-'")
        if self.parameters is not None:
            check_schema(self.name, self.parameters)
        if self.handler is not None and not callable(self.handler):
            raise InvalidToolError(
                f"tool {self.name!r}: the handler is not a function but {type(self.handler).__name__}"
            )
        if self.timeout is not None and self.timeout <= 0:
            raise InvalidToolError(f"tool {self.name!r}: timeout must be more than 0 seconds, not {self.timeout!r}")

    def to_wire(self) -> dict[str, Any]:
        """The tool as the CLI takes it (parameter `tools` of session.create)."""
        wire: dict[str, Any] = {"name": self.name, "description": self.description}
        if self.parameters is not None:
            wire["parameters"] = self.parameters
        options = {
            "overridesBuiltInTool": self.overrides_built_in_tool,
            "skipPermission": self.skip_permission,
            "defer": self.defer,
            "metadata": self.metadata,
            "isTerminal": self.is_terminal,
            "namespace": self.namespace,
        }
        wire.update({name: value for name, value in options.items() if value})
        return wire


def check_schema(tool: str, schema: Any) -> None:
    """Refuse a schema that no model API would take.

    Raises:
        InvalidToolError: naming the tool and the place.
    """
    if not isinstance(schema, Mapping):
        raise InvalidToolError(f"tool {tool!r}: parameters must be a JSON Schema (a dict), not {type(schema).__name__}")
    if schema.get("type", "object") != "object":
        raise InvalidToolError(f"tool {tool!r}: parameters must have type 'object', not {schema['type']!r}")
    properties = schema.get("properties", {})
    if not isinstance(properties, Mapping):
        raise InvalidToolError(f"tool {tool!r}: parameters.properties must be a dict, not {type(properties).__name__}")
    for name, inner in properties.items():
        if not isinstance(inner, (Mapping, bool)):
            raise InvalidToolError(f"tool {tool!r}: parameters.properties.{name} must be a schema, not {inner!r}")
    required = schema.get("required", [])
    if not isinstance(required, (list, tuple)) or not all(isinstance(name, str) for name in required):
        raise InvalidToolError(f"tool {tool!r}: parameters.required must be a list of names, not {required!r}")
    if properties and (missing := [name for name in required if name not in properties]):
        raise InvalidToolError(
            f"tool {tool!r}: parameters.required names {missing[0]!r}, which properties does not have"
        )
    try:
        encode_json(schema, f"the schema of tool {tool!r}")
    except EncodeError as e:
        raise InvalidToolError(str(e)) from e


@overload
def define_tool(
    name: str | None = None,
    *,
    description: str | None = None,
    params_type: Any = None,
    overrides_built_in_tool: bool = False,
    skip_permission: bool = False,
    defer: Literal["auto", "never"] | None = None,
    metadata: dict[str, Any] | None = None,
    is_terminal: bool = False,
    namespace: dict[str, Any] | None = None,
    timeout: float | None = None,
    rules: Rules = "warn",
) -> Callable[[Callable[..., Any]], Tool]: ...


@overload
def define_tool(
    name: str | Callable[..., Any] | None = None,
    *,
    description: str | None = None,
    handler: Callable[..., Any] | None = None,
    params_type: Any = None,
    overrides_built_in_tool: bool = False,
    skip_permission: bool = False,
    defer: Literal["auto", "never"] | None = None,
    metadata: dict[str, Any] | None = None,
    is_terminal: bool = False,
    namespace: dict[str, Any] | None = None,
    timeout: float | None = None,
    rules: Rules = "warn",
) -> Tool: ...


def define_tool(
    name: str | Callable[..., Any] | None = None,
    *,
    description: str | None = None,
    handler: Callable[..., Any] | None = None,
    params_type: Any = None,
    rules: Rules = "warn",
    **options: Any,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
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

    def decorate(function: Callable[..., Any]) -> Tool:
        return _make_tool(function, name, description, params_type, options)

    return decorate


def _make_tool(
    function: Callable[..., Any], name: str | None, description: str | None, params_type: Any, options: dict[str, Any]
) -> Tool:
    name = name or str(getattr(function, "__name__", ""))
    shape = Shape.of(function, name, params_type, ToolInvocation)
    text, of_parameters = described(inspect.getdoc(function))
    rules = options.pop("rules", "off")
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
    _check_rules(tool, rules)
    return tool


def _with_descriptions(schema: dict[str, Any] | None, of_parameters: Mapping[str, str]) -> dict[str, Any] | None:
    """The schema, with what a docstring says of its parameters where it says nothing itself."""
    if not schema or not of_parameters:
        return schema
    properties = {
        name: {"description": of_parameters[name], **inner}
        if isinstance(inner, dict) and of_parameters.get(name)
        else inner
        for name, inner in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties}


def _check_rules(tool: Tool, rules: str) -> None:
    if rules not in ("warn", "error", "off"):
        raise InvalidToolError(f"tool {tool.name!r}: rules must be 'warn', 'error' or 'off', not {rules!r}")
    found = problems(tool.name, tool.description, tool.parameters) if rules != "off" else []
    if not found:
        return
    text = f"tool {tool.name!r}: {'; '.join(found)}"
    if rules == "error":
        raise InvalidToolError(text)
    warnings.warn(text, ToolRulesWarning, stacklevel=4)  # the line that defines the tool


class _Handler:
    """The function of a tool, called with what it asked for."""

    def __init__(self, function: Callable[..., Any], shape: Shape) -> None:
        self.function = function
        self._shape = shape
        self.is_async = is_async(function)

    def __call__(self, invocation: ToolInvocation) -> Any:
        shape, keywords = self._shape, {}
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


async def run(tool: Tool, invocation: ToolInvocation) -> ToolResult:
    """Execute one call. Always gives a result, unless this task is cancelled.

    A `def` runs in a worker thread; when its time is up, the thread runs on and its result is dropped.
    """
    if tool.handler is None:
        return _failure(f"Tool {tool.name} has no handler here.", "NoHandler", None)
    try:
        async with asyncio.timeout(tool.timeout):
            if getattr(tool.handler, "is_async", None) or is_async(tool.handler):
                value = await tool.handler(invocation)
            else:
                value = await asyncio.to_thread(tool.handler, invocation)
                if inspect.isawaitable(value):
                    value = await value
        return to_result(tool.name, value)
    except ToolFailure as e:
        return _failure(str(e), "ToolFailure", str(e))
    except TimeoutError as e:
        if tool.timeout is None:  # the tool's own
            return _failed(tool.name, e)
        logger.warning("tool %s did not finish within %g s", tool.name, tool.timeout)
        text = f"Tool {tool.name} did not finish within {tool.timeout:g} seconds."
        return ToolResult(text, "timeout", error=text, error_type="TimeoutError")
    except Exception as e:
        return _failed(tool.name, e)


def _failed(name: str, e: BaseException) -> ToolResult:
    logger.warning("tool %s failed", name, exc_info=e)
    # The model learns that and how, not what: exception texts may hold paths, queries and secrets.
    return _failure(f"Tool {name} failed with {type(e).__name__}.", type(e).__name__, mask(f"{type(e).__name__}: {e}"))


def _failure(text: str, error_type: str, error: str | None) -> ToolResult:
    return ToolResult(text, "failure", error=error or text, error_type=error_type)


def to_result(name: str, value: Any) -> ToolResult:
    """What a tool returned, as a ToolResult.

    A dict with `textResultForLlm`, or with `success` (true or false) and, on failure, `error` and `error_type`, is read as a
    result; anything else is text or becomes JSON. What JSON cannot hold is a failure that says so.
    """
    if isinstance(value, ToolResult):
        return value
    if value is None:
        return ToolResult("")
    if isinstance(value, str):
        return ToolResult(value)
    if isinstance(value, dict) and "textResultForLlm" in value:
        return _result_from_wire(as_record(value))
    try:
        text = encode_json(value, f"the result of tool {name}").decode()
    except EncodeError as e:
        logger.warning("%s", e)
        return _failure(
            f"Tool {name} returned a value of type {type(value).__name__}, which cannot be sent.", "EncodeError", str(e)
        )
    if isinstance(value, dict) and value.get("success") is False:
        return ToolResult(text, "failure", error=str(value.get("error", text)), error_type=value.get("error_type"))
    return ToolResult(text)


def _result_from_wire(value: Record) -> ToolResult:
    return ToolResult(
        str(value["textResultForLlm"]),
        value.get("resultType", "success"),
        error=value.get("error"),
        binary_results_for_llm=[
            ToolBinaryResult(b.get("data", ""), b.get("mimeType", ""), b.get("type", "image"), b.get("description", ""))
            for b in value.get("binaryResultsForLlm") or ()
        ]
        or None,
        session_log=value.get("sessionLog"),
        tool_telemetry=value.get("toolTelemetry"),
    )


def as_tool(value: Any) -> Tool:
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
