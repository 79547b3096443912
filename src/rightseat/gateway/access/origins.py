"""Which hosts and web origins may use a gateway: not any web page that is open in a browser on this machine.

A page can make a browser send requests to loopback: by a name of its own that resolves to 127.0.0.1 (DNS rebinding, which the Host header gives
away), or plainly across origins (which the Origin header gives away). Keys do not help where none are set. Pure: headers in, a verdict out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from rightseat.accounts.hosts import is_loopback
from rightseat.errors import CallerError

ANY = "*"
_METHODS = b"GET, POST, DELETE, OPTIONS"
_HEADERS = b"authorization, content-type, x-api-key, anthropic-version, anthropic-beta, x-request-id"
_DAY = b"86400"
_LONGEST = 262  # characters of a Host header: a name of 253, a port, and brackets
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")


class ForeignHostError(CallerError):
    """The request was sent to a host name that is not this gateway's, or by a page of another origin."""

    status_hint = 403


def check_host(headers: Mapping[str, str], listens_on: str, allowed: Collection[str]) -> None:
    """Refuse a request to a strange name.

    Args:
        headers: of the request, names in lower case.
        listens_on: the address that the gateway is bound to. Off loopback, where keys are demanded, any name will do.
        allowed: further names that are ours; "*": any.

    Raises:
        ForeignHostError: the name is not ours.
    """
    given = headers.get("host", "")
    if len(given) > _LONGEST or not _is_ours(given, listens_on, tuple(allowed)):
        raise ForeignHostError(f"host: {given[:100]!r} is not a name of this gateway; see the setting allowed_hosts")


@functools.lru_cache(maxsize=1024)  # clients say the same each time
def _is_ours(given: str, listens_on: str, allowed: tuple[str, ...]) -> bool:
    if ANY in allowed or not is_loopback(listens_on):
        return True
    name = host_of(given)
    return name is not None and (is_loopback(name) or name == listens_on or name in allowed)


def check_origin(headers: Mapping[str, str], allowed: Collection[str]) -> str | None:
    """Refuse a request of a web page from somewhere else.

    Returns:
        The origin that is allowed by the settings and wants to be told so (CORS); None: the page is ours, or it is no page.

    Raises:
        ForeignHostError: the page is of another origin.
    """
    origin = headers.get("origin")
    if origin is None:
        return None
    if origin in allowed or ANY in allowed:
        return origin
    if origin.startswith(("http://", "https://")) and _authority(origin) == headers.get("host"):
        return None
    raise ForeignHostError(
        f"origin: pages of {origin[:100]!r} may not use this gateway; see the setting allowed_origins"
    )


def _authority(origin: str) -> str | None:
    """The name and port in an origin; None: it is none."""
    try:
        return urlsplit(origin[: 2 * _LONGEST]).netloc
    except ValueError:  # such as a bracket that is not closed
        return None


def host_of(header: str) -> str | None:
    """The name in a Host header, without its port; None: it is none (RFC 9110, section 7.2)."""
    match = _HOST.fullmatch(header)
    return match[1].strip("[]").rstrip(".").lower() if match else None


def cors_headers(origin: str) -> list[tuple[bytes, bytes]]:
    """What tells a browser that a page of this origin may read the answer (WHATWG Fetch, "HTTP responses")."""
    return [
        (b"access-control-allow-origin", origin.encode("latin-1", "replace")),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", _HEADERS),
        (b"access-control-expose-headers", b"x-request-id, request-id, retry-after, warning"),
        (b"access-control-max-age", _DAY),
        (b"vary", b"origin"),
    ]
