"""Which hosts belong together: github.com with the public Copilot API, and each ghe.com tenant with its own, never mixed.

Addresses come from the settings file, the command line and the account's file; a token may name one of its own GitHub's. This module
does not know who asks.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from urllib.parse import urlsplit

from msgspec import Struct

from rightseat.errors import ConfigError

_TENANT = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,3}ghe\.com")
_BARE = re.compile(r"[\x21-\x7e]+")  # visible ASCII
_HOST = re.compile(r"[A-Za-z0-9._:-]+")  # a name, or an IP address: no percent signs, which libraries read differently
_PUBLIC_API = "https://api.githubcopilot.com"
_PUBLIC_DOMAIN = ".githubcopilot.com"
_FOREIGN_PATH = "/backend-api/codex"  # of addresses that were meant for another service


class Hosts(Struct, frozen=True):
    """The addresses of one GitHub.

    Attributes:
        github: where people log in.
        api: GitHub's API.
        copilot: the Copilot API, unless a token names a better one.
    """

    github: str = "https://github.com"
    api: str = "https://api.github.com"
    copilot: str = _PUBLIC_API

    @classmethod
    def of(cls, host: str) -> Hosts:
        """The addresses for `github.com`, a tenant such as `octo.ghe.com`, or, for tests, one URL that plays them all.

        Raises:
            ConfigError: it is none of these.
        """
        if host in ("github.com", "https://github.com", ""):
            return cls()
        if host.startswith(("http://", "https://")):
            url = clean_url(host)
            return cls(url, url, url)
        if _TENANT.fullmatch(host):
            return cls(f"https://{host}", f"https://api.{host}", f"https://copilot-api.{host}")
        raise ConfigError(f"host {host!r}: use github.com or TENANT.ghe.com")


def is_foreign(url: str) -> bool:
    """Whether a base URL was meant for another service: it ends in `/backend-api/codex`. No token of ours goes there."""
    return url.strip().rstrip("/").lower().endswith(_FOREIGN_PATH)


def clean_url(url: str) -> str:
    """A base URL without blanks and trailing slash; `https://` where no scheme is named.

    One that ends in `/backend-api/codex` is left from another service, whose host must not see our tokens: the official host stands
    in its place.

    Raises:
        ConfigError: it is no URL, or plain HTTP to somewhere else than this machine.
    """
    text = url.strip()
    if "://" not in text:
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        fits = (
            _BARE.fullmatch(text) is not None
            and not set("\\?#@") & set(text)
            and _HOST.fullmatch(parts.hostname or "") is not None
        )
        _ = parts.port
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(
            f"{_shown(text)!r} is not an address of the form https://host, without a user, a query and a fragment"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{_shown(text)!r} is not an address of the form https://host")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigError(f"{_shown(text)!r}: plain HTTP is allowed to this machine only; use https://")
    return _PUBLIC_API if is_foreign(text) else text.rstrip("/")


def _shown(url: str) -> str:
    """An address for an error: a user and a password before an "@" are left out."""
    head, at, tail = url.rpartition("@")
    return (f"{head.partition('://')[0]}://...@{tail}" if at else url)[:200]


@functools.lru_cache(maxsize=256)
def copilot_url(host: str, configured: str = "", named: str = "") -> str:
    """Where an account's requests go: the owner's choice, else what its token names, else the official address of its host.

    Args:
        host: see `Hosts.of`.
        configured: the owner's choice; "" for none.
        named: what the token names; believed only if it belongs to the same GitHub.

    Raises:
        ConfigError: the host or the owner's choice cannot be used.
    """
    official = Hosts.of(host).copilot
    if configured:
        return official if is_foreign(configured) else clean_url(configured)
    return clean_url(named) if named and belongs(named, host) else official


def belongs(url: str, host: str) -> bool:
    """Whether an address that a token names is of the account's own GitHub: a token must not be able to send requests elsewhere.

    Args:
        url: what the token names.
        host: the account's host. One that is a URL, for tests, trusts its own host name alone; on this machine, all of this machine.
    """
    try:
        parts = urlsplit(clean_url(url))
        name, port = parts.hostname or "", parts.port
    except (ConfigError, ValueError):
        return False
    if is_foreign(url):
        return False
    if host.startswith(("http://", "https://")) and host != "https://github.com":
        own = urlsplit(host).hostname or ""
        return name == own or (is_loopback(own) and is_loopback(name))
    if parts.scheme != "https" or port not in (None, 443):
        return False
    if _TENANT.fullmatch(host):
        return name == f"copilot-api.{host.lower()}" or name.endswith(f".{host.lower()}")
    return name.endswith(_PUBLIC_DOMAIN)


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
