"""Saying no in the client's dialect: our error tree -> status, body and headers of OpenAI's form.

Trouble with our own token is never the client's 401: clients would ask their user for another key, and some try for minutes.
"""

from __future__ import annotations

import math

import msgspec

from rightseat.errors import (
    CallerError,
    ConfigError,
    DeclinedError,
    KeyDatabaseError,
    LoginError,
    NotLoggedInError,
    RightseatError,
    UpstreamError,
)
from rightseat.security.masking import mask
from rightseat.wire.anthropic import encode_error

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_ANTHROPIC = {
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
# Trying again as it is cannot help.
_POINTLESS = frozenset({400, 401, 402, 403, 404, 413, 422, 466})


class ClientKeyError(CallerError):
    """The client showed no key, or a wrong one."""

    status_hint = 401


def status_of(error: RightseatError) -> int:
    """The HTTP status for the client."""
    if isinstance(error, UpstreamError):
        return 502 if error.status == 401 else error.status
    if isinstance(error, LoginError):
        return 403
    return error.status_hint


def error_body(error: RightseatError) -> bytes:
    """OpenAI's form of an error."""
    return msgspec.json.encode({"error": _fields(error)})


def anthropic_body(error: RightseatError, request_id: str | None = None) -> bytes:
    """Anthropic's form of an error."""
    status = status_of(error)
    kind = _ANTHROPIC.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return encode_error(kind, str(_fields(error)["message"]), request_id)


def response_error(error: RightseatError) -> bytes:
    """An error event of OpenAI's responses, in the flat form and the nested one: clients look for either."""
    fields = _fields(error)
    return msgspec.json.encode({**fields, "type": "error", "status": status_of(error), "error": fields})


def error_headers(error: RightseatError, request_id: str) -> list[tuple[bytes, bytes]]:
    """Headers that go with an error."""
    headers = [(b"x-request-id", request_id.encode())]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after))).encode()))
    if status_of(error) in _POINTLESS or isinstance(error, (NotLoggedInError, ConfigError)):
        headers.append((b"x-should-retry", b"false"))
    return headers


def _fields(error: RightseatError) -> dict[str, object]:
    status = status_of(error)
    message, code, param = error.public, None, None
    if isinstance(error, UpstreamError):
        message, code = error.message, error.code
        if error.status == 401:
            message, code = (
                "Copilot refused the gateway's own token; run `rightseat login` again if this stays",
                "upstream_authentication",
            )
    elif isinstance(error, LoginError):
        code = error.code
    elif isinstance(error, ClientKeyError):
        code = "invalid_api_key"
    elif isinstance(error, KeyDatabaseError):  # where it is, is not for clients
        message, code = "the gateway's keys cannot be checked at the moment", "key_database"
    elif isinstance(error, DeclinedError) and isinstance(limit := getattr(error, "limit", None), str):
        code = f"key_{limit}"
    elif isinstance(error, NotLoggedInError):
        code = "not_logged_in"
    head, _, rest = message.partition(": ")
    if (
        isinstance(error, CallerError)
        and rest
        and head.replace("[", "").replace("]", "").replace(".", "").replace("_", "").isalnum()
    ):
        param = head
    return {"message": mask(message), "type": _TYPES.get(status, "api_error"), "param": param, "code": code}
