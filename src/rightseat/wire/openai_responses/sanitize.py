"""Requests of OpenAI responses that pass, without what Copilot is known to refuse, and with the encrypted reasoning that their model can read.

Each change returns the very object it was given where there is nothing to change, so that the client's own bytes can go on. The facts are
from public clients of the API and bug reports about its gateways: caozhiyuan/copilot-api (#220, #356, its responses utilities),
router-for-me/CLIProxyAPI (#3414), Soju06/codex-lb (PR1815).
"""

from __future__ import annotations

from rightseat.json_types import Json, JsonObject
from rightseat.wire.body import differs, dig
from rightseat.wire.opaque import MARK, RESPONSES, own
from rightseat.wire.openai_responses import collaboration
from rightseat.wire.openai_responses.items import COMPACTIONS, is_own, told

Body = JsonObject
_REFUSED_TOOLS = frozenset({"image_generation"})
_REFUSED_GROUPS = frozenset({"image_gen"})
_REFUSED_ITEMS = frozenset({"configuration_update", "image_generation_call", "other"})


def sanitize(body: Body) -> Body:
    """Without items that are refused, and without empty descriptions."""
    changes: Body = {}
    if isinstance(given := body.get("input"), list):
        items = [item for item in map(_item, given) if item is not None]
        if differs(items, given):
            changes["input"] = items
    if isinstance(tools := body.get("tools"), list) and (kept := _tools(tools)) is not tools:
        changes["tools"] = kept
    return {**body, **changes} if changes else body


def accepted(body: Body) -> tuple[Body, tuple[str, ...]]:
    """Without tools that are refused and names that are reserved, and what was left out; the very same body where there are none."""
    body = collaboration.renamed(body)
    tools = body.get("tools")
    if not isinstance(tools, list) or not (refused := [tool for tool in tools if _is_refused(tool)]):
        return body, ()
    kept = [tool for tool in tools if not _is_refused(tool)]
    changes: Body = (
        {"tools": kept} if _is_there(body.get("tool_choice"), kept) else {"tools": kept, "tool_choice": "auto"}
    )
    names = (str(tool["name"] if tool["type"] == "namespace" else tool["type"]) for tool in refused)
    return {**body, **changes}, tuple(f"tool {name}" for name in names)


def _item(item: Json) -> Json:
    """An item as Copilot takes it; None: it is left out."""
    if not isinstance(item, dict):
        return item
    kind = item.get("type")
    if isinstance(kind, str) and (
        kind in _REFUSED_ITEMS or (kind in COMPACTIONS and not item.get("encrypted_content"))
    ):
        return None
    if kind == "web_search_call" and dig(item, "action", "type") == "other":
        return None
    changed = item
    if kind in COMPACTIONS:
        changed = _compaction(changed)
    if isinstance(tools := item.get("tools"), list) and (kept := _tools(tools)) is not tools:
        changed = {**changed, "tools": kept}
    return changed


def _compaction(item: JsonObject) -> JsonObject:
    """One of our own in words, one of Copilot's under a kind and an id that it takes."""
    if is_own(item):
        return told(item) or item
    if item.get("type") != "compaction":
        item = {**item, "type": "compaction"}
    if "id" in item and not str(item["id"]).startswith("cmp"):
        item = {name: value for name, value in item.items() if name != "id"}
    return item


def _tools(tools: list[Json]) -> list[Json]:
    """Tools as Copilot takes them; the very same list if all are."""
    kept = [_tool(tool) for tool in tools]
    return kept if differs(kept, tools) else tools


def _is_refused(tool: Json) -> bool:
    kind = dig(tool, "type")
    if not isinstance(kind, str):
        return False
    return kind in _REFUSED_TOOLS or (kind == "namespace" and dig(tool, "name") in _REFUSED_GROUPS)


def _tool(tool: Json) -> Json:
    if not isinstance(tool, dict):
        return tool
    changed = collaboration.plain(tool)
    if tool.get("description") == "" and tool.get("name"):
        changed = {**changed, "description": str(tool["name"])}
    if isinstance(inner := changed.get("tools"), list) and (kept := _tools(inner)) is not inner:
        changed = {**changed, "tools": kept}
    return changed


def _is_there(choice: Json, tools: list[Json]) -> bool:
    """Whether a tool that must be used is still among the tools."""
    if not isinstance(choice, dict):
        return True
    return any(dig(tool, "type") == choice.get("type") or dig(tool, "name") == choice.get("name") for tool in tools)


def own_reasoning(body: Body) -> Body:
    """With encrypted reasoning under its first id, and without that of other dialects; the very same body if nothing changes."""
    given = body.get("input")
    if not isinstance(given, list):
        return body
    kept = [item for item in map(_restored, given) if item is not None]
    return {**body, "input": kept} if differs(kept, given) else body


def without_reasoning(body: Body) -> Body:
    """Without any reasoning; where there is none, with compactions in words: they are what could not be read."""
    given = body.get("input")
    if not isinstance(given, list):
        return body
    kept = [item for item in given if dig(item, "type") != "reasoning"]
    if len(kept) == len(given):
        kept = [(told(item) or item) if isinstance(item, dict) else item for item in given]
    return {**body, "input": kept}


def _restored(item: Json) -> Json:
    sealed = item.get("encrypted_content") if isinstance(item, dict) else None
    if not isinstance(sealed, str) or not sealed.startswith(MARK):
        return item
    mine = own(sealed, RESPONSES)
    return {**item, "id": mine[0], "encrypted_content": mine[1]} if mine is not None else None
