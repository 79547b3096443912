"""Request bodies that pass as they are, but for what Copilot is known to refuse.

Each function returns the very object it was given when there is nothing to mend, so that the client's own bytes can go on. Fields
that nobody here knows are kept.
"""

from __future__ import annotations

from typing import Any

from rightseat.chat.repair import MISSING
from rightseat.wire.anthropic import BILLING

Body = dict[str, Any]
_NO_PARAMETERS = {"type": "object", "properties": {}}


def mended_chat(body: Body) -> Body:
    """A chat request: blank texts, results without calls, calls without results, tools without parameters, blanks at the end."""
    changes: Body = {}
    messages = body["messages"]
    mended = [_chat_message(message) for message in messages]
    mended = _trimmed(mended)
    if not _paired(mended):
        mended = _pair(mended)
    if _differs(mended, messages):
        changes["messages"] = mended
    tools = body.get("tools")
    if isinstance(tools, list):
        fixed = [_chat_tool(tool) for tool in tools]
        if _differs(fixed, tools):
            changes["tools"] = fixed
    return {**body, **changes} if changes else body


def mended_messages(body: Body) -> Body:
    """An Anthropic request: blank blocks, the billing line of Claude Code, blanks at the end, thinking without text or signature."""
    changes: Body = {}
    messages = body.get("messages")
    if isinstance(messages, list):
        mended = [_blocks_message(message) for message in messages]
        mended = _trimmed([m for m in mended if not (isinstance(m, dict) and m.get("content") == [])])
        if _differs(mended, messages):
            changes["messages"] = mended
    system = body.get("system")
    if isinstance(system, list):
        kept = [b for b in system if not (isinstance(b, dict) and _useless(b))]
        if len(kept) != len(system):
            changes["system"] = kept
    elif isinstance(system, str) and system.startswith(BILLING):
        changes["system"] = system.partition("\n")[2]
    return {**body, **changes} if changes else body


def _differs(new: list[Any], old: list[Any]) -> bool:
    return len(new) != len(old) or any(a is not b for a, b in zip(new, old, strict=True))


def _chat_message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    content = message.get("content")
    if isinstance(content, list):
        kept = [part for part in content if not (isinstance(part, dict) and _blank_text(part))]
        if len(kept) != len(content):
            return {**message, "content": kept or (None if message.get("tool_calls") else "")}
    elif content == "" and message.get("tool_calls"):
        return {**message, "content": None}
    return message


def _blocks_message(message: Any) -> Any:
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return message
    kept = [block for block in content if not (isinstance(block, dict) and _useless(block))]
    return message if len(kept) == len(content) else {**message, "content": kept}


def _useless(block: Body) -> bool:
    if block.get("type") == "thinking":
        return not block.get("signature")
    return _blank_text(block) or (block.get("type") == "text" and str(block.get("text")).startswith(BILLING))


def _blank_text(part: Body) -> bool:
    return part.get("type") == "text" and not str(part.get("text") or "").strip()


def _trimmed(messages: list[Any]) -> list[Any]:
    """The text of a last assistant message loses trailing blanks, which some models refuse."""
    last = messages[-1] if messages else None
    if not isinstance(last, dict) or last.get("role") != "assistant":
        return messages
    content = last.get("content")
    if isinstance(content, str) and content != content.rstrip():
        return [*messages[:-1], {**last, "content": content.rstrip()}]
    if isinstance(content, list) and content and isinstance(content[-1], dict):
        text = content[-1].get("text")
        if isinstance(text, str) and text != text.rstrip():
            return [*messages[:-1], {**last, "content": [*content[:-1], {**content[-1], "text": text.rstrip()}]}]
    return messages


def _call_ids(message: Any) -> list[str]:
    calls = message.get("tool_calls") if isinstance(message, dict) and message.get("role") == "assistant" else None
    if not isinstance(calls, list):
        return []
    return [call["id"] for call in calls if isinstance(call, dict) and isinstance(call.get("id"), str)]


def _paired(messages: list[Any]) -> bool:
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


def _pair(messages: list[Any]) -> list[Any]:
    """Every result right behind its call; a call without one gets one that says so; results without call are the user's words."""
    results = {
        m["tool_call_id"]: m
        for m in messages
        if isinstance(m, dict) and m.get("role") == "tool" and isinstance(m.get("tool_call_id"), str)
    }
    called = {call_id for message in messages for call_id in _call_ids(message)}
    done: list[Any] = []
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


def _chat_tool(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) else None
    parameters = function.get("parameters") if isinstance(function, dict) else None
    if not isinstance(function, dict) or (isinstance(parameters, dict) and "type" in parameters):
        return tool
    whole = {**_NO_PARAMETERS, **parameters} if isinstance(parameters, dict) else _NO_PARAMETERS
    return {**tool, "function": {**function, "parameters": whole}}
