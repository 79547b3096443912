"""Errors in OpenAI's form: a body, and an event that ends a stream of responses."""

from __future__ import annotations

import msgspec

from rightseat.errors import RightseatError
from rightseat.json_types import JsonObject
from rightseat.wire.errors import ErrorInfo, info_of, interrupted, openai_body, openai_object
from rightseat.wire.sse import encode_sse

_encode = msgspec.json.Encoder().encode


def error_body(error: RightseatError, _request_id: str = "") -> bytes:
    """An error as a body."""
    return openai_body(error, _too_long)


def error_event(error: RightseatError) -> bytes:
    """An error inside a stream."""
    found = interrupted(error)
    if found.too_long is not None:  # Codex shortens what it sends at this event
        failed = {
            "id": "",
            "object": "response",
            "status": "failed",
            "error": openai_object(found, _too_long),
            "output": [],
        }
        return encode_sse(_encode({"type": "response.failed", "response": failed}), b"response.failed")
    return encode_sse(_encode(_event(found)), b"error")


def error_frame(error: RightseatError, headers: dict[str, str]) -> bytes:
    """An error as a frame of a WebSocket, where there is no other place for headers."""
    return _encode({**_event(info_of(error)), "headers": headers})


def _too_long(error: ErrorInfo) -> tuple[str, str]:
    """The words at which Codex shortens what it sends, and then upstream's own."""
    words = "Your input exceeds the context window of this model. Please adjust your input and try again."
    is_said = "exceeds the context window" in error.message
    return error.message if is_said else f"{words} ({error.message})", "input"


def _event(error: ErrorInfo) -> JsonObject:
    """In the flat form and the nested one: clients look for either."""
    fields = openai_object(error, _too_long)
    return {**fields, "type": "error", "sequence_number": 0, "status": error.status, "error": fields}
