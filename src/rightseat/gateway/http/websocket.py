"""WebSockets as the gateway sees them: a Socket carries messages, and requests within it are Exchanges like any other.

The seam is `Socket`, with ASGI under it (`AsgiSocket`); its twin is in `memory_socket`. Does not know what messages mean and who sends them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import RightseatError
from rightseat.gateway.http.asgi import Message, Receive, Scope, Send, head_of
from rightseat.gateway.http.channels import Channel
from rightseat.gateway.http.exchange import EVENT_STREAM, ClientGoneError, Exchange, Fields, Head
from rightseat.gateway.http.held import DECODED, TIMES, NoMemoryError
from rightseat.gateway.http.limits import MemoryBudget
from rightseat.wire.sse import SseDecoder

HELLO_LIMIT = 4096  # bytes of a message from a client that is not authenticated yet
EXTENSION = "rightseat.socket"  # of our own server: says how much a client may send, and ends a connection at once
NORMAL, GOING_AWAY, POLICY, BROKEN, TRY_LATER = (
    1000,
    1001,
    1008,
    1011,
    1013,
)  # RFC 6455, section 7.4.1, and IANA's registry


class Socket(ABC):
    """A WebSocket connection, from its head to its end.

    Args:
        head: of the request that asked for it.

    Attributes:
        head: see above.
        gone: the client has left.
    """

    def __init__(self, head: Head) -> None:
        self.head = head
        self.gone = False

    @abstractmethod
    async def accept(self) -> None:
        """Open it. Before that, a client gets no message through."""

    @abstractmethod
    async def refuse(self, status: int, body: bytes, headers: Fields = ()) -> None:
        """Answer its head with an error instead of opening it."""

    @abstractmethod
    def allow(self, limit: int, owner: str) -> None:
        """Let the client send more than a hello.

        Args:
            limit: bytes of a message.
            owner: for whom they are counted while they are held.
        """

    @abstractmethod
    async def receive(self) -> bytes:
        """The next message. Raises ClientGoneError: there is none any more."""

    @abstractmethod
    async def send(self, data: bytes) -> None:
        """Send a text message; waits while the client reads slowly. Raises ClientGoneError."""

    @abstractmethod
    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Say that it is over. Nothing, if it is already."""

    @abstractmethod
    def abort(self) -> None:
        """End it at once, whatever the client does."""


