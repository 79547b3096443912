"""Error answers of the Copilot API, and of servers like it, as our errors. Pure."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping

import msgspec

from rightseat.errors import PromptTooLongError, UpstreamError
from rightseat.masking import mask

MOST_CHARS = 2000  # of a message that is passed on
_RETRY_AFTER = re.compile(r"retry after (\d{1,9}) seconds")
_TOO_LONG_CODES = frozenset({"model_max_prompt_tokens_exceeded", "context_length_exceeded"})
# In words of Copilot's, Anthropic's and OpenAI's: how many tokens there are, and how many may be.
_TOO_LONG = (
    re.compile(r"prompt token count of (?P<tokens>\d{1,12}) exceeds the limit of (?P<limit>\d{1,12})"),
    re.compile(r"prompt is too long: (?P<tokens>\d{1,12}) tokens > (?P<limit>\d{1,12}) maximum"),
    re.compile(r"exceed context limit: (?P<tokens>\d{1,12}) \+ \d{1,12} > (?P<limit>\d{1,12})"),
    re.compile(r"maximum context length is (?P<limit>\d{1,12}) tokens"),
    re.compile(r"resulted in (?P<tokens>\d{1,12}) tokens"),
    re.compile(r"exceeds the context window"),
)


def error_of(status: int, headers: Mapping[str, str], body: bytes, now: float) -> UpstreamError:
    """An error answer of any of the API's forms: `{error: {message, code}}`, flat JSON, or text. `now` is the wall clock's."""
    text = mask(body[:4000].decode("utf-8", "replace")).strip()
    code = field = None
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if isinstance(value, dict):
        inner = value.get("error")
        inner = inner if isinstance(inner, dict) else value
        code = str(inner["code"])[:200] if inner.get("code") else None
        field = inner["param"][:200] if isinstance(inner.get("param"), str) else None
        text = mask(str(inner.get("message") or inner.get("error") or text)[: 2 * MOST_CHARS])
    public = None
    if text.lstrip()[:1] == "<":  # a page of something between, which tells of what is there
        public = f"upstream answered with HTTP {status}"
    request_id = headers.get("x-github-request-id") or headers.get("x-request-id")
    error = too_long(status, code, text[:MOST_CHARS])
    if error is None:
        wait = retry_after(headers.get("retry-after"), now)
        if wait is None and status == 429 and (said := _RETRY_AFTER.search(text)) is not None:
            wait = float(said[1])
        error = UpstreamError(
            status, text[:MOST_CHARS] or f"HTTP {status}", code=code, retry_after=wait, field=field, public=public
        )
    error.request_id = request_id
    error.reached = True
    return error


def refused_item(body: bytes) -> UpstreamError | None:
    """The error of a 401 that is no matter of the token: an item's id holds on another connection. None: it is one."""
    text = mask(body[:4000].decode("utf-8", "replace"))
    if "does not belong to this connection" not in text:
        return None
    error = UpstreamError(400, text[:MOST_CHARS], code="item_of_another_connection")
    error.reached = True
    return error


def too_long(status: int, code: str | None, text: str) -> UpstreamError | None:
    """The error of a prompt that is too long for its model, or None: it says something else."""
    if status not in (400, 413):
        return None
    told: dict[str, int] = {}
    found = code in _TOO_LONG_CODES
    for words in _TOO_LONG:
        if (match := words.search(text)) is not None:
            found = True
            told |= {name: int(number) for name, number in match.groupdict().items()}
    return PromptTooLongError(text, tokens=told.get("tokens"), limit=told.get("limit")) if found else None


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
