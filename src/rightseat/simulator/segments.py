"""Compaction as Copilot's `/responses` does it: a trigger as the last item makes items of kind `compaction`, which are taken back unchanged.

Facts: the trigger is taken natively (Menci/Floway PR36, caozhiyuan/copilot-api PR368); gpt-5-mini answers with two items, all other models
with one (Menci/Floway PR314); a blob is bound to its id, and what was changed is refused in these words (lidge-jun/opencodex PR2228, PR2249,
Soju06/codex-lb PR1316, PR1815).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from msgspec import Struct

from rightseat.chat import Usage
from rightseat.ids import SYSTEM_IDS
from rightseat.json_types import Json, JsonObject
from rightseat.simulator.prose import count_tokens
from rightseat.wire.body import BadRequestError, dig, json_object, list_of
from rightseat.wire.dialect import Envelope
from rightseat.wire.openai_responses.compaction import TRIGGER, encoded

_SEGMENTS = {"gpt-5-mini": 2}


class Compacted(Struct, frozen=True):
    """An answer.

    Attributes:
        body: its bytes.
        stream: they are a stream.
    """

    body: bytes
    stream: bool


def compacted(body: bytes) -> Compacted | None:
    """The answer to a request that ends with a trigger; None: it does not."""
    try:
        value = json_object(body)
    except BadRequestError:
        return None
    given = list_of(value.get("input"))
    if not given or dig(given[-1], "type") != TRIGGER:
        return None
    model = str(value.get("model"))
    items = [_item(model) for _ in range(_SEGMENTS.get(model, 1))]
    size = sum(count_tokens(str(item)) for item in given)
    said = encoded(items, Usage(size, 12 * len(items)), Envelope(model, value))
    return Compacted(said, bool(value.get("stream")))


def compaction_problems(value: JsonObject) -> Iterator[str]:
    """What is wrong about triggers and compactions in a request."""
    given = list_of(value.get("input"))
    for i, item in enumerate(given):
        if dig(item, "type") == TRIGGER and i < len(given) - 1:
            yield f"input[{i}]: a compaction_trigger must be the last item"
        if dig(item, "type") == "compaction":
            yield from _wrong(item)


def _wrong(item: Json) -> Iterator[str]:
    item_id = item.get("id")
    if item_id is not None and not str(item_id).startswith("cmp"):
        yield f"Invalid 'input.id': '{item_id}'. Expected an ID that begins with 'cmp'."
    _, _, rest = str(item.get("encrypted_content")).partition("gAAAAsimulated-")
    bound, _, digest = rest.partition(".")
    if digest != _digest(bound):
        yield "Could not decode the compaction blob. Ensure it is unmodified from the compact response."
    elif item_id is not None and item_id != bound:
        yield "Encrypted content item_id did not match the target item id."


def _item(model: str) -> JsonObject:
    item_id = f"cmp_{SYSTEM_IDS.hex(24)}"
    blob = f"gAAAAsimulated-{item_id}.{_digest(item_id)}"
    return {"type": "compaction", "id": item_id, "encrypted_content": blob, "created_by": model}


def _digest(item_id: str) -> str:
    return hashlib.sha256(item_id.encode()).hexdigest()[:16]
