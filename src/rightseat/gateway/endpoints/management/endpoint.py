"""The door of management: an operation by its name in `routes`, and its answer as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from rightseat.errors import CallerError
from rightseat.gateway.request import Request

Result: TypeAlias = object  # whatever msgspec can write as JSON
Operation: TypeAlias = Callable[[Request], Awaitable[Result]]


class NotFoundError(CallerError):
    """There is no account, key or login of that name."""

    status_hint = 404


class ManagementEndpoint:
    """The endpoint.

    Args:
        operations: by the names in `routes`.
    """

    def __init__(self, operations: dict[str, Operation]) -> None:
        self._operations = operations

    async def __call__(self, request: Request) -> None:
        """Answer a request.

        Raises:
            NotFoundError, BadRequestError: it cannot be done.
            LoginError, UpstreamError, TransportError: GitHub does not let us.
        """
        answer = await self._operations[request.route.name](request)
        await request.exchange.respond(request.route.status, msgspec.json.encode(answer))
