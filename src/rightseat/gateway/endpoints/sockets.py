"""What the endpoints of sockets share: who may open one, how many may be open, what answers their requests, and how errors are sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from rightseat.errors import DeclinedError, RightseatError
from rightseat.gateway.http.addresses import neighbourhood
from rightseat.gateway.http.exchange import Exchange, Fields, Head
from rightseat.gateway.http.limits import MemoryBudget, Places
from rightseat.gateway.http.live import Live
from rightseat.gateway.http.memory_exchange import MemoryExchange
from rightseat.gateway.http.websocket import RefusalExchange, Socket
from rightseat.wire.body import BadRequestError

Serve: TypeAlias = Callable[[Exchange, Any], Awaitable[None]]
Say: TypeAlias = Callable[[int, bytes, Fields], Awaitable[None]]  # sends an error: its status, body and header fields


class TooManySocketsError(DeclinedError):
    """A key has as many sockets as it may."""

    status_hint = 429
    retry_after = 1.0

    def __init__(self, most: int) -> None:
        super().__init__(f"a key may have {most} WebSockets at once, and has them", code="sockets_per_key")


class SocketLimits(Struct, frozen=True):
    """What a socket may be.

    Attributes:
        size: bytes of a message.
        each: sockets of one key; callers without a key are counted by address.
    """

    size: int
    each: int


class Asking(Protocol):
    """Who asks, and whether they still may."""

    async def authenticate(self, headers: Mapping[str, str], address: str, scope: str) -> Any:
        """The caller, by the head of a request. Raises ClientKeyError, LockedOutError."""

    def still(self, caller: Any) -> Any:
        """The same caller now. Raises ClientKeyError."""


class Sockets:
    """What they share.

    Args:
        serve: answers an exchange of a caller who is known, completely.
        asking: who asks.
        may: whether a caller may ask for something of a scope. Raises ScopeError.
        live: where sockets are registered.
        memory: for what is held until clients take it; `each` of it is for one key.
        body_memory: for the bodies of requests.
        limits: those in force now.
        count: counts something that a caller has asked for. Raises KeyLimitError.
        opened: is told of every socket that was accepted, and the id of its key where that is known.
    """

    def __init__(
        self,
        serve: Serve,
        asking: Asking,
        may: Callable[[Any, str], None],
        live: Live[Any],
        *,
        memory: MemoryBudget,
        body_memory: MemoryBudget,
        limits: Callable[[], SocketLimits],
        count: Callable[..., Awaitable[None]],
        opened: Callable[[Exchange, str], None],
    ) -> None:
        self.serve, self.live = serve, live
        self.memory, self.body_memory = memory, body_memory
        self._limits, self._places = limits, Places(0)
        self._asking, self._may = asking, may
        self._count, self._opened = count, opened

    @property
    def body_limit(self) -> int:
        """Bytes of a message."""
        return self._limits().size

    async def authenticate(self, headers: Mapping[str, str], address: str) -> Any:
        """Who opens a socket. Raises ClientKeyError, LockedOutError, ScopeError."""
        caller = await self._asking.authenticate(headers, address, "chat")
        self._may(caller, "chat")
        return caller

    def check(self, caller: Any, scope: str) -> None:
        """Raises ClientKeyError, ScopeError: the caller has ended, or may not ask for this."""
        self._may(self._asking.still(caller), scope)

    async def turn_away(
        self, head: Head, request_id: str, say: Say, error: RightseatError | None = None, caller: Any = None
    ) -> None:
        """Refuse a request of a socket, or for one: it is seen like any other, and answered by an error.

        Args:
            head: of the request.
            request_id: see Exchange.
            say: sends the error to the client.
            error: what is wrong; None: what its caller may not do.
            caller: who asks, where that is known.
        """
        exchange = RefusalExchange(say, head, request_id, owner="", memory=self.body_memory)
        if error is not None:
            exchange.cut(error)
        try:
            await self.serve(exchange, caller)
        finally:
            exchange.close()

    async def accept(self, socket: Socket, request_id: str, key: str = "") -> None:
        """Open a socket, which is noted. Raises ClientGoneError."""
        await socket.accept()
        self._opened(MemoryExchange(socket.head, request_id), key)

    def owner_of(self, caller: Any, address: str) -> str:
        """For whom things are counted."""
        return str(caller.id) or f"@{neighbourhood(address)}"

    async def counted(self, caller: object, error: RightseatError) -> RightseatError:
        """Count a frame that makes no sense as a request of its caller; what the client is told of it."""
        try:
            await self._count(caller)
        except RightseatError as e:
            return e
        return error

    def take_place(self, owner: str) -> None:
        """One more socket. Raises TooManySocketsError."""
        self._places.each = self._limits().each
        if not self._places.take(owner):
            raise TooManySocketsError(self._places.each)

    def give_place(self, owner: str) -> None:
        """One less."""
        self._places.give(owner)

    def saying(self, socket: Socket, stream_id: str | None = None) -> Say:
        """Sends errors as frames of `/v1/ws`."""

        async def say(status: int, body: bytes, _: Fields) -> None:
            await socket.send(self.error_frame(status, body, stream_id))

        return say

    def error_frame(self, status: int, body: bytes, stream_id: str | None) -> bytes:
        """An error's body as a frame of `/v1/ws`."""
        fields = msgspec.json.decode(body)
        return msgspec.json.encode({"type": "error", "id": stream_id, "status": status, **_named(fields)})


def _named(fields: Any) -> dict[str, Any]:
    """The error alone: Anthropic's form has a type of its own beside it."""
    return {"error": fields.get("error") if isinstance(fields, dict) else None}


def trace_fields(headers: Mapping[str, str]) -> dict[str, str]:
    """The trace context of a connection, for each of its requests."""
    return {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}


def small(raw: msgspec.Raw, limit: int = 256) -> Any:
    """A part of a frame. None for one that is longer than anything that means something. Raises BadRequestError."""
    data = memoryview(raw)
    if len(data) > limit:
        return None
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise BadRequestError(f"the frame is not JSON: {e}") from e
