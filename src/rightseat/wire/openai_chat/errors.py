"""Errors in OpenAI's form: a body, and a chunk that ends a stream."""

from __future__ import annotations

import msgspec

from rightseat.errors import RightseatError
from rightseat.wire.errors import ErrorInfo, interrupted, openai_body, openai_object
from rightseat.wire.sse import encode_sse


def error_body(error: RightseatError, _request_id: str = "") -> bytes:
    """An error as a body."""
    return openai_body(error, _too_long)


def error_event(error: RightseatError) -> bytes:
    """An error inside a stream."""
    return encode_sse(msgspec.json.encode({"error": openai_object(interrupted(error), _too_long)}))


def _too_long(error: ErrorInfo) -> tuple[str, str]:
    """The words at which clients shorten what they send, and then upstream's own."""
    told = error.too_long
    if told is None or "maximum context length is" in error.message:
        return error.message, "messages"
    limit = f"is {told.limit} tokens" if told.limit else "is exceeded"
    tokens = f" However, your messages resulted in {told.tokens} tokens." if told.tokens else ""
    return (
        f"This model's maximum context length {limit}.{tokens} Please reduce the length of the messages. ({error.message})",
        "messages",
    )


def encode_error(message: str, kind: str, code: str | None = None) -> bytes:
    """An error body out of its parts, for the simulator."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "code": code}})
