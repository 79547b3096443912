"""Error answers of the Copilot API, and of servers like it, as our errors. Pure."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping

import msgspec

from rightseat.errors import UpstreamError
from rightseat.masking import mask

MOST_CHARS = 2000  # of a message that is passed on


def error_of(status: int, headers: Mapping[str, str], body: bytes, now: float) -> UpstreamError:
    """An error answer of any of the API's forms: `{error: {message, code}}`, flat JSON, or text. `now` is the wall clock's."""
    text = mask(body[:4000].decode("utf-8", "replace")).strip()
    code = None
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if isinstance(value, dict):
        inner = value.get("error")
        inner = inner if isinstance(inner, dict) else value
        code = str(inner["code"])[:200] if inner.get("code") else None
        text = mask(str(inner.get("message") or inner.get("error") or text)[: 2 * MOST_CHARS])
    error = UpstreamError(
        status,
        text[:MOST_CHARS] or f"HTTP {status}",
        code=code,
        retry_after=retry_after(headers.get("retry-after"), now),
        request_id=headers.get("x-github-request-id") or headers.get("x-request-id"),
    )
    error.reached = True
    return error


def retry_after(value: str | None, now: float) -> float | None:
    """The header Retry-After in seconds: a number, or a date (RFC 9110, section 10.2.3). None for neither."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        return max(0.0, seconds) if seconds < float("inf") else None
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
