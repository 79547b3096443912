"""Which proxy a request goes through, by the usual variables: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in either case.

This machine is never asked through a proxy. Does not know how a proxy is spoken to.
"""

from __future__ import annotations

import base64
import urllib.request
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from rightseat.errors import ConnectError


class Proxy(Struct, frozen=True):
    """A proxy.

    Attributes:
        host, port: where it is.
        tls: it is spoken to over TLS.
        authorization: value of Proxy-Authorization; "" for none.
        url: all of it, with the password.
    """

    host: str
    port: int
    tls: bool
    authorization: str
    url: str

    def __str__(self) -> str:
        return f"the proxy {self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"<Proxy {self.host}:{self.port}>"


def proxy_for(url: str) -> Proxy | None:
    """The proxy for an address, or None. Raises ConnectError: a variable names something that is no HTTP proxy."""
    parts = urlsplit(url)
    host = parts.hostname
    if not host or is_this_machine(host) or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    found = urllib.request.getproxies()
    named = found.get(parts.scheme) or found.get("all")
    return _read(named) if named else None


def is_this_machine(host: str) -> bool:
    """A name or an address of loopback."""
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _read(named: str) -> Proxy:
    parts = urlsplit(named if "://" in named else f"http://{named}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1:
        raise ConnectError(
            f"the proxy in the environment is none that can be used: {parts.scheme}://...; it must be http://HOST:PORT or https://HOST:PORT"
        )
    tls = parts.scheme == "https"
    return Proxy(parts.hostname, port or (443 if tls else 80), tls, _authorization(parts), parts.geturl())


def _authorization(parts: SplitResult) -> str:
    """Basic (RFC 7617), where the address has a user."""
    if parts.username is None:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
