"""Tools in a form that every dialect has, and calls of them back again.

Not every dialect has tools that take text instead of JSON, and only one has groups of tools. A tool that takes text becomes one that
takes an object with a text in it; one in a group carries the group in its name. A name that models refuse becomes one that they take.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from rightseat.chat.event import ModelEvent, ToolCallEvent
from rightseat.chat.message import ChatRequest, Message, ToolCall, ToolSpec

_TEXT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
_BETWEEN = "__"
_NAME_CHARS = 64  # of a tool's name, at most
_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def is_plain_name(name: str) -> bool:
    """Whether every model takes it as the name of a tool, or as the id of a call."""
    return 0 < len(name) <= _NAME_CHARS and _SIGNS.issuperset(name)


def plain_name(name: str) -> str:
    """A name that every model takes; the same one for the same name, and another one for another."""
    if is_plain_name(name):
        return name
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=5).hexdigest()
    kept = "".join(sign if sign in _SIGNS else "_" for sign in name[: _NAME_CHARS - 11])
    return f"{kept}_{digest}"


class PlainTools:
    """A request made plain.

    Args:
        request: any request.
        text_tools: whether the dialect has tools that take text.

    Attributes:
        request: the same with plain tools, in the definitions and in the history.
        changed: whether there was anything to do.
    """

    def __init__(self, request: ChatRequest, *, text_tools: bool) -> None:
        self._text_tools = text_tools
        self._names: dict[str, ToolSpec] = {}
        tools = tuple(self._plain(tool) for tool in request.tools)
        self.changed = bool(self._names)
        self.request = request
        if self.changed or not text_tools:
            messages = tuple(self._history(message) for message in request.messages)
            choice = request.extra.get("tool_choice")
            extra = {**request.extra, "tool_choice": self._choice(choice)} if choice is not None else request.extra
            self.request = msgspec.structs.replace(request, tools=tools, messages=messages, extra=extra)

    def restored(self, event: ModelEvent) -> ModelEvent:
        """An event of the answer, with a call as the client knows it."""
        if not isinstance(event, ToolCallEvent) or event.call.name not in self._names:
            return event
        call, tool = event.call, self._names[event.call.name]
        arguments = call.arguments
        if tool.kind == "custom" and call.kind != "custom":
            arguments = _text_of(arguments)
        return ToolCallEvent(ToolCall(call.id, tool.name, arguments, tool.kind, tool.namespace))

    def _plain(self, tool: ToolSpec) -> ToolSpec:
        becomes = tool
        if tool.namespace:
            becomes = msgspec.structs.replace(tool, name=f"{tool.namespace}{_BETWEEN}{tool.name}", namespace="")
        if tool.kind == "custom" and not self._text_tools:
            grammar = (tool.format or {}).get("definition")
            hint = f"\n\nThe input keeps to this grammar:\n{grammar}" if grammar else ""
            becomes = ToolSpec(becomes.name, tool.description + hint, _TEXT)
        if (name := plain_name(becomes.name)) != becomes.name:
            becomes = msgspec.structs.replace(becomes, name=name)
        if becomes is not tool:
            self._names[becomes.name] = tool
        return becomes

    def _history(self, message: Message) -> Message:
        if not message.tool_calls:
            return message
        return msgspec.structs.replace(message, tool_calls=tuple(self._call(call) for call in message.tool_calls))

    def _call(self, call: ToolCall) -> ToolCall:
        name = plain_name(f"{call.namespace}{_BETWEEN}{call.name}" if call.namespace else call.name)
        if call.kind == "custom" and not self._text_tools:
            return ToolCall(call.id, name, json.dumps({"input": call.arguments}))
        return ToolCall(call.id, name, call.arguments, call.kind)

    def _choice(self, choice: object) -> Any:
        """A tool that must be used, by its plain name."""
        if isinstance(choice, dict) and isinstance(named := choice.get(str(choice.get("type"))), dict):
            found = next((plain for plain, tool in self._names.items() if tool.name == named.get("name")), None)
            if found is not None:
                kind = choice["type"] if self._text_tools else "function"
                return {"type": kind, kind: {"name": found}}
        return choice


def _text_of(arguments: str) -> str:
    try:
        value = json.loads(arguments)
    except ValueError:
        return arguments
    text = value.get("input", arguments) if isinstance(value, dict) else arguments
    return text if isinstance(text, str) else json.dumps(text)
