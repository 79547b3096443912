"""Where a client is, when a proxy stands between. Refuses to believe a header of anybody but a trusted proxy."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_HOPS = 64  # that are looked at, from the nearest on
_FOR = re.compile(r"(?:^|;)\s{0,8}for\s{0,8}=\s{0,8}(\"[^\"]{0,128}\"|[^;\s]{0,128})", re.IGNORECASE)
_PORT = re.compile(r"\[([0-9a-fA-F:.]{1,64})\](?::\d{1,5})?|([0-9.]{1,64}):\d{1,5}")
_IPV6_BITS = 64  # one customer has so many addresses that only the first bits tell them apart


class TrustedProxies:
    """Finds the address of a client.

    Args:
        networks: of the proxies whose headers are believed.
    """

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._networks = tuple(networks)
        self._trusts = functools.lru_cache(maxsize=4096)(self._is_trusted)

    def trusts(self, peer: str) -> bool:
        """Whether a peer is one of the proxies."""
        return bool(self._networks) and self._trusts(peer)

    def client_of(self, peer: str, headers: Mapping[str, str]) -> str:
        """The address of the client.

        `X-Forwarded-For` counts, and only where there is none, `Forwarded` (RFC 7239): each proxy adds the address that it has seen at the
        end, so the last one that is no proxy is the client. What stands before it anybody may have written.

        Args:
            peer: who is connected.
            headers: names in lower case, repeated ones joined by commas.
        """
        if not self.trusts(peer):
            return peer
        client = peer
        for hop in _hops(headers):
            address = _address(hop)
            if address is None:
                return client  # the proxy before it does not say
            client = str(address)
            if not self.trusts(client):
                return client
        return client

    def _is_trusted(self, peer: str) -> bool:
        address = _address(peer)
        return address is not None and any(address in network for network in self._networks)


@functools.lru_cache(maxsize=4096)
def neighbourhood(peer: str) -> str:
    """An address as it is counted: of IPv6 the part that stands for one customer."""
    address = _address(peer)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _IPV6_BITS), strict=False))
    return str(address) if address is not None else peer


def _hops(headers: Mapping[str, str]) -> list[str]:
    """The addresses that proxies have noted, the nearest first."""
    if said := headers.get("x-forwarded-for", ""):
        return said.rsplit(",", _HOPS)[:0:-1] if said.count(",") >= _HOPS else said.split(",")[::-1]
    found = [_FOR.search(element) for element in headers.get("forwarded", "").rsplit(",", _HOPS)[::-1]]
    return [match[1].strip('"') if match is not None else "" for match in found]


def _address(text: str) -> Address | None:
    text = text.strip()
    if len(text) > 64:
        return None
    if (with_port := _PORT.fullmatch(text)) is not None:
        text = with_port[1] or with_port[2]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
