"""Options of an HTTP server, and what its connections share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from rightseat.gateway.http.addresses import Network, TrustedProxies
from rightseat.gateway.http.limits import MemoryBudget, Places
from rightseat.gateway.http.live import Live

READ_BYTES = 256 * 1024  # at a time, of a body that is wanted,
LITTLE_BYTES = 16 * 1024  # and of everything else: what comes with a head is held until it is known who asks


class ServerOptions(Struct, frozen=True):
    """How to serve. Sizes are in bytes, times in seconds.

    Attributes:
        header_seconds: in which the head of a request must come; 0: any time.
        header_limit: the largest head.
        connections: at once; beyond them requests get 503.
        connections_per_address: at once; further ones are closed at once; 0: any number.
        trusted_proxies: whose headers say where a client is. They may have any number of connections.
        drain_seconds: how long what is under way may go on after the stop.
    """

    header_seconds: float = 20.0
    header_limit: int = 64 * 1024
    connections: int = 10_000
    connections_per_address: int = 4096
    trusted_proxies: tuple[Network, ...] = ()
    drain_seconds: float = 30.0


class Shared:
    """What all connections of a server share. It belongs to the event loop that serves them.

    Args:
        options: see ServerOptions.
        live: what is under way.
        memory: where the bytes of incoming messages of sockets count.

    Attributes:
        buffer: what is read into, by one connection after another; another loop, in another thread, has another one.
        little: the beginning of it.
    """

    def __init__(self, options: ServerOptions, live: Live[Any], memory: MemoryBudget) -> None:
        self.live, self.memory = live, memory
        self.buffer = memoryview(bytearray(READ_BYTES))
        self.little = self.buffer[:LITTLE_BYTES]
        self.apply(options)

    def apply(self, options: ServerOptions) -> None:
        """Use other options from now on. Connections that are there stay."""
        self.options = options
        self.proxies = TrustedProxies(options.trusted_proxies)
        if not hasattr(self, "places"):
            self.places = Places(options.connections_per_address)
        self.places.each = options.connections_per_address

    def client_of(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The address of the client behind a peer, by the head of its request."""
        said: dict[str, str] = {}
        for name, value in headers:
            if (key := name.lower()) in (b"x-forwarded-for", b"forwarded"):
                text = value.decode("latin-1")
                known = said.get(key.decode())
                said[key.decode()] = f"{known}, {text}" if known else text
        return self.proxies.client_of(peer, said)
