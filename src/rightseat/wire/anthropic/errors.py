"""Errors in Anthropic's form: a body, and an event that ends a stream."""

from __future__ import annotations

import re

import msgspec

from rightseat.errors import RightseatError
from rightseat.wire import errors
from rightseat.wire.errors import ErrorInfo, info_of, interrupted
from rightseat.wire.sse import encode_sse

_SHORTEN = re.compile(r"prompt is too long: \d|exceed context limit: \d")
_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def error_body(error: RightseatError, request_id: str = "") -> bytes:
    """An error as a body."""
    found = info_of(error)
    return encode_error(_type_of(found), _message_of(found), request_id or None)


def error_event(error: RightseatError) -> bytes:
    """An error inside a stream."""
    found = interrupted(error)
    return encode_sse(encode_error(_type_of(found), _message_of(found)), b"error")


def error_headers(error: RightseatError, request_id: str) -> list[tuple[bytes, bytes]]:
    """Headers that go with an error."""
    return errors.error_headers(error, request_id, b"request-id")


def encode_error(kind: str, message: str, request_id: str | None = None) -> bytes:
    """An error body out of its parts."""
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id})


def _message_of(error: ErrorInfo) -> str:
    """The words; of a prompt that is too long those at which Claude Code shortens what it sends, and then upstream's own."""
    if error.too_long is None or _SHORTEN.search(error.message):
        return error.message
    tokens, limit = error.too_long.tokens, error.too_long.limit
    numbers = f": {tokens} tokens > {limit} maximum" if tokens and limit else ""
    return f"prompt is too long{numbers} ({error.message})"


def _type_of(error: ErrorInfo) -> str:
    return _TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
