"""Tools as values: what a model may call, one call of it, and what came of it.

How a function becomes a tool is for `tool_definition`, how a call is executed for `tool_run`, and how both travel for others.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from rightseat.errors import EncodeError, InvalidToolError
from rightseat.json_types import JsonObject
from rightseat.sdk.tool_rules import Rules, check_rules
from rightseat.wire.jsonrpc import encode_json

ToolResultType: TypeAlias = Literal["success", "failure", "rejected", "denied", "timeout"]

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
    tool_telemetry: JsonObject | None = None
    tool_references: list[str] | None = None

    def to_wire(self) -> JsonObject:
        """The result as the CLI takes it."""
        wire: JsonObject = {"textResultForLlm": self.text_result_for_llm, "resultType": self.result_type}
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
    arguments: Any = None  # JSON
    request_id: str | None = None
    agent_id: str | None = None
    working_directory: str | None = None

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None


ToolHandler: TypeAlias = Callable[..., object]


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
        rules: what follows when a model will find the tool hard to use rightly (see `tool_rules.problems`): "warn" is a
            ToolRulesWarning, "error" an InvalidToolError, "off" nothing. Not kept.
    """

    name: str
    description: str = ""
    handler: ToolHandler | None = None
    parameters: JsonObject | None = None
    overrides_built_in_tool: bool = False
    skip_permission: bool = False
    defer: Literal["auto", "never"] | None = None
    metadata: JsonObject | None = None
    is_terminal: bool = False
    namespace: JsonObject | None = None
    timeout: float | None = None
    rules: dataclasses.InitVar[Rules] = "warn"

    def __post_init__(self, rules: Rules) -> None:
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
        check_rules(self.name, self.description, self.parameters, rules)

    def to_wire(self) -> JsonObject:
        """The tool as the CLI takes it (parameter `tools` of session.create)."""
        wire: JsonObject = {"name": self.name, "description": self.description}
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


# Keywords of JSON Schema (draft 2020-12, and older ones) whose value is an object.
_WITH_OBJECTS = frozenset({
    "properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames", "items", "prefixItems",
    "additionalItems", "unevaluatedItems", "contains", "not", "if", "then", "else", "dependentSchemas", "dependencies",
    "dependentRequired", "definitions", "$defs", "$vocabulary", "default", "const", "example", "examples", "discriminator", "xml",
    "externalDocs",
})  # fmt: skip


def _is_misplaced(name: str, inner: object) -> bool:
    """A parameter that stands where only keywords may."""
    return isinstance(inner, Mapping) and name not in _WITH_OBJECTS and not name.startswith(("x-", "$"))


def check_schema(tool: str, schema: object) -> None:
    """Refuse a schema that no model API would take.

    Raises:
        InvalidToolError: naming the tool and the place.
    """
    if not isinstance(schema, Mapping):
        raise InvalidToolError(f"tool {tool!r}: parameters must be a JSON Schema (a dict), not {type(schema).__name__}")
    if schema.get("type", "object") != "object":
        raise InvalidToolError(f"tool {tool!r}: parameters must have type 'object', not {schema['type']!r}")
    misplaced = next((name for name, inner in schema.items() if _is_misplaced(name, inner)), None)
    if misplaced is not None:
        raise InvalidToolError(
            f"tool {tool!r}: parameters.{misplaced} is no keyword of JSON Schema: parameters stand in parameters.properties, "
            'as in {"type": "object", "properties": {...}}'
        )
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
