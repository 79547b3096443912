"""ASGI 3 under an Exchange, to serve the gateway with uvicorn or to mount it in another application. Refuses to know what is served."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from io import BytesIO
from typing import Any, TypeAlias

from msgspec import Struct

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import CallerError, DeclinedError
from rightseat.gateway.http.exchange import ClientGoneError, Exchange, Fields, Head
from rightseat.gateway.http.limits import MemoryBudget

LEFT = (
    "rightseat.left"  # in a scope: what our own server calls when the client has left, whether its body was read or not
)

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

DECODED = "/decoded"  # behind the name of whom something counts for: what bodies become has a share of its own
TIMES = 2  # that a body counts: for itself, and for what it becomes when it is decoded
_INPUT_STEP = 64 * 1024  # compressed bytes that are expanded at a time,
_OUTPUT_STEP = 1024 * 1024  # and bytes that may come of it


class BodyTooLargeError(CallerError):
    """The request's body is larger than the settings allow."""

    status_hint = 413


class BodyTooSlowError(CallerError):
    """The request's body did not come in time."""

    status_hint = 408


class EncodingError(CallerError):
    """The request's body is compressed in a way that is not taken, or not at all as it says."""

    status_hint = 415


class NoMemoryError(DeclinedError):
    """The bodies of all requests together are as large as the settings allow."""

    status_hint = 503
    retry_after = 1.0


class StreamBrokenError(Exception):
    """Raised out of the application after an answer has begun and cannot be finished: the server then ends the connection."""


class BodyLimits(Struct, frozen=True):
    """What a body may be.

    Attributes:
        memory: shared by all bodies of the process.
        size: bytes of one body, also when it is expanded.
        seconds: in which it must come; 0: any time.
    """

    memory: MemoryBudget
    size: int
    seconds: float = 0.0


def head_of(scope: Scope) -> Head:
    """The head of a request. Fields that are repeated are joined by commas (RFC 9110, section 5.3)."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    client = scope.get("client")
    address = str(client[0]) if client else ""
    return Head(scope.get("method", "GET"), scope["path"], headers, scope["query_string"].decode("latin-1"), address)


class AsgiExchange(Exchange):
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
        super().__init__(head, request_id, clock)
        self._receive = receive
        self._send = send
        self._limits = limits
        self._held: Counter[str] = Counter()  # by whom it counts for
        self._holder = ""
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
        if not self._unread:  # there is none, and somebody else reads what comes
            return b""
        limits = self._limits
        try:
            async with asyncio.timeout(limits.seconds or None):
                data = await self._read()
        except TimeoutError:
            raise BodyTooSlowError(
                f"the body of the request did not come in time (within {limits.seconds:g} s)", code="body_timeout"
            ) from None
        self._unread = False
        self._watch()
        encoding = self.head.headers.get("content-encoding", "").strip().lower()
        if encoding in ("", "identity"):
            return data
        compressed = self._held[self._holder]
        data = await self._expanded(data, encoding)
        self._held[self._holder] -= compressed
        limits.memory.give(self._holder, compressed)
        return data

    def abort(self) -> None:
        """See Exchange."""
        self._aborted = True

    def close(self) -> None:
        """It is over: give everything back. Raises StreamBrokenError: the connection must not go on."""
        if self._watcher is not None:
            self._watcher.cancel()
        for holder, size in self._held.items():
            self._limits.memory.give(holder, size)
        self._held.clear()
        self.forget()
        if self._aborted:
            raise StreamBrokenError

    async def _start(self, status: int, headers: Fields) -> None:
        fields = list(headers)
        if self._unread:  # what is left of the body is not read: nothing can follow it on this connection
            fields.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": status, "headers": fields})

    def _write(self, data: bytes, *, last: bool) -> Awaitable[None]:
        return self._send({"type": "http.response.body", "body": data, "more_body": not last})

    async def _read(self) -> bytes:
        limit = self._limits.size
        length = self.head.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:19]) > limit:
            raise _too_large(f"the request has {length[:19]} bytes; at most {limit} are taken")
        self._holder = self.owner
        size = 0
        with BytesIO() as data:  # which gives its bytes away without a copy, and itself back whatever happens
            while True:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    self.leave()
                    raise ClientGoneError("the client left before it had sent its request")
                piece = message.get("body", b"")
                size += len(piece)
                if size > limit:
                    raise _too_large(f"the request has more than {limit} bytes, which is the limit")
                self._hold(self._holder, TIMES * len(piece))
                data.write(piece)
                if not message.get("more_body"):
                    return data.getvalue()

    def hold(self, size: int) -> None:
        """See Exchange."""
        self._hold(f"{self._holder}{DECODED}", size)

    def _hold(self, holder: str, size: int) -> None:
        if not self._limits.memory.take(holder, size):
            raise NoMemoryError("too many bytes of requests are being read; try again in a moment", code="body_memory")
        self._held[holder] += size

    async def _expanded(self, data: bytes, encoding: str) -> bytes:
        """A compressed body as it was (RFC 9110, section 8.4), never beyond the limits: a small one may hold a huge one."""
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise EncodingError(
                f"content-encoding: {encoding[:40]!r} is not taken; gzip and deflate are", field="content-encoding"
            )
        size = 0
        with BytesIO() as expanded:
            try:
                async with contextlib.aclosing(_inflated(data)) as pieces:
                    async for piece in pieces:
                        size += len(piece)
                        if size > self._limits.size:
                            message = f"the request has more than {self._limits.size} bytes when expanded, the limit"
                            raise _too_large(message)
                        self._hold(self._holder, TIMES * len(piece))
                        expanded.write(piece)
            except zlib.error as e:
                message = f"content-encoding: the body is not {encoding}: {e}"
                raise EncodingError(message, field="content-encoding") from None
            return expanded.getvalue()

    def _watch(self) -> None:
        self._watcher = asyncio.ensure_future(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.leave()


async def _inflated(data: bytes) -> AsyncGenerator[bytes, None]:
    """A compressed body expanded, a step at a time; all but the first in a thread. Raises zlib.error."""
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by their heads
    for at in range(0, len(data), _INPUT_STEP):
        rest = data[at : at + _INPUT_STEP]
        while rest:
            if at == 0 and not inflate.unconsumed_tail:
                piece = inflate.decompress(rest, _OUTPUT_STEP)
            else:
                piece = await asyncio.to_thread(inflate.decompress, rest, _OUTPUT_STEP)
            rest = inflate.unconsumed_tail
            yield piece
        if inflate.eof:
            return
    if tail := inflate.flush():
        yield tail
    if not inflate.eof:
        raise zlib.error("it is cut off")


def _has_body(headers: Mapping[str, str]) -> bool:
    return headers.get("content-length", "0").strip() != "0" or "transfer-encoding" in headers


def _too_large(message: str) -> BodyTooLargeError:
    return BodyTooLargeError(message, code="request_too_large")
