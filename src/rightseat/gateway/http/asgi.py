"""The little of HTTP that the faces need, on plain ASGI: a request, whole answers, and streams with a client that may leave."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol, TypeAlias

from msgspec import Struct, field

from rightseat.errors import CallerError, RightseatError

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = b"application/json"
EVENT_STREAM = b"text/event-stream"


class BodyTooLargeError(CallerError):
    """The request's body is larger than the settings allow."""

    status_hint = 413


class BodyTooSlowError(CallerError):
    """The request's body did not come in time."""

    status_hint = 408


class EncodingError(CallerError):
    """The request's body is compressed in a way that is not taken, or not at all as it says."""

    status_hint = 415


class StreamBrokenError(Exception):
    """Raised after an answer has begun and cannot be finished.

    The server then aborts the connection, so that no client takes the part for the whole.
    """


def address_of(scope: Scope) -> str:
    """Where a request comes from; "" for a Unix socket. No header is believed."""
    client = scope.get("client")
    return str(client[0]) if client else ""


class Seen(Protocol):
    """Counts the pieces of an answer.

    Attributes:
        pieces: how many there were.
    """

    pieces: int

    def first(self) -> None:
        """The first one is there."""


class Request(Struct, frozen=True):
    """A request with its body.

    Attributes:
        caller: who asks, once that is known; see `access.Caller`.
        trace: its trace context.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    query: str = ""
    caller: Any = None
    trace: Mapping[str, str] = field(default_factory=dict)


async def read_request(scope: Scope, receive: Receive, limit: int, seconds: float = 0) -> Request:
    """The whole request.

    Raises:
        BodyTooLargeError: it has more than `limit` bytes.
        EncodingError: it is compressed in a way that is not taken.
        BodyTooSlowError: it has not come within `seconds`; 0: it may take for ever.
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise BodyTooLargeError(f"the request has {length} bytes; at most {limit} are taken")
    pieces, size = [], 0
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        message = await _before(deadline, receive) if seconds else await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise BodyTooLargeError(f"the request has more than {limit} bytes, which is the limit")
        if not message.get("more_body"):
            break
    body = b"".join(pieces)
    if encoding := headers.get("content-encoding"):
        body = _expanded(body, encoding, limit)
    return Request(scope["method"], scope["path"], headers, body, scope["query_string"].decode("latin-1"))


def _expanded(body: bytes, encoding: str, limit: int) -> bytes:
    """A compressed body as it was (RFC 9110, section 8.4), never beyond the limit: a small one may hold a huge one."""
    kind = encoding.strip().lower()
    if kind == "identity":
        return body
    if kind not in ("gzip", "x-gzip", "deflate"):
        raise EncodingError(f"content-encoding: {encoding[:40]!r} is not taken; gzip and deflate are")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by their heads
    try:
        found = inflate.decompress(body, limit + 1)
    except zlib.error as e:
        raise EncodingError(f"content-encoding: the body is not {kind}: {e}") from None
    if len(found) > limit:
        raise BodyTooLargeError(f"the request has more than {limit} bytes when expanded, which is the limit")
    if not inflate.eof:
        raise EncodingError(f"content-encoding: the {kind} body is cut off")
    return found


async def _before(deadline: float, receive: Receive) -> MutableMapping[str, Any]:
    try:
        async with asyncio.timeout_at(deadline):
            return await receive()
    except TimeoutError:
        raise BodyTooSlowError("the body of the request did not come in time") from None


async def respond(
    send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None, kind: bytes = JSON
) -> None:
    """A whole answer."""
    base = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*base, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})


async def stream(
    send: Send,
    receive: Receive,
    pieces: AsyncIterator[bytes],
    headers: list[tuple[bytes, bytes]],
    ping: bytes,
    ping_seconds: float,
    seen: Seen | None = None,
) -> None:
    """A streamed answer: pieces as they come, `ping` while they do not, and an end at once when the client leaves.

    `send` waits while the client reads slowly, and with it the source: nothing piles up. The watching is done once a stream,
    not once a piece.

    Args:
        send: ASGI's.
        receive: ASGI's.
        pieces: the body.
        headers: of the answer.
        ping: what is said to a client that waits.
        ping_seconds: after so much silence; 0: never.
        seen: counts.

    Raises:
        StreamBrokenError: the source failed in the middle.
    """
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", EVENT_STREAM), *headers]})
    pinger = _Pinger(send, ping, ping_seconds)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        async with asyncio.timeout(None) as patience:
            leaving.add_done_callback(lambda _: _end(patience))
            async for piece in pieces:
                pinger.touch()
                if seen is not None:
                    if not seen.pieces:
                        seen.first()
                    seen.pieces += 1
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
    except RightseatError as e:  # some of them are TimeoutErrors, too
        raise StreamBrokenError(str(e)) from e
    except TimeoutError:
        if not patience.expired():
            raise
    finally:
        leaving.cancel()
        pinger.stop()


def _end(patience: asyncio.Timeout) -> None:
    with contextlib.suppress(RuntimeError):  # the answer is complete already
        patience.reschedule(asyncio.get_running_loop().time())


class _Pinger:
    """Says something harmless whenever nothing was said for a while."""

    def __init__(self, send: Send, ping: bytes, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._send, self._ping, self._seconds = send, ping, seconds
        self._last = self._loop.time()
        self._task: asyncio.Future[None] | None = None
        self._timer = self._loop.call_later(seconds, self._look) if seconds else None

    def touch(self) -> None:
        self._last = self._loop.time()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        if self._loop.time() - self._last >= self._seconds:
            self.touch()
            message = {"type": "http.response.body", "body": self._ping, "more_body": True}
            self._task = asyncio.ensure_future(self._send(message))
        self._timer = self._loop.call_at(self._last + self._seconds, self._look)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
