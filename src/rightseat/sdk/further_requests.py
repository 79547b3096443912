"""Handlers for methods that the CLI calls beyond what sessions and the client answer. Does not know any method."""

from __future__ import annotations

from collections.abc import Callable

from rightseat.errors import InvalidOptionError
from rightseat.sdk.calling import call
from rightseat.sdk.pump import UnknownMethodError
from rightseat.wire.record import Record


class FurtherRequests:
    """Method -> its handler."""

    def __init__(self) -> None:
        self._handlers: dict[str, Callable[[Record], object]] = {}

    def on(self, method: str, handler: Callable[[Record], object]) -> Callable[[], None]:
        """See `CopilotClient.on_request`."""
        if not callable(handler):
            raise InvalidOptionError(f"on_request: the handler must be a function, not {type(handler).__name__}")
        if method in self._handlers:
            raise InvalidOptionError(f"on_request: {method!r} has a handler; end that one first")
        self._handlers[method] = handler

        def end() -> None:
            if self._handlers.get(method) is handler:
                del self._handlers[method]

        return end

    async def answer(self, method: str, params: Record) -> object:
        """The answer. Raises UnknownMethodError: there is no handler."""
        handler = self._handlers.get(method)
        if handler is None:
            raise UnknownMethodError(method)
        return await call(handler, params)
