"""Errors in OpenAI's form: a body, and a chunk that ends a stream."""

from __future__ import annotations

import msgspec

from rightseat.errors import RightseatError
from rightseat.wire.errors import info_of, interrupted, openai_object
from rightseat.wire.sse import encode_sse

_encode = msgspec.json.Encoder().encode


def error_body(error: RightseatError, _request_id: str = "") -> bytes:
    """An error as a body."""
    return _encode({"error": openai_object(info_of(error))})


def error_event(error: RightseatError) -> bytes:
    """An error inside a stream."""
    return encode_sse(_encode({"error": openai_object(interrupted(error))}))


def encode_error(message: str, kind: str, code: str | None = None) -> bytes:
    """An error body out of its parts, for the simulator."""
    return _encode({"error": {"message": message, "type": kind, "code": code}})
