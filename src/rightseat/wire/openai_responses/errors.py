"""Errors in OpenAI's form: a body, and an event that ends a stream of responses."""

from __future__ import annotations

import msgspec

from rightseat.errors import RightseatError
from rightseat.json_types import JsonObject
from rightseat.wire.errors import ErrorInfo, info_of, interrupted, openai_object
from rightseat.wire.sse import encode_sse

_encode = msgspec.json.Encoder().encode


def error_body(error: RightseatError, _request_id: str = "") -> bytes:
    """An error as a body."""
    return _encode({"error": openai_object(info_of(error))})


def error_event(error: RightseatError) -> bytes:
    """An error inside a stream."""
    return encode_sse(_encode(_event(interrupted(error))), b"error")


def error_frame(error: RightseatError, headers: dict[str, str]) -> bytes:
    """An error as a frame of a WebSocket, where there is no other place for headers."""
    return _encode({**_event(info_of(error)), "headers": headers})


def _event(error: ErrorInfo) -> JsonObject:
    """In the flat form and the nested one: clients look for either."""
    fields = openai_object(error)
    return {**fields, "type": "error", "status": error.status, "error": fields}
