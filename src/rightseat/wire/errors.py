"""How errors are shown to clients: status, message, type, code and headers. The forms are the dialects'.

What a client reads is an error's public message, never an address of upstream's or another library's words. Trouble with our own token is never
the client's 401: clients would ask their user for another key, and some try for minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
from msgspec import Struct

from rightseat.errors import (
    ConfigError,
    ConnectError,
    ConnectionLostError,
    LoginError,
    NotLoggedInError,
    PromptTooLongError,
    RightseatError,
    UpstreamError,
)
from rightseat.json_types import JsonObject
from rightseat.masking import mask

CUT = "stream disconnected before completion"
CUT_CODE = "stream_disconnected"
_LONGEST_WAIT = 60.0  # seconds that a client shall wait by itself: SDKs sleep through whatever they are told
# Trying again as it is cannot help.
_POINTLESS = frozenset({400, 401, 402, 403, 404, 413, 422, 466})
_OWN_TOKEN = "Copilot refused the gateway's own token; run `rightseat login` again if this stays"  # noqa: S105 - no secret
_OPENAI_TYPES = {
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


class ErrorInfo(Struct, frozen=True):
    """An error as a client sees it.

    Attributes:
        status: the HTTP status.
        message: the words, masked.
        param: what of the request is wrong, as a path; None: nothing in particular.
        code: a name for programs.
        too_long: the prompt does not fit the model, which each dialect says in its own words; None: it is something else.
    """

    status: int
    message: str
    param: str | None = None
    code: str | int | None = None
    too_long: PromptTooLongError | None = None


def status_of(error: RightseatError) -> int:
    """The HTTP status for the client."""
    if isinstance(error, UpstreamError):
        return 502 if error.status == 401 else error.status
    if isinstance(error, LoginError):
        return 403
    return 502 if _is_cut(error) else error.status_hint


def info_of(error: RightseatError) -> ErrorInfo:
    """An error as a client sees it."""
    if isinstance(error, UpstreamError) and error.status == 401:
        return ErrorInfo(502, _OWN_TOKEN, code="upstream_authentication")
    if _is_cut(error):
        return ErrorInfo(502, CUT, code=CUT_CODE)
    if isinstance(error, PromptTooLongError):
        return ErrorInfo(400, mask(error.public), code=error.code, too_long=error)
    return ErrorInfo(status_of(error), mask(error.public) + _wait_of(error), error.field, error.code)


def _wait_of(error: RightseatError) -> str:
    """A long wait in words: clients show the message, and no header."""
    seconds = error.retry_after
    if status_of(error) != 429 or seconds is None or seconds <= _LONGEST_WAIT:
        return ""
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size or unit == "minutes":
            return f" (try again in {math.ceil(seconds / size)} {unit})"
    return ""


def _is_cut(error: RightseatError) -> bool:
    """The connection was lost after upstream was asked: it is no overload, and the request may have been processed."""
    return isinstance(error, ConnectionLostError) and error.reached and error.public == CUT


def cut() -> UpstreamError:
    """An answer that ended in the middle."""
    error = UpstreamError(408, CUT, code=CUT_CODE)
    error.reached = True
    return error


def interrupted(error: RightseatError) -> ErrorInfo:
    """An error as a client sees it inside a stream: there, a lost connection is an answer that broke off."""
    if isinstance(error, (ConnectError, ConnectionLostError)):
        return ErrorInfo(502, CUT, code=CUT_CODE)
    found = info_of(error)
    return ErrorInfo(502, found.message, found.param, found.code) if found.code == CUT_CODE else found


def openai_object(error: ErrorInfo, too_long: Callable[[ErrorInfo], tuple[str, str]]) -> JsonObject:
    """OpenAI's error object.

    Args:
        error: what went wrong.
        too_long: the words for a prompt that is too long, which differ from one API to the other, and the field that holds it.
    """
    kind = _OPENAI_TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    message, param = (error.message, error.param) if error.too_long is None else too_long(error)
    return {"message": message, "type": kind, "param": param, "code": error.code}


def openai_body(error: RightseatError, too_long: Callable[[ErrorInfo], tuple[str, str]]) -> bytes:
    """An error as a body in OpenAI's form; see `openai_object`."""
    return msgspec.json.encode({"error": openai_object(info_of(error), too_long)})


def error_headers(error: RightseatError, request_id: str, *names: bytes) -> list[tuple[bytes, bytes]]:
    """Headers that go with an error: the request's id, when to ask again, and whether that can help.

    Args:
        error: what went wrong.
        request_id: the request's id.
        names: further headers that clients look for the id in.
    """
    headers = [(name, request_id.encode()) for name in (b"x-request-id", *names)]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after))).encode()))
    is_long = status_of(error) == 429 and error.retry_after is not None and error.retry_after > _LONGEST_WAIT
    if is_long or status_of(error) in _POINTLESS or isinstance(error, (NotLoggedInError, ConfigError)):
        headers.append((b"x-should-retry", b"false"))
    return headers
