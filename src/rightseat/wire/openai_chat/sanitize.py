"""Chat requests that pass, without what Copilot is known to refuse. Unknown fields are kept.

`sanitize` returns the very object it was given when there is nothing to change, so that the client's own bytes can go on.
"""

from __future__ import annotations

from rightseat.chat.repair import MISSING
from rightseat.json_types import Json
from rightseat.wire.body import differs
from rightseat.wire.opaque import MARK
from rightseat.wire.sanitizing import Body, is_blank_text, trimmed

_NO_PARAMETERS = {"type": "object", "properties": {}}
_REASONING = ("reasoning_opaque", "reasoning_text")


def sanitize(body: Body) -> Body:
    """Without blank texts and blanks at the end; every call with its result, every tool with parameters."""
    changes: Body = {}
    messages = body["messages"]
    sent = trimmed([_chat_message(message) for message in messages])
    if not _paired(sent):
        sent = _pair(sent)
    if differs(sent, messages):
        changes["messages"] = sent
    tools = body.get("tools")
    if isinstance(tools, list):
        with_parameters = [_chat_tool(tool) for tool in tools]
        if differs(with_parameters, tools):
            changes["tools"] = with_parameters
    return {**body, **changes} if changes else body


def own_reasoning(body: Body) -> Body:
    """Without reasoning that was encrypted in another dialect; the very same body if there is none."""
    if not any(map(_is_foreign, body["messages"])):
        return body
    return {**body, "messages": [_without(m) if _is_foreign(m) else m for m in body["messages"]]}


def without_reasoning(body: Body) -> Body:
    """Without any reasoning."""
    return {**body, "messages": [_without(m) if isinstance(m, dict) else m for m in body["messages"]]}


def _is_foreign(message: object) -> bool:
    if not isinstance(message, dict) or (sealed := message.get("reasoning_opaque")) is None:
        return False
    return str(sealed).startswith(MARK)


def _without(message: Body) -> Body:
    return {name: value for name, value in message.items() if name not in _REASONING}


def _chat_message(message: object) -> Json:
    if not isinstance(message, dict):
        return message
    content = message.get("content")
    if isinstance(content, list):
        kept = [part for part in content if not (isinstance(part, dict) and is_blank_text(part))]
        if len(kept) != len(content):
            return {**message, "content": kept or (None if message.get("tool_calls") else "")}
    elif content == "" and message.get("tool_calls"):
        return {**message, "content": None}
    return message


def _call_ids(message: object) -> list[str]:
    calls = message.get("tool_calls") if isinstance(message, dict) and message.get("role") == "assistant" else None
    if not isinstance(calls, list):
        return []
    return [call["id"] for call in calls if isinstance(call, dict) and isinstance(call.get("id"), str)]


def _paired(messages: list[Json]) -> bool:
    waiting: set[str] = set()
    for message in messages:
        if isinstance(message, dict) and message.get("role") == "tool":
            answered = message.get("tool_call_id")
            if not isinstance(answered, str) or answered not in waiting:
                return False
            waiting.discard(answered)
        elif waiting:
            return False
        else:
            waiting = set(_call_ids(message))
    return not waiting


def _pair(messages: list[Json]) -> list[Json]:
    """Every result right behind its call; a call without one gets one that says so; results without call are the user's words."""
    results = {
        m["tool_call_id"]: m
        for m in messages
        if isinstance(m, dict) and m.get("role") == "tool" and isinstance(m.get("tool_call_id"), str)
    }
    called = {call_id for message in messages for call_id in _call_ids(message)}
    done: list[Json] = []
    for message in messages:
        if isinstance(message, dict) and message.get("role") == "tool":
            if str(message.get("tool_call_id")) not in called:
                done.append({"role": "user", "content": message.get("content") or ""})
            continue
        done.append(message)
        done += [
            results.get(call_id) or {"role": "tool", "tool_call_id": call_id, "content": MISSING}
            for call_id in _call_ids(message)
        ]
    return done


def _chat_tool(tool: Json) -> Json:
    function = tool.get("function") if isinstance(tool, dict) else None
    parameters = function.get("parameters") if isinstance(function, dict) else None
    if not isinstance(function, dict) or (isinstance(parameters, dict) and "type" in parameters):
        return tool
    whole = {**_NO_PARAMETERS, **parameters} if isinstance(parameters, dict) else _NO_PARAMETERS
    return {**tool, "function": {**function, "parameters": whole}}
