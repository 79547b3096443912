"""Which HTTP client is used, by its name. The package of the other one is not imported."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Literal, TypeAlias

from rightseat.transport.http.base import HttpSender

HttpClient: TypeAlias = Literal["direct", "aiohttp"]


def sender_of(client: HttpClient) -> AbstractAsyncContextManager[HttpSender]:
    """The client of that name, with a pool of connections of its own, as a context manager."""
    if client == "direct":
        from rightseat.transport.http.direct import DirectSender

        return DirectSender()
    from rightseat.transport.http.aiohttp import AiohttpSender

    return AiohttpSender()
