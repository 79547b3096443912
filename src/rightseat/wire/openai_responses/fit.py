"""A request of OpenAI responses that passes, as Copilot's models take it. Sources are in `docs/decisions/0019-fitting.md`."""

from __future__ import annotations

from rightseat.json_types import Json, JsonObject
from rightseat.wire.abilities import Abilities, FittedBody
from rightseat.wire.body import differs
from rightseat.wire.openai_responses.sanitize import accepted

_PASSED = "internal_chat_message_metadata_passthrough"  # of Codex
_BOUND = ("reasoning", "compaction")  # whose encrypted content belongs to their id


def fit(body: JsonObject, raw: bytes, abilities: Abilities) -> FittedBody:
    """The body as the model takes it: tools and an effort that it has, items without ids, which hold on one connection of upstream's only."""
    body, tools = accepted(body)
    dropped = list(tools)
    changed: list[str] = []
    given = body.get("input")
    if isinstance(given, list) and (b'"id"' in raw or _PASSED.encode() in raw):
        kept = [_item(item) for item in given]
        if differs(kept, given):
            body = {**body, "input": kept}
    if body.get("store"):
        body = {**body, "store": False}
        changed.append("store: nothing is kept")
    if body.get("tools") == []:
        body = {name: value for name, value in body.items() if name not in ("tools", "tool_choice")}
    reasoning = body.get("reasoning")
    if isinstance(reasoning, dict) and isinstance(asked := reasoning.get("effort"), str):
        now = abilities.effort(asked)
        if now is None:
            dropped.append("reasoning.effort")
            body = {**body, "reasoning": {name: value for name, value in reasoning.items() if name != "effort"}}
        elif now != asked:
            changed.append(f"effort: {now} instead of {asked}")
            body = {**body, "reasoning": {**reasoning, "effort": now}}
    return FittedBody(body, tuple(dropped), tuple(changed))


def _item(item: Json) -> Json:
    if not isinstance(item, dict):
        return item
    names = [_PASSED] if _PASSED in item else []
    if "id" in item and item.get("type") not in _BOUND and item.get("type") != "item_reference":
        names.append("id")
    return {name: value for name, value in item.items() if name not in names} if names else item
