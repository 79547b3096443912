"""Compaction of a conversation in OpenAI responses: how it is asked for, what comes of it, and what a blob of ours holds.

A client asks by a last item of kind `compaction_trigger`, or by `/responses/compact`; what comes back is an item of kind `compaction` whose
`encrypted_content` stands for everything before. Models that serve `/responses` make one by themselves. For all others it is a summary that
the model writes; any model can be told of it later (see `items`).
This module does no I/O.
"""

from __future__ import annotations

import msgspec

from rightseat.chat import Usage
from rightseat.json_types import Json, JsonObject
from rightseat.wire.body import BadRequestError, dig, list_of
from rightseat.wire.dialect import Envelope
from rightseat.wire.facts import expressible
from rightseat.wire.openai_responses.encode import ResponseEncoder, written_usage
from rightseat.wire.openai_responses.items import COMPACTIONS, packed

TRIGGER = "compaction_trigger"
_KEPT_CHARS = 80_000  # of the user's own messages beside a summary: about 20 000 tokens
_ASK = (
    "Write a summary of this conversation for another model that goes on with it and knows nothing else. Say what the user wants and in which "
    "words they asked, what was done and found, which files, commands and decisions matter, what is still to be done, and what comes next. "
    "Call no tools. Answer with the summary alone."
)
_encode = msgspec.json.Encoder().encode


def is_asked(body: JsonObject) -> bool:
    """Whether a request asks for a compaction.

    Raises:
        BadRequestError: it does, and something comes after, or nothing before.
    """
    items = list_of(body.get("input"))
    places = [i for i, item in enumerate(items) if dig(item, "type") == TRIGGER]
    if not places:
        return False
    if places != [len(items) - 1]:
        raise BadRequestError.at(
            f"input[{places[0]}]", f"an item of kind {TRIGGER!r} must be the last one, and the only one"
        )
    if len(items) == 1:
        raise BadRequestError.at("input", "there is nothing to compact; send the conversation before the trigger")
    return True


def native_request(body: JsonObject) -> JsonObject:
    """A request for a compaction, for a model that makes one by itself."""
    return {**body, "input": [*_history(body), {"type": TRIGGER}]}


def summary_request(body: JsonObject) -> JsonObject:
    """A request for a summary, for any other model. Its tools stay, because the history may need them, and are not called."""
    usable, _ = expressible(body, alone=True)
    kept = {name: value for name, value in usable.items() if name not in ("text", "max_output_tokens")}
    asked = {"type": "message", "role": "user", "content": _ASK}
    return {**kept, "input": [*_history(kept), asked], "tool_choice": "none"}


def _history(body: JsonObject) -> list[Json]:
    """The items of a request as a list, without the trigger."""
    given = body.get("input")
    items = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else list_of(given)
    return [item for item in items if dig(item, "type") != TRIGGER]


def compacted(response: JsonObject) -> list[JsonObject]:
    """The items of kind `compaction` that a model has made by itself; one model makes several, each for a part."""
    return [item for item in list_of(response.get("output")) if dig(item, "type") in COMPACTIONS]


def summarized(response: JsonObject, item_id: str) -> list[JsonObject]:
    """An item of our own with the summary that a response holds; none where it holds none."""
    messages = [item for item in list_of(response.get("output")) if dig(item, "type") == "message"]
    texts = [str(dig(part, "text") or "") for item in messages for part in list_of(item.get("content"))]
    text = "".join(texts).strip()
    return [{"type": "compaction", "id": item_id, "encrypted_content": packed(text)}] if text else []


def encoded(items: list[JsonObject], usage: Usage | None, envelope: Envelope) -> bytes:
    """Whole items as an answer: a stream where the request wants one, else a body."""
    encoder = ResponseEncoder(envelope)
    said = [encoder.start(), *(encoder.item(item) for item in items)]
    if usage is not None:
        encoder.encode(usage)
    said.append(encoder.end())
    return b"".join(said) if envelope.body.get("stream") else _encode(encoder.response)


def window(body: JsonObject, items: list[JsonObject], usage: Usage | None, envelope: Envelope) -> bytes:
    """The answer of `/responses/compact`: the newest messages of the user as they were, and what was compacted."""
    kept, size = list[JsonObject](), 0
    for item in reversed(_history(body)):
        if not isinstance(item, dict) or item.get("role") != "user":
            continue
        size += len(_encode(item))
        if size > _KEPT_CHARS:
            break
        kept.append(_kept(item, envelope))
    response = {
        "id": f"resp_{envelope.ids.hex()}",
        "object": "response.compaction",
        "created_at": int(envelope.clock.wall()),
        "output": [*reversed(kept), *items],
    }
    return _encode({**response, "usage": written_usage(usage if usage is not None else Usage(0, 0))})


def _kept(item: JsonObject, envelope: Envelope) -> JsonObject:
    content = item.get("content")
    if isinstance(content, str):
        content = [{"type": "input_text", "text": content}]
    return {
        "type": "message",
        "id": f"msg_{envelope.ids.hex()}",
        "status": "completed",
        "role": "user",
        "content": content,
    }
