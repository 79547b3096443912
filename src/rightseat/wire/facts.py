"""Facts of a request body that every dialect tells in the same way: whether there is an image, what a limit says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rightseat.json_types import Json, JsonObject
from rightseat.wire.body import BadRequestError

_IMAGES = frozenset({"image", "image_url", "input_image"})
_DATA_HEAD = 128  # of a data URL (RFC 2397), before its base64


def has_image(value: object) -> bool:
    """Whether a part of a request holds an image, in any dialect and however deep, also inside tool results."""
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if isinstance(kind := value.get("type"), str) and kind in _IMAGES:
                return True
            pending += [inner for name in ("content", "output") if isinstance(inner := value.get(name), (list, dict))]
        elif isinstance(value, (list, tuple)):
            pending += [item for item in value if isinstance(item, (dict, list))]
    return False


def images(value: object) -> tuple[int, int]:
    """How many images the parts of a request hold, and how many bytes of it they are: what is text however it begins does not count."""
    count = size = 0
    pending: list[object] = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            if _kind(value) in _IMAGES:
                count, size = count + 1, size + _image_bytes(value)
            else:
                pending += [
                    value[name] for name in ("content", "output") if isinstance(value.get(name), (list, Mapping))
                ]
        elif isinstance(value, (list, tuple)):
            pending += value
    return count, size


def _image_bytes(part: Mapping[str, object]) -> int:
    """Bytes of an image that stands in the request itself: a data URL, or Anthropic's base64."""
    url, source = part.get("image_url"), part.get("source")
    url = url.get("url") if isinstance(url, Mapping) else url
    if isinstance(url, str):
        return len(url) if url.startswith("data:") and ";base64," in url[:_DATA_HEAD] else 0
    data = source.get("data") if isinstance(source, Mapping) and source.get("type") == "base64" else None
    return len(data) if isinstance(data, str) else 0


def _kind(part: object) -> Json:
    kind = part.get("type") if isinstance(part, Mapping) else None
    return kind if isinstance(kind, str) else None


def listed(value: object) -> Sequence[Json]:
    """A list, or nothing for anything else."""
    return value if isinstance(value, list) else ()


def positive(value: object) -> int | None:
    """A limit; None for anything that is no number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return math.ceil(value) if value > 0 else None


def asks_nothing(name: str, value: object) -> bool:
    """A parameter that is as if it were not there."""
    return value is None or value is False or (name == "n" and value == 1)


def is_claude(model: str) -> bool:
    """A model of Anthropic's, which takes a thinking budget where others take an effort."""
    return model.startswith("claude")


# Kinds of tools that every model can be told of; all others only the provider of their dialect can run.
_EXPRESSIBLE = frozenset({"function", "custom", "namespace"})


def expressible(body: JsonObject, *, alone: bool = False) -> tuple[JsonObject, tuple[str, ...]]:
    """A request without tools that only the provider of its dialect can run, and what was left out, such as "tool web_search".

    Args:
        body: the request.
        alone: those tools are left out although there are no others: else such a request is left as it is.

    Raises:
        BadRequestError: the kind of a tool is no name.
    """
    tools, lost = _expressible(body.get("tools"), "tools")
    changes: JsonObject = {"tools": tools} if lost else {}
    if isinstance(given := body.get("input"), list):
        items = [_with_expressible(item, f"input[{i}].tools", lost) for i, item in enumerate(given)]
        if lost:
            changes["input"] = items
    if not lost:
        return body, ()
    left = [
        *listed(tools),
        *(
            tool
            for item in listed(changes.get("input") or body.get("input"))
            if isinstance(item, dict)
            for tool in listed(item.get("tools"))
        ),
    ]
    if not left and not alone:  # it asks for nothing else, so it is not for us to leave out
        return body, ()
    if not left:  # none can be demanded
        body = {name: value for name, value in body.items() if name != "tool_choice"}
    elif _is_lost(body.get("tool_choice"), lost):
        changes["tool_choice"] = "auto"
    return {**body, **changes}, tuple(f"tool {kind}" for kind in lost)


def _expressible(tools: Json, where: str) -> tuple[Json, list[str]]:
    """A list of tools without those that cannot be expressed, and the kinds of those."""
    if not isinstance(tools, list):
        return tools, []
    kinds = [_tool_kind(tool, where, i) for i, tool in enumerate(tools)]
    lost = [kind for kind in kinds if kind not in _EXPRESSIBLE]
    return [tool for tool, kind in zip(tools, kinds, strict=True) if kind in _EXPRESSIBLE], lost


def _with_expressible(item: Json, where: str, lost: list[str]) -> Json:
    """An item that brings tools of its own, without those that cannot be expressed; their kinds are added to `lost`."""
    if not isinstance(item, dict) or not isinstance(item.get("tools"), list):
        return item
    tools, more = _expressible(item["tools"], where)
    lost += more
    return {**item, "tools": tools} if more else item


def _is_lost(choice: Json, lost: list[str]) -> bool:
    """Whether a tool that must be used was left out."""
    return isinstance(choice, dict) and choice.get("type") in lost


def _tool_kind(tool: object, where: str, place: int) -> str:
    if not isinstance(tool, dict) or "input_schema" in tool:
        return "function"
    kind = tool.get("type") or "function"
    if (
        not isinstance(kind, str)
        or len(kind) > 64
        or not kind.replace("_", "").replace("-", "").replace(".", "").isalnum()
        or not kind.isascii()
    ):
        raise BadRequestError.at(f"{where}[{place}].type", "must be the name of a kind of tools")
    return kind
