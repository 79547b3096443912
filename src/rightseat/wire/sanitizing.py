"""What sanitizing has in common for dialects with lists of messages: blank texts, and blanks at the end.

Each function returns the very object it was given when there is nothing to change, so that the client's own bytes can go on.
"""

from __future__ import annotations

from rightseat.json_types import Json, JsonObject

Body = JsonObject


def is_blank_text(part: Body) -> bool:
    """A part that is text, and says nothing."""
    return part.get("type") == "text" and not str(part.get("text") or "").strip()


def trimmed(messages: list[Json]) -> list[Json]:
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
