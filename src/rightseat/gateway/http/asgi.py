"""ASGI 3 under an Exchange, to serve the gateway with uvicorn or to mount it in another application. Does not know what is served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from io import BytesIO
from typing import Any, TypeAlias

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.gateway.http.exchange import ClientGoneError, Fields, Head
from rightseat.gateway.http.head_errors import REFUSED
from rightseat.gateway.http.held import BodyLimits, HeldBody

LEFT = (
    "rightseat.left"  # in a scope: what our own server calls when the client has left, whether its body was read or not
)

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class StreamBrokenError(Exception):
    """Raised out of the application after an answer has begun and cannot be finished: the server then ends the connection."""


def head_of(scope: Scope) -> Head:
    """The head of a request. Fields that are repeated are joined by commas (RFC 9110, section 5.3)."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    client = scope.get("client")
    address = str(client[0]) if client else ""
    return Head(scope.get("method", "GET"), scope["path"], headers, scope["query_string"].decode("latin-1"), address)


class AsgiExchange(HeldBody):
    """A request of an ASGI server.

    Args:
        head: of the request.
        request_id: see Exchange.
        receive, send: ASGI's.
        limits: of the body.
        clock: time.
    """

    def __init__(
        self,
        head: Head,
        request_id: str,
        receive: Receive,
        send: Send,
        limits: BodyLimits,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(head, request_id, limits, clock)
        self._receive = receive
        self._send = send
        self._unread = _has_body(head.headers)
        self._watcher: asyncio.Task[None] | None = None
        self._aborted = False
        if not self._unread:
            self._watch()

    async def body(self) -> bytes:
        """See Exchange.

        Raises:
            BodyTooLargeError, BodyTooSlowError, EncodingError: it is not taken. NoMemoryError: there is no room for it now.
        """
        if not self._unread:  # there is none, and other code reads what comes
            return b""
        try:
            async with asyncio.timeout(self.limits.seconds or None):
                data = await self._read()
        except TimeoutError:
            raise self.too_slow() from None
        self._unread = False
        self._watch()
        return await self.decoded(data)

    def abort(self) -> None:
        """See Exchange."""
        self._aborted = True

    def close(self) -> None:
        """It is over: give everything back. Raises StreamBrokenError: the connection must not go on."""
        if self._watcher is not None:
            self._watcher.cancel()
        self.give_back()
        self.forget()
        if self._aborted:
            raise StreamBrokenError

    def attach(self, scope: Scope) -> None:
        """What our own server says beyond ASGI: when the client has left, and that its head is not taken."""
        scope[LEFT] = self.leave
        if (fault := scope.get(REFUSED)) is not None:
            self.cut(fault)

    async def _start(self, status: int, headers: Fields) -> None:
        fields = list(headers)
        if self._unread:  # what is left of the body is not read: nothing can follow it on this connection
            fields.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": status, "headers": fields})

    def _write(self, data: bytes, *, last: bool) -> Awaitable[None]:
        return self._send({"type": "http.response.body", "body": data, "more_body": not last})

    async def _read(self) -> bytes:
        length = self.head.headers.get("content-length", "")
        if length.isascii() and length.isdigit():
            self.check_length(int(length[:19]))
        self.holder = self.owner
        size = 0
        with BytesIO() as data:  # which gives its bytes away without a copy, and itself back whatever happens
            while True:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    self.leave()
                    raise ClientGoneError("the client left before it had sent its request")
                piece = message.get("body", b"")
                size += len(piece)
                self.check_size(size)
                self.hold_body(len(piece))
                data.write(piece)
                if not message.get("more_body"):
                    return data.getvalue()

    def _watch(self) -> None:
        self._watcher = asyncio.ensure_future(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.leave()


def _has_body(headers: Mapping[str, str]) -> bool:
    return headers.get("content-length", "0").strip() != "0" or "transfer-encoding" in headers