class AsgiSocket(Socket):
    """A WebSocket of an ASGI server.

    Args:
        scope, receive, send: ASGI's.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(head_of(scope))
        self._receive, self._send = receive, send
        extensions = scope.get("extensions") or {}
        self._control: Any = (extensions.get(EXTENSION) or {}).get("control")
        self._can_refuse = "websocket.http.response" in extensions
        self._is_over = False

    async def accept(self) -> None:
        """See Socket."""
        await self._receive()  # websocket.connect
        await self._say({"type": "websocket.accept"})

    async def refuse(self, status: int, body: bytes, headers: Fields = ()) -> None:
        """See Socket."""
        await self._receive()
        if self._can_refuse:
            fields = [(b"content-type", b"application/json"), *headers]
            await self._say({"type": "websocket.http.response.start", "status": status, "headers": fields})
            await self._say({"type": "websocket.http.response.body", "body": body})
        else:
            await self._say({"type": "websocket.close"})
        self._is_over = True

    def allow(self, limit: int, owner: str) -> None:
        """See Socket. Where the server is not ours, its own limit holds."""
        if self._control is not None:
            self._control.allow(limit, owner)

    async def receive(self) -> bytes:
        """See Socket."""
        if not self._is_over:
            message = await self._receive()
            if message["type"] == "websocket.receive":
                data = message.get("bytes")
                return data if data is not None else str(message.get("text") or "").encode()
        self.gone = self._is_over = True
        raise ClientGoneError("the client has closed the connection")

    async def send(self, data: bytes) -> None:
        """See Socket."""
        await self._say({"type": "websocket.send", "text": data.decode("utf-8", "replace")})

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """See Socket."""
        if not self._is_over:
            try:
                await self._say({"type": "websocket.close", "code": code, "reason": reason})
            except ClientGoneError:
                return
            self._is_over = True

    def abort(self) -> None:
        """See Socket."""
        self.gone = self._is_over = True
        if self._control is not None:
            self._control.abort()

    async def _say(self, message: Message) -> None:
        if self._is_over:
            raise ClientGoneError("the connection is closed")
        try:
            await self._send(message)
        except (OSError, RuntimeError) as e:  # it went in this moment, or was closed from here
            self.gone = self._is_over = True
            raise ClientGoneError("the client has closed the connection") from e


class SocketExchange(Exchange):
    """A request within a socket. Its body is here already, and counts as long as it is held.

    Args:
        head, request_id, clock: see Exchange.
        data: the body, or what makes it when it is wanted.
        owner: see Exchange.
        memory: where the body counts.
    """

    def __init__(
        self,
        head: Head,
        request_id: str,
        data: bytes | Callable[[], bytes],
        *,
        owner: str,
        memory: MemoryBudget,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(head, request_id, clock)
        self.owner = owner
        self.aborted = False
        self._memory = memory
        self._data: bytes | Callable[[], bytes] = data
        self._held: Counter[str] = Counter()
        self._is_refused = isinstance(data, bytes) and not self._hold(TIMES * len(data))
        self._sse: SseDecoder | None = None
        self._pieces: list[bytes] = []

    async def body(self) -> bytes:
        """See Exchange. Raises NoMemoryError: there is no room for it now."""
        if self.gone:
            raise ClientGoneError("the client left before its request was read")
        data, self._data = self._data, b""
        if not isinstance(data, bytes):
            data = data()
            if not self._hold(TIMES * len(data)):
                raise _no_room()
        if self._is_refused:
            raise _no_room()
        return data

    def hold(self, size: int) -> None:
        """See Exchange."""
        if not self._hold(size, DECODED):
            raise _no_room()

    def abort(self) -> None:
        """See Exchange."""
        self.aborted = True

    def close(self) -> None:
        """It is over: give everything back."""
        for owner, size in self._held.items():
            self._memory.give(owner, size)
        self._held.clear()
        self._data = b""
        self.forget()

    def _hold(self, size: int, what: str = "") -> bool:
        if not self._memory.take(self.owner + what, size):
            self._data = b""
            return False
        self._held[self.owner + what] += size
        return True

    async def _start(self, status: int, headers: Fields) -> None:
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        self._sse = SseDecoder() if kind.startswith(EVENT_STREAM) else None
        await self._begin(status, headers, streams=self._sse is not None)

    async def _write(self, data: bytes, *, last: bool) -> None:
        if self.gone:
            return
        if self._sse is None:
            self._pieces.append(data)
            if last:
                await self._whole(b"".join(self._pieces))
            return
        events = self._sse.feed(data)
        for event in (*events, *self._sse.feed_eof()) if last else events:
            await self._event(bytes(event.event), bytes(event.data))

    @abstractmethod
    async def _begin(self, status: int, headers: Fields, *, streams: bool) -> None:
        """The head of the answer."""

    @abstractmethod
    async def _whole(self, body: bytes) -> None:
        """A whole answer."""

    @abstractmethod
    async def _event(self, name: bytes, data: bytes) -> None:
        """An event of a streamed one."""


class StreamExchange(SocketExchange):
    """A request within `/v1/ws`: its answer becomes frames of a channel.

    Args:
        channel: where the frames go.
        Others: see SocketExchange.
    """

    def __init__(self, channel: Channel, head: Head, request_id: str, data: bytes, **options: Any) -> None:
        super().__init__(head, request_id, data, **options)
        self._channel = channel

    def leave(self) -> None:
        """See Exchange."""
        super().leave()
        self._channel.free()

    def cut(self, error: RightseatError) -> None:
        """See Exchange."""
        super().cut(error)
        self._channel.free()

    async def fail(self, event: bytes) -> None:
        """See Exchange. Waits for nothing: the client may be the reason."""
        self._channel.free()
        await super().fail(event)

    async def _begin(self, status: int, headers: Fields, *, streams: bool) -> None:  # noqa: ARG002
        if not self.gone:
            await self._channel.put("head", {"status": status, "stream": streams, "request_id": self.id})

    async def _whole(self, body: bytes) -> None:
        await self._channel.put("answer", {"body": msgspec.Raw(body or b"null")})

    async def _event(self, name: bytes, data: bytes) -> None:
        fields = {"event": name.decode("utf-8", "replace"), "data": data.decode("utf-8", "replace")}
        await self._channel.put("event", fields)


class RefusalExchange(SocketExchange):
    """A request of a socket, or for one, that is refused before it begins: its only answer is an error, which its caller sends.

    Args:
        say: sends the error: its status, body and header fields.
        Others: see SocketExchange.
    """

    def __init__(
        self, say: Callable[[int, bytes, Fields], Awaitable[None]], head: Head, request_id: str, **options: Any
    ) -> None:
        super().__init__(head, request_id, b"", **options)
        self._say = say
        self._fields: Fields = ()

    async def _begin(self, status: int, headers: Fields, *, streams: bool) -> None:  # noqa: ARG002
        self._fields = [field for field in headers if not field[0].startswith(b"content-")]

    async def _whole(self, body: bytes) -> None:
        await self._say(self.status or 403, body, self._fields)

    async def _event(self, name: bytes, data: bytes) -> None:
        """Nothing: it is never answered so."""


class FrameExchange(SocketExchange):
    """A request within the responses socket: each event of its answer becomes a message, and so does an error.

    Args:
        socket: where they go.
        hear: called with each event before it is sent.
        Others: see SocketExchange.
    """

    def __init__(
        self,
        socket: Socket,
        head: Head,
        request_id: str,
        data: bytes | Callable[[], bytes],
        hear: Callable[[bytes], None],
        **options: Any,
    ) -> None:
        super().__init__(head, request_id, data, **options)
        self._socket = socket
        self._hear = hear
        self._headers: dict[str, str] = {}

    async def _begin(self, status: int, headers: Fields, *, streams: bool) -> None:  # noqa: ARG002
        named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        self._headers = {name: value for name, value in named.items() if not name.startswith("content-")}

    async def _whole(self, body: bytes) -> None:
        await self._send(body if self.status == 200 else error_frame(self.status or 500, body, self._headers))

    async def _event(self, name: bytes, data: bytes) -> None:  # noqa: ARG002 - the data says it, too
        if data.strip() != b"[DONE]":
            self._hear(data)
            await self._send(data)

    async def _send(self, data: bytes) -> None:
        try:
            await self._socket.send(data)
        except ClientGoneError:
            self.leave()
            raise


def _no_room() -> NoMemoryError:
    return NoMemoryError("too many bytes of requests are held; try again in a moment", code="body_memory")


def error_frame(status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    """An error's body as a message of OpenAI's responses, in the flat form and the nested one: clients look for either."""
    try:
        error = msgspec.json.decode(body)["error"]
    except (msgspec.DecodeError, KeyError, TypeError):
        error = {"message": body[:2048].decode("utf-8", "replace"), "type": "api_error"}
    if isinstance(error, dict) and error.get("code") is None:  # the published schema of frames demands a text
        error["code"] = error.get("type")
    return msgspec.json.encode({**error, "type": "error", "status": status, "error": error, "headers": headers})
