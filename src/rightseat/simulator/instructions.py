"""What the simulated model does with a request: plain instructions are obeyed, all else gets prose. Pure decisions.

Understood in the last message of the user:

    Reply with exactly: TEXT
    Run the shell command `COMMAND` and reply with its output
    Write the file `PATH` containing: TEXT
    Use the NAME tool ...            (arguments are taken from the prompt by the tool's schema)

The first of them holds. The tools are those that the request offers, whatever they are called. When a tool has answered, its result is
used. A tool that the request demands is called; one that is called get_SOMETHING is, when the prompt speaks of that. Without an instruction,
an answer that shall keep to a JSON Schema does, with values taken from the prompt as arguments are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from rightseat.chat import ChatRequest, Message, ToolSpec
from rightseat.json_types import Json, JsonObject

_REPLY = re.compile(r"reply with exactly:?\s*(.+)", re.IGNORECASE | re.DOTALL)
_SHELL = re.compile(r"run the shell command\s+`([^`]+)`", re.IGNORECASE)
_WRITE = re.compile(r"write the file\s+`([^`]+)`\s+containing:?\s*(.*)", re.IGNORECASE | re.DOTALL)
_USE = re.compile(r"\buse the\s+[`\"']?([\w-]+)[`\"']?\s+tool\b", re.IGNORECASE)

_EXPRESSION = re.compile(r"[-+]?\(*\d[\d\s.()]*(?:[-+*/%^]+[\d\s.()]+)+")
_QUOTED = re.compile(r"[`\"']([^`\"']+)[`\"']")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_AFTER_COLON = re.compile(r"tool\b[^:\n]*:\s*(.+)", re.IGNORECASE | re.DOTALL)

_SHELL_NAMES = (
    "bash",
    "shell",
    "powershell",
    "local_shell",
    "run_in_terminal",
    "run_command",
    "execute_command",
    "terminal",
)
_COMMAND_FIELDS = ("command", "cmd")
_WRITE_NAMES = ("create", "create_file", "write_file", "write", "str_replace_editor", "edit_file")
_PATH_FIELDS = ("path", "file_path", "filePath", "filename", "file")
_TEXT_FIELDS = ("file_text", "content", "contents", "text", "fileText")


class Say(Struct, frozen=True):
    """Answer with this text."""

    text: str


class UseTool(Struct, frozen=True):
    """Call this tool: with arguments, or, one that takes free text, with text."""

    name: str
    arguments: JsonObject | str


Decision = Say | UseTool


def decide(request: ChatRequest, prose: Callable[[str], str]) -> Decision:
    """What to do. `prose` writes about a prompt when nothing plainer was asked."""
    prompt, choice = request.prompt, request.extra.get("tool_choice")
    if results := request.tool_results:
        return Say(_use_result(prompt, results))
    tools = () if choice == "none" else request.tools
    if (demanded := _demanded(choice, tools, prompt)) is not None:
        return _use(demanded, prompt)
    found = [m for m in (pattern.search(prompt) for pattern in (_REPLY, _SHELL, _WRITE, _USE)) if m is not None]
    if found:
        return _obey(min(found, key=re.Match.start), prompt, tools)
    if (tool := _asked_for(prompt, tools)) is not None:
        return _use(tool, prompt)
    schema = _schema_of(request.extra.get("response_format"))
    return Say(prose(prompt)) if schema is None else Say(json.dumps(_filled(schema, prompt)))


def _obey(found: re.Match[str], prompt: str, tools: tuple[ToolSpec, ...]) -> Decision:
    """Do what the prompt says in plain words."""
    if found.re is _REPLY:
        return Say(found[1].strip())
    if found.re is _SHELL:
        return _run_shell(found[1], tools)
    if found.re is _WRITE:
        return _write_file(found[1], found[2], tools)
    tool = _named(tools, found[1])
    return (
        Say(f"There is no tool named {found[1]}. I can use: {_names(tools)}.") if tool is None else _use(tool, prompt)
    )


def _use(tool: ToolSpec, prompt: str) -> Decision:
    return UseTool(tool.name, prompt if tool.kind == "custom" else arguments_from(prompt, tool.parameters))


def _named(tools: Iterable[ToolSpec], name: str) -> ToolSpec | None:
    wanted = name.lower()
    return next((t for t in tools if wanted in (t.name.lower(), t.name.lower().rpartition("__")[2])), None)


def _demanded(choice: object, tools: tuple[ToolSpec, ...], prompt: str) -> ToolSpec | None:
    """The tool that must be called: the one that is named, or, of all, the one that the prompt names."""
    if isinstance(choice, Mapping):
        body = choice.get(str(choice.get("type")))
        return _named(tools, str(body.get("name"))) if isinstance(body, Mapping) else None
    if choice != "required" or not tools:
        return None
    return (_named(tools, found[1]) if (found := _USE.search(prompt)) else None) or tools[0]


def _asked_for(prompt: str, tools: Iterable[ToolSpec]) -> ToolSpec | None:
    """A tool that gets something by name of which the prompt speaks: get_weather for "What's the weather like?"."""
    words = frozenset(re.findall(r"[a-z]+", prompt.lower()))
    return next(
        (t for t in tools if t.name.startswith("get_") and words.issuperset(t.name.lower().split("_")[1:])), None
    )


def _schema_of(form: object) -> JsonObject | None:
    """The schema that an answer shall keep to; None: it is free."""
    if not isinstance(form, Mapping) or form.get("type") not in ("json_schema", "json_object"):
        return None
    named = form.get("json_schema")
    schema = named.get("schema") if isinstance(named, Mapping) else None
    return schema if isinstance(schema, dict) else {"properties": {"answer": {"type": "string"}}}


def _filled(schema: JsonObject, prompt: str) -> Json:
    """A value that keeps to a schema: what `arguments_from` finds in the prompt, and something harmless for the rest."""
    if _type(schema) != "object" and "properties" not in schema:
        return [_filled(schema.get("items") or {}, prompt)] if _type(schema) == "array" else _default(schema, prompt)
    found = arguments_from(prompt, schema)
    for name, inner in (schema.get("properties") or {}).items():
        if isinstance(inner, dict) and _type(inner) in ("object", "array") and not found.get(name):
            found[name] = _filled(inner, prompt)
    return found


def _use_result(prompt: str, results: tuple[Message, ...]) -> str:
    text = results[-1].content.strip()
    if _SHELL.search(prompt):
        return _without_exit_note(text)
    if _WRITE.search(prompt):
        return f"Done. The tool said: {text}" if text else "Done."
    return f"The tool answered: {text}"


def _without_exit_note(text: str) -> str:
    """The output alone: shell tools add a line on the exit status."""
    lines = text.splitlines()
    while lines and re.match(
        r"\s*<?(command |shell )?(exited|exit|completed|shellId|finished).*", lines[-1], re.IGNORECASE
    ):
        lines.pop()
    return "\n".join(lines).strip()


def _run_shell(command: str, tools: Iterable[ToolSpec]) -> Decision:
    tools = list(tools)
    tool = _by_name(tools, _SHELL_NAMES) or next((t for t in tools if _field(t, _COMMAND_FIELDS)), None)
    if tool is None:
        return Say(f"There is no shell tool to run `{command}` with. I can use: {_names(tools)}.")
    return UseTool(tool.name, _complete(tool, {_field(tool, _COMMAND_FIELDS) or "command": command}))


def _write_file(path: str, text: str, tools: Iterable[ToolSpec]) -> Decision:
    tools = list(tools)
    tool = _by_name(tools, _WRITE_NAMES) or next(
        (t for t in tools if _field(t, _PATH_FIELDS) and _field(t, _TEXT_FIELDS)), None
    )
    if tool is None:
        if (patch := _by_name(tools, ("apply_patch",))) is not None:
            lines = "\n".join(f"+{line}" for line in text.splitlines())
            body = f"*** Begin Patch\n*** Add File: {path}\n{lines}\n*** End Patch\n"
            if patch.kind == "custom":
                return UseTool(patch.name, body)
            return UseTool(patch.name, {next(iter(_properties(patch)), "input"): body})
        return Say(f"There is no tool to write {path} with. I can use: {_names(tools)}.")
    given = {_field(tool, _PATH_FIELDS) or "path": path, _field(tool, _TEXT_FIELDS) or "content": text}
    if "command" in _properties(tool):
        given["command"] = "create"
    return UseTool(tool.name, _complete(tool, given))


def arguments_from(prompt: str, schema: Mapping[str, Any]) -> JsonObject:
    """Arguments for a tool, taken from a prompt by the tool's JSON Schema.

    A JSON object in the prompt is taken as it is. Otherwise each property gets what looks most like it: an expression, a
    quoted text, a number, one of the values of its enum, or what follows the colon.
    """
    if (given := _json_object(prompt)) is not None:
        return given
    properties = schema.get("properties") or {}
    required = schema.get("required") or list(properties)
    found: JsonObject = {}
    texts, numbers = _QUOTED.findall(prompt), _NUMBER.findall(prompt)
    texts = [t for t in texts if t.lower() not in prompt.lower().partition(" tool")[0].split()[-1:]]
    for name, inner in properties.items():
        value = _value(name, inner if isinstance(inner, Mapping) else {}, prompt, texts, numbers)
        if value is None and name in required:
            value = _default(inner if isinstance(inner, Mapping) else {}, prompt)
        if value is not None:
            found[name] = value
    return found


def _value(name: str, schema: Mapping[str, Any], prompt: str, texts: list[str], numbers: list[str]) -> Any:
    kind = _type(schema)
    if enum := schema.get("enum"):
        return next((v for v in enum if re.search(rf"\b{re.escape(str(v))}\b", prompt, re.IGNORECASE)), None)
    if kind in ("integer", "number"):
        if not numbers:
            return None
        number = numbers.pop(0)
        return int(float(number)) if kind == "integer" else float(number)
    if kind == "boolean":
        return not re.search(r"\b(no|not|false|without)\b", prompt, re.IGNORECASE)
    if kind == "array":
        return list(texts) if texts else None
    if kind != "string":
        return None
    if re.search(r"expr|math|formula|calc", f"{name} {schema.get('description', '')}", re.IGNORECASE) and (
        expression := _EXPRESSION.search(prompt)
    ):
        return expression[0].strip()
    if texts:
        return texts.pop(0)
    if after := _AFTER_COLON.search(prompt):
        return after[1].strip()
    return None


def _default(schema: Mapping[str, Any], prompt: str) -> Any:
    if "default" in schema:
        return schema["default"]
    if enum := schema.get("enum"):
        return enum[0]
    return {"integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}}.get(_type(schema), prompt[:200])


def _type(schema: Mapping[str, object]) -> str:
    kind = schema.get("type", "string")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "string")
    return str(kind)


def _complete(tool: ToolSpec, given: JsonObject) -> JsonObject:
    """`given` and whatever else the tool requires, filled with something harmless."""
    properties = _properties(tool)
    for name in tool.parameters.get("required") or ():
        if name not in given:
            schema = properties.get(name)
            given[name] = _default(schema if isinstance(schema, Mapping) else {}, "asked for by the user")
    return given


def _json_object(prompt: str) -> JsonObject | None:
    start = prompt.find("{")
    if start < 0:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(prompt[start:])
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _properties(tool: ToolSpec) -> Mapping[str, Any]:
    return tool.parameters.get("properties") or {}


def _field(tool: ToolSpec, names: Iterable[str]) -> str | None:
    return next((name for name in names if name in _properties(tool)), None)


def _by_name(tools: list[ToolSpec], names: Iterable[str]) -> ToolSpec | None:
    by_name = {tool.name: tool for tool in tools}
    return next((by_name[name] for name in names if name in by_name), None)


def _names(tools: Iterable[ToolSpec]) -> str:
    return ", ".join(tool.name for tool in tools) or "no tools at all"
