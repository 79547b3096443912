"""Heads of HTTP/1.1 messages (RFC 9112): how requests are written, and what the head of an answer says of its body. Pure.

The one writer of heads checks all that it writes: no field can begin another one. Answers are judged strictly where framing is concerned,
and mildly else. Does not know sockets and parsers.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

from msgspec import Struct

HEAD_BYTES = (
    64 * 1024
)  # of all heads of one answer, those of 1xx included; nginx: 4 to 8 KiB, hyper: 400 KiB, aiohttp: 8 KiB a field
HEAD_FIELDS = 256  # of one head; hyper: 100, aiohttp: 128
_LENGTH_DIGITS = 18  # of a content-length: below 2**63

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
# What a head may consist of, line ends aside: no control characters but the tab. Latin-1 beyond ASCII passes as it is.
_FINE = bytes([9, *range(32, 127), *range(128, 256)])
_OURS = frozenset({
    "host", "content-length", "transfer-encoding", "connection", "accept-encoding", "keep-alive", "te", "trailer", "upgrade", "expect",
    "proxy-authorization", "proxy-connection",
})  # fmt: skip

_known_names: set[str] = set()  # that were checked
_lower: dict[bytes, str] = {}  # names as servers write them
_NAMES = 1024  # of each


class Violation(Exception):  # noqa: N818 - it is the server's, and told by another error
    """An answer that is not HTTP as it must be: its framing cannot be trusted. The message names the rule."""


class Framing(enum.Enum):
    """How the end of a body is known."""

    NONE = "there is no body"
    LENGTH = "content-length"
    CHUNKED = "chunks, and a last one"
    CLOSE = "the end of the connection"


class AnswerHead(Struct, frozen=True):
    """The head of an answer, judged.

    Attributes:
        status: 100 to 599.
        headers: names in lower case; the first of several fields of one name.
        framing: how the end of the body is known.
        length: of the body in bytes, with `Framing.LENGTH`.
        keeps: the server will take another request on this connection.
        idle: for so many seconds; None: it did not say.
    """

    status: int
    headers: dict[str, str]
    framing: Framing
    length: int
    keeps: bool
    idle: float | None


def request_head(prefix: bytes, headers: Mapping[str, str], length: int | None) -> bytes:
    """The head of a request.

    Args:
        prefix: the request line and our own fields, each with its line end.
        headers: names in lower case.
        length: of the body; None: there is none.

    Raises:
        ValueError: a field that cannot be sent; it is named, its value is not shown.
    """
    if not _OURS.isdisjoint(headers):
        raise ValueError(f"header {min(_OURS.intersection(headers))!r} is the client's own")
    if not _known_names.issuperset(headers):
        _check_names(headers)
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if length is not None:
        lines += f"content-length: {length}\r\n"
    try:
        fields = lines.encode("latin-1")
    except UnicodeEncodeError:
        raise _bad_value(headers) from None
    ends = len(headers) + (length is not None)
    if fields.translate(None, _FINE) != b"\r\n" * ends:
        raise _bad_value(headers)
    return b"%b%b\r\n" % (prefix, fields)


def is_token(text: str) -> bool:
    """It can be a name of a field, or a method."""
    return bool(text) and _TOKEN.issuperset(text)


def _check_names(headers: Mapping[str, str]) -> None:
    for name in headers:
        if not is_token(name):
            raise ValueError(f"header name {name[:60]!r} has characters that no name may have")
    if len(_known_names) < _NAMES:
        _known_names.update(headers)


def _bad_value(headers: Mapping[str, str]) -> ValueError:
    for name, value in headers.items():
        if any(ord(char) > 255 or (ord(char) < 32 and char != "\t") or ord(char) == 127 for char in value):
            return ValueError(f"header {name!r} has characters that cannot be sent")
    return ValueError("a header has characters that cannot be sent")


def answer_head(method: str, status: int, version: str, fields: Sequence[tuple[bytes, bytes]]) -> AnswerHead:
    """Judge the head of an answer.

    Args:
        method: of the request.
        status: as parsed.
        version: "1.1" or "1.0".
        fields: names and values as they came.

    Raises:
        Violation: its framing cannot be trusted.
    """
    if version not in {"1.1", "1.0"}:
        raise Violation(f"version {version[:8]}")
    if not 100 <= status <= 599:
        raise Violation(f"status {status}")
    if len(fields) > HEAD_FIELDS:
        raise Violation(f"more than {HEAD_FIELDS} fields in the head")
    headers: dict[str, str] = {}
    framing: list[tuple[str, str]] = []  # the fields that say where the body ends
    connection = ""
    for raw, value in fields:
        name = _lower.get(raw) or _lowered(raw)
        text = value.decode("latin-1").strip(" \t")
        if name not in headers:
            headers[name] = text
        if name in {"content-length", "transfer-encoding"}:
            framing.append((name, text))
        elif name == "connection":
            connection = f"{connection},{text}"
    how, length = _framing(method, status, version, framing)
    keeps = version == "1.1" and how is not Framing.CLOSE and "close" not in _tokens(connection)
    return AnswerHead(status, headers, how, length, keeps, _idle(headers.get("keep-alive", "")))


def _framing(method: str, status: int, version: str, fields: Sequence[tuple[str, str]]) -> tuple[Framing, int]:
    """How the body ends (RFC 9112, section 6.3). What is ambiguous is refused even where there is no body."""
    if not fields:
        return (Framing.NONE if _has_no_body(method, status) else Framing.CLOSE), 0
    if len(fields) > 1:
        raise Violation("several fields that say where the body ends")
    name, value = fields[0]
    if name == "transfer-encoding":
        if value.lower() != "chunked":
            raise Violation("a transfer-encoding that was not asked for")
        if version != "1.1":
            raise Violation("a transfer-encoding in HTTP/1.0")
        return (Framing.NONE if _has_no_body(method, status) else Framing.CHUNKED), 0
    if not (value.isascii() and value.isdigit() and len(value) <= _LENGTH_DIGITS):
        raise Violation("a content-length that is none")
    return (Framing.NONE if _has_no_body(method, status) else Framing.LENGTH), int(value)


def _has_no_body(method: str, status: int) -> bool:
    return method == "HEAD" or status < 200 or status in {204, 304}


def _idle(value: str) -> float | None:
    """The seconds of `Keep-Alive: timeout=5`."""
    for part in _tokens(value):
        name, _, seconds = part.partition("=")
        if name.strip() == "timeout" and (seconds := seconds.strip()).isascii() and seconds.isdigit():
            return float(seconds[:6])
    return None


def _tokens(value: str) -> list[str]:
    return [part.strip(" \t") for part in value.lower().split(",")] if value else []


def _lowered(raw: bytes) -> str:
    name = raw.decode("latin-1").lower()
    if len(_lower) < _NAMES:
        _lower[raw] = name
    return name
