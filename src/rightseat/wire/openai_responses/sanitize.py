"""Requests of OpenAI responses that pass, with the encrypted reasoning that their model can read."""

from __future__ import annotations

from rightseat.json_types import Json, JsonObject
from rightseat.wire.body import differs
from rightseat.wire.opaque import MARK, RESPONSES, own

Body = JsonObject


def sanitize(body: Body) -> Body:
    """The same: nothing is known that Copilot refuses here."""
    return body


def own_reasoning(body: Body) -> Body:
    """With encrypted reasoning under its first id, and without that of other dialects; the very same body if nothing changes."""
    given = body.get("input")
    if not isinstance(given, list):
        return body
    kept = [item for item in map(_restored, given) if item is not None]
    return {**body, "input": kept} if differs(kept, given) else body


def without_reasoning(body: Body) -> Body:
    """Without any reasoning."""
    given = body.get("input")
    if not isinstance(given, list):
        return body
    return {**body, "input": [i for i in given if not (isinstance(i, dict) and i.get("type") == "reasoning")]}


def _restored(item: Json) -> Json:
    sealed = item.get("encrypted_content") if isinstance(item, dict) else None
    if not isinstance(sealed, str) or not sealed.startswith(MARK):
        return item
    mine = own(sealed, RESPONSES)
    return {**item, "id": mine[0], "encrypted_content": mine[1]} if mine is not None else None
