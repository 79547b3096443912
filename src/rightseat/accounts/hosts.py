"""Which hosts belong together: github.com with the public Copilot API, and each ghe.com tenant with its own, never mixed."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from msgspec import Struct

from rightseat.errors import ConfigError

_TENANT = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,3}ghe\.com")
_BARE = re.compile(r"[\x21-\x7e]+")  # visible ASCII
_PUBLIC_API = "https://api.githubcopilot.com"


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


def clean_url(url: str) -> str:
    """A base URL without blanks, trailing slash and the leftovers of other proxies; `https://` where no scheme is named.

    Raises:
        ConfigError: it is no URL, or plain HTTP to somewhere else than this machine.
    """
    text = url.strip()
    if "://" not in text:
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        fits = _BARE.fullmatch(text) is not None and parts.username is None and "\\" not in text
        _ = parts.port
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(f"{url[:200]!r} is not an address of the form https://host")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{url!r} is not an address of the form https://host")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigError(f"{url!r}: plain HTTP is allowed to this machine only; use https://")
    return text.rstrip("/").removesuffix("/backend-api/codex").rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
