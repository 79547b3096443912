"""Heads of answers: the only place that writes them, and it writes none that a client could read as two. Does not know what is said."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Iterable
from http import HTTPStatus

import msgspec

from rightseat.clock import SYSTEM_CLOCK

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_FIELDS = b"x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n"
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_FINE = bytes(each for each in range(256) if each in (9, 10, 13) or (each >= 32 and each != 127))
_WORDS = {
    400: "the request is not well formed",
    408: "the request did not come in time",
    413: "the request is too large",
    414: "the address of the request is too long",
    417: "only 100-continue can be expected",
    431: "the head of the request is too large",
    501: "the server does not know this method or coding",
    503: "there are too many connections; try again in a moment",
}


def _line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


_LINES = {status: _line(status) for status in range(100, 600)}
_names: set[bytes] = {b"content-type", b"content-length", b"cache-control", b"connection", b"x-request-id"}
_NAMES_KEPT = 1024


class _Usual:
    """What stands in every head: a line with the date, made once a second."""

    second = -1
    lines = b""


def head_of(status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of an answer.

    Args:
        status: 100 to 599.
        fields: names in lower case, and values.

    Raises:
        ValueError: a name or a value cannot stand in a head.
    """
    count = 0
    lines = []
    for name, value in fields:
        if name not in _names:
            _check_name(name)
        lines.append(b"%b: %b\r\n" % (name, value))
        count += 1
    block = b"".join(lines)
    if block.count(b"\n") != count or block.count(b"\r") != count or block.translate(None, _FINE):
        raise ValueError("a value of a header field holds a control character")
    if (second := int(SYSTEM_CLOCK.wall())) != _Usual.second:
        _Usual.lines = b"date: %b\r\n%b" % (email.utils.formatdate(second, usegmt=True).encode(), _FIELDS)
        _Usual.second = second  # last: another thread may look
    return b"%b%b%b\r\n" % (_LINES[status], _Usual.lines, block)


def _check_name(name: bytes) -> None:
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(f"{name[:40]!r} is no name of a header field")
    if len(_names) < _NAMES_KEPT:
        _names.add(name)


def message_of(status: int) -> str:
    """What is told of a request that is not taken."""
    return _WORDS.get(status, "the request is not taken")


def refusal(status: int, name: str) -> bytes:
    """A whole answer that ends a connection, in the form of OpenAI's errors."""
    error = {"message": message_of(status), "type": "invalid_request_error", "code": name}
    return last_answer(status, msgspec.json.encode({"error": error}))


def last_answer(status: int, body: bytes, fields: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """A whole answer of JSON that ends a connection."""
    own = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    return head_of(status, [*own, *fields]) + body
