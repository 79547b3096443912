"""A request that was let in: what an endpoint needs to answer it, decided once and carried as a value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

from rightseat.gateway.access.caller import Caller
from rightseat.gateway.http.exchange import Exchange
from rightseat.gateway.observe.request_log import RequestRecord
from rightseat.gateway.routes import Route


class Request(Struct, frozen=True):
    """A request whose caller is known. Its body is not read yet.

    Attributes:
        exchange: the request's head, its body on demand, and where the answer goes.
        route: what it asks for.
        value: the value of the parameter in its path.
        caller: who asks.
        record: what is noted of it.
    """

    exchange: Exchange
    route: Route
    value: str
    caller: Caller
    record: RequestRecord

    @property
    def id(self) -> str:
        """The request's id."""
        return self.exchange.id

    @property
    def headers(self) -> Mapping[str, str]:
        """The fields of its head: names in lower case."""
        return self.exchange.head.headers


Endpoint: TypeAlias = Callable[[Request], Awaitable[None]]
