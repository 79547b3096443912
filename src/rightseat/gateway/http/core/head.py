"""Heads of requests, judged: what a tokenizer lets through and a server must not.

llhttp has read the bytes before (strictly: CRLF alone ends a line, no folds, no blanks before a colon, no control characters), so that they
can be cut at line ends here. It has no opinion on Host, targets, versions, sizes and coding of bodies: that is here. Whatever two servers in a
row could read differently is refused (RFC 9112, sections 6 and 11.2). Pure; it does not know sockets, and what is asked.
"""

from __future__ import annotations

import functools
import re
from urllib.parse import unquote

from msgspec import Struct

from rightseat.gateway.http.head_errors import is_websocket_key

MAX_FIELDS = 256  # of one head; nginx has no limit but 4 x 8 KiB, hyper 100, Node 2,000 bytes of names ...
MAX_FIELD_BYTES = 16 * 1024  # nginx and aiohttp: 8 KiB
MAX_TARGET_BYTES = 8190  # nginx, Apache and aiohttp: about the same
SOCKET_FIELDS, SOCKET_FIELD_BYTES = 128, 8192  # of a handshake, as `websockets` has them

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_NEVER = frozenset(("CONNECT", "QUERY", "TRACE"))  # known, and served nowhere
_SINGLE = frozenset(("host", "transfer-encoding", "content-length"))
_ALIKE = ("content_length", "transfer_encoding")
_VERSIONS = ("HTTP/1.1", "HTTP/1.0")
_HOST = re.compile(r"(?:[A-Za-z0-9._~%-]{0,255}|\[[0-9A-Fa-f:.]{2,64}\])(?::[0-9]{0,5})?")
_NO_TARGET = re.compile(r'["<>#\\^`{|}\x00-\x20\x7f-\xff]')
_DIGITS = 18  # of a length: more than anybody has, and within 64 bits


class RefusedError(Exception):
    """A head that is not taken.

    Attributes:
        name: why, for logs and metrics.
        status: of the answer.
    """

    def __init__(self, status: int, name: str) -> None:
        super().__init__(name)
        self.status, self.name = status, name


class RequestHead(Struct, gc=False):
    """A head that was judged.

    Attributes:
        method, path, query: the path decoded.
        headers: names in lower case; repeated ones joined by commas (RFC 9110, section 5.3).
        length: bytes of the body; CHUNKED: it comes in chunks.
        keep_alive: another request may follow on the connection.
        is_old: HTTP/1.0, whose clients know no chunks.
        expects: the client waits for a "100 Continue" before it sends the body.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    length: int
    keep_alive: bool
    is_old: bool
    expects: bool

    @property
    def asks_for_socket(self) -> bool:
        """It asks for a WebSocket, and for nothing that cannot be one."""
        return self.headers.get("upgrade", "").lower() == "websocket"


CHUNKED = -1


def judge(raw: bytes) -> RequestHead:
    """A head.

    Args:
        raw: its bytes, which llhttp has accepted, with the blank line.

    Raises:
        RefusedError: it is not taken.
    """
    line, *lines = raw[:-4].decode("latin-1").split("\r\n")
    parts = line.split(" ")
    if len(parts) != 3:
        raise RefusedError(400, "request_line")
    method, target, version = parts
    if version not in _VERSIONS:
        raise RefusedError(400, "version")
    if method not in _METHODS:
        raise RefusedError(405 if method in _NEVER else 501, "method")
    headers = _headers(lines)
    is_old = version == "HTTP/1.0"
    path, query = _target(method, target, _host(headers, is_old=is_old))
    length = _length(headers, is_old=is_old)
    options = headers.get("connection", "").lower()
    keep_alive = not is_old and (not options or "close" not in map(str.strip, options.split(",")))
    expects = "expect" in headers and not is_old and _expects(headers["expect"]) and length != 0
    return RequestHead(method, path, query, headers, length, keep_alive, is_old, expects)


def check_handshake(raw: bytes, head: RequestHead) -> None:
    """What holds for a request that asks for a WebSocket. Raises RefusedError."""
    if head.length:
        raise RefusedError(400, "body_of_handshake")
    lines = raw[:-4].split(b"\r\n")
    if len(lines) > SOCKET_FIELDS + 1 or max(map(len, lines)) > SOCKET_FIELD_BYTES:
        raise RefusedError(431, "handshake_too_large")
    key, version = head.headers.get("sec-websocket-key", ""), head.headers.get("sec-websocket-version", "")
    if head.method != "GET" or head.is_old or version != "13" or not is_websocket_key(key.encode("latin-1")):
        raise RefusedError(400, "handshake")


def _headers(lines: list[str]) -> dict[str, str]:
    if len(lines) > MAX_FIELDS:
        raise RefusedError(431, "too_many_fields")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if len(line) > MAX_FIELD_BYTES:
            raise RefusedError(431, "field_too_large")
        name, value = name.lower(), value.strip(" \t")
        if name in headers:
            if name in _SINGLE:
                raise RefusedError(400, f"two_{name.replace('-', '_')}")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    if not headers.keys().isdisjoint(_ALIKE):
        raise RefusedError(400, "alike")  # servers before or behind this one may take it for the real one
    return headers


def _host(headers: dict[str, str], *, is_old: bool) -> str:
    host = headers.get("host")
    if host is None:
        if is_old:
            return ""
        raise RefusedError(400, "no_host")
    if len(host) > 320 or not _is_host(host):
        raise RefusedError(400, "host")
    return host


@functools.lru_cache(maxsize=256)
def _is_host(host: str) -> bool:
    return _HOST.fullmatch(host) is not None


def _target(method: str, target: str, host: str) -> tuple[str, str]:
    """The path, decoded, and the query."""
    if len(target) > MAX_TARGET_BYTES:
        raise RefusedError(414, "target_too_long")
    if not target.startswith("/"):
        target = _other_form(method, target, host)
    if _NO_TARGET.search(target) is not None:
        raise RefusedError(400, "target")
    path, _, query = target.partition("?")
    return (unquote(path) if "%" in path else path), query


def _other_form(method: str, target: str, host: str) -> str:
    """The target of a request to a proxy, or one about the whole server (RFC 9112, section 3.2)."""
    if target == "*" and method == "OPTIONS":
        return target
    scheme, found, rest = target.partition("://")
    if not found or scheme.lower() not in ("http", "https"):
        raise RefusedError(400, "target")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    if authority.lower() != host.lower() or not authority:
        raise RefusedError(400, "target_of_other_host")
    path = rest[len(authority) :]
    return path if path.startswith("/") else f"/{path}"


def _length(headers: dict[str, str], *, is_old: bool) -> int:
    """How the body is framed (RFC 9112, section 6)."""
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if coding is not None:
        return _chunked(coding.lower(), is_fine=length is None and not is_old)
    if length is None:
        return 0
    if not length.isascii() or not length.isdigit():
        raise RefusedError(400, "content_length")
    length = length.lstrip("0") or "0"
    if len(length) > _DIGITS:
        raise RefusedError(413, "content_length_too_large")
    return int(length)


def _chunked(coding: str, *, is_fine: bool) -> int:
    if not is_fine or not coding or "chunked" not in (coding, coding.rpartition(",")[2].strip()):
        raise RefusedError(400, "transfer_encoding")
    if coding != "chunked":
        others = {one.strip() for one in coding.split(",")[:-1]}
        raise RefusedError(501 if others <= {"gzip", "x-gzip", "deflate", "compress"} else 400, "transfer_encoding")
    return CHUNKED


def _expects(said: str) -> bool:
    if said.lower() != "100-continue":
        raise RefusedError(417, "expect")
    return True
