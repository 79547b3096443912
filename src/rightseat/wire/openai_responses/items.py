"""Kinds of input items that are neither messages nor calls: what other models and Codex have left in a history.

A model that has no place for one is told of it in words, or not at all where the item says nothing that the conversation needs.
"""

from __future__ import annotations

import base64
import binascii

from rightseat.json_types import Json, JsonObject
from rightseat.wire.body import dig, list_of

COMPACTIONS = ("compaction", "compaction_summary", "context_compaction")
ELSEWHERE = "[Earlier context was compacted by another model, and this one cannot read it.]"
# They say nothing that comes after depends on: what was found, drawn or looked up stands in the answer itself.
SILENT = frozenset({
    "code_interpreter_call", "compaction", "compaction_summary", "configuration_update", "context_compaction", "file_search_call",
    "image_generation_call", "mcp_approval_request", "mcp_approval_response", "mcp_call", "mcp_list_tools", "other", "tool_search_call",
    "tool_search_output", "web_search_call",
})  # fmt: skip
_PREFIX = "rightseat-summary:"
_BEFORE = "[The conversation so far was compacted. This is its summary, written for you to go on from.]\n\n"


def packed(summary: str) -> str:
    """A summary as the blob of a compaction item: behind a prefix of our own, so that nobody takes it for OpenAI's."""
    return _PREFIX + base64.b64encode(summary.encode("utf-8", "replace")).decode()


def is_own(item: Json) -> bool:
    """Whether a compaction item holds a summary that was written here."""
    return dig(item, "type") in COMPACTIONS and str(dig(item, "encrypted_content")).startswith(_PREFIX)


def told(item: JsonObject) -> JsonObject | None:
    """An item in words, as a message; None for one of another kind."""
    match item.get("type"):
        case "agent_message":
            return _said_by(item)
        case kind if kind in COMPACTIONS and item.get("encrypted_content"):
            return {"type": "message", "role": "user", "content": _summary(item) if is_own(item) else ELSEWHERE}
    return None


def _summary(item: JsonObject) -> str:
    try:
        return _BEFORE + base64.b64decode(str(item["encrypted_content"])[len(_PREFIX) :], validate=True).decode()
    except (binascii.Error, ValueError):
        return ELSEWHERE


def _said_by(item: JsonObject) -> JsonObject:
    """What one agent has said to another."""
    head = f"[Message from {item.get('author') or 'another agent'} to {item.get('recipient') or 'you'}]\n"
    return {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": head}, *list_of(item.get("content"))],
    }
