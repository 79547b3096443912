"""Codex's tools for several agents, under a name that is not reserved.

Upstream keeps the namespace `collaboration` to itself, and encrypts what is said in it for a caller that is not us: nobody could read it
later (caozhiyuan/copilot-api #339, #376; its collaboration-compat.ts). So it goes under another name and without the marks that ask for
encryption, and calls come back under the first name, marked as plain text (openai/codex PR35845).
"""

from __future__ import annotations

import msgspec

from rightseat.json_types import Json, JsonObject
from rightseat.wire.body import differs, dig, list_of

_NAME, _OTHER = "collaboration", "copilot_collaboration"
_MARK = _OTHER.encode()
_decode = msgspec.json.Decoder().decode


def plain(tool: JsonObject) -> JsonObject:
    """The group of tools without marks of encryption; any other tool, and one without marks, as it is."""
    if tool.get("type") != "namespace" or tool.get("name") != _NAME:
        return tool
    unmarked: JsonObject = _unmarked(tool)
    return tool if unmarked == tool else unmarked


def _unmarked(value: Json) -> Json:
    """A tool without `encrypted: true` in its schemas. A property of that name has an object for its schema, and stays."""
    if isinstance(value, dict):
        return {name: _unmarked(inner) for name, inner in value.items() if not (name == "encrypted" and inner is True)}
    return [_unmarked(inner) for inner in value] if isinstance(value, list) else value


def renamed(body: JsonObject) -> JsonObject:
    """A request with the other name in its tools, its history and its choice of a tool; the very same one where the first is not used."""
    changes: JsonObject = {}
    for name in ("tools", "input"):
        given = body.get(name)
        if isinstance(given, list) and differs(changed := [_renamed(one) for one in given], given):
            changes[name] = changed
    if (choice := _renamed(body.get("tool_choice"))) is not body.get("tool_choice"):
        changes["tool_choice"] = choice
    return {**body, **changes} if changes else body


def _renamed(value: Json) -> Json:
    """A tool, a call, or an item that brings tools, under the other name; anything else as it is."""
    tools = dig(value, "tools")
    if isinstance(tools, list) and differs(changed := [_renamed(tool) for tool in tools], tools):
        value = {**value, "tools": changed}
    if dig(value, "namespace") == _NAME:
        kept = {name: inner for name, inner in value.items() if name != "encrypted_function_args"}
        return {**kept, "namespace": _OTHER}
    return {**value, "name": _OTHER} if dig(value, "type") == "namespace" and dig(value, "name") == _NAME else value


def marked(call: JsonObject) -> JsonObject:
    """A call of an answer that was written here, with the mark of plain text where Codex looks for one."""
    if call.get("namespace") != _NAME or call.get("type") != "function_call":
        return call
    return {**call, "encrypted_function_args": []}


def may_hold(data: bytes) -> bool:
    """Whether there may be a call in bytes of an answer that has the other name."""
    return _MARK in data


def restored(data: bytes) -> bytes:
    """An event, or a whole answer, with its calls under the first name. What is no JSON comes back as it is."""
    if _MARK not in data:
        return data
    try:
        value = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data
    response = value.get("response") if isinstance(value, dict) else None
    items = [dig(value, "item"), *list_of(dig(response, "output")), *list_of(dig(value, "output"))]
    changed = [_restore(item) for item in items]
    return msgspec.json.encode(value) if any(changed) else data


def _restore(item: Json) -> bool:
    if dig(item, "namespace") != _OTHER:
        return False
    item["namespace"] = _NAME
    if item.get("type") == "function_call":
        item.setdefault("encrypted_function_args", [])
    return True
