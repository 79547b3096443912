"""Blocks of Anthropic's messages, read: what stands in them as texts and images."""

from __future__ import annotations

from rightseat.chat import Image, Message
from rightseat.json_types import JsonObject
from rightseat.wire.body import BadRequestError
from rightseat.wire.facts import listed


def found_by_provider(block: JsonObject) -> str:
    """What a tool of the provider found, as text: other models cannot read its form."""
    found = [one for one in listed(block.get("content")) if isinstance(one, dict)]
    lines = [f"{one.get('title') or 'untitled'}: {one['url']}" for one in found if isinstance(one.get("url"), str)]
    return (
        f"[{str(block['type']).removesuffix('_tool_result').replace('_', ' ')} found]\n" + "\n".join(lines)
        if lines
        else ""
    )


def document(block: JsonObject, where: str) -> str:
    """A document as text, with its title. Raises BadRequestError: it is none."""
    source = block.get("source")
    title = f"{block['title']}\n" if isinstance(block.get("title"), str) else ""
    inner = block.get("content") if block.get("type") == "search_result" else None
    if isinstance(source, dict) and source.get("type") == "text":
        return title + str(source.get("data") or "")
    if isinstance(source, dict) and source.get("type") == "content":
        inner = source.get("content")
    if isinstance(inner, str):
        return title + inner
    if isinstance(inner, list):
        return title + "\n".join(str(part.get("text") or "") for part in inner if isinstance(part, dict))
    kind = source.get("media_type") or source.get("type") if isinstance(source, dict) else None
    raise BadRequestError.at(
        f"{where}.source", f"a document of kind {kind!r} cannot be sent to this model; send its text"
    )


def tool_result(block: JsonObject, where: str) -> tuple[Message, list[Image]]:
    """What a tool gave: its text as a message, and its images apart. Raises BadRequestError."""
    content = block.get("content")
    inner = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    if not isinstance(inner, list):
        raise BadRequestError.at(f"{where}.content", "must be a string or a list of blocks")
    text = "\n".join(
        str(part.get("text") or "") for part in inner if isinstance(part, dict) and part.get("type") == "text"
    )
    images = [image(part, where) for part in inner if isinstance(part, dict) and part.get("type") == "image"]
    if block.get("is_error"):
        text = f"Error: {text}"
    return Message(
        "tool", text or ("(see the image)" if images else "(empty)"), tool_call_id=str(block.get("tool_use_id"))
    ), images


def image(block: JsonObject, where: str) -> Image:
    """An image. Raises BadRequestError."""
    source = block.get("source")
    if isinstance(source, dict):
        if source.get("type") == "base64":
            return Image(f"data:{source.get('media_type')};base64,{source.get('data')}")
        if source.get("type") == "url" and isinstance(source.get("url"), str):
            return Image(source["url"])
    raise BadRequestError.at(f"{where}.source", "must be of type base64 or url")
