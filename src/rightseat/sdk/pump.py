"""The only loop that joins a JSON-RPC `Peer` to a `ByteStream`, and the only place where answers meet those who wait.

It does not know any method. When the stream ends, everybody who waits gets one and the same typed error, at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Raw

from rightseat.errors import (
    AuthenticationError,
    ConnectionLostError,
    EncodeError,
    MethodNotFoundError,
    RightseatError,
    RpcError,
    RpcTimeoutError,
    SessionNotFoundError,
)
from rightseat.log import logger
from rightseat.masking import mask
from rightseat.transport.base import ByteStream
from rightseat.wire import jsonrpc
from rightseat.wire.jsonrpc import Answered, Called, Cancelled, Notified, Peer, Refused

ANSWER_SECONDS = 0.3  # what an answer that is cancelled may take to end

OnNotification = Callable[[str, Any], None]
OnRequest = Callable[[str, Raw], Awaitable[object]]


class UnknownMethodError(Exception):
    """Raised by a request handler: the peer's method is not known here."""


class Pump:
    """A running JSON-RPC conversation.

    Args:
        stream: where the bytes come from and go to. The pump closes it.
        on_notification: called for each notification, in order, on the loop. It must not raise and must not block.
        on_request: gives the result of a request of the peer. Raise UnknownMethodError for -32601, an RpcError for a code of its own.
        on_lost: called once when the conversation has ended without `close`.
        params_types: see `Peer`.
    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        on_notification: OnNotification,
        on_request: OnRequest,
        on_lost: Callable[[RightseatError], None] | None = None,
        params_types: Mapping[str, type] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._stream = stream
        self._peer = Peer(params_types=params_types)
        self._on_notification = on_notification
        self._on_request = on_request
        self._on_lost = on_lost
        self._waiting: dict[jsonrpc.Id, asyncio.Future[Raw]] = {}
        self._limits: dict[jsonrpc.Id, tuple[float, float]] = {}  # call id -> when it is too late, and its time-out
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._answering: dict[jsonrpc.Id, asyncio.Task[None]] = {}
        self._lost: RightseatError | None = None
        self._closed = False
        self._task = self._loop.create_task(self._run(), name="rightseat-pump")

    @property
    def lost(self) -> RightseatError | None:
        """Why the connection has ended, or None while it is open."""
        return self._lost

    async def call(self, method: str, params: object, timeout: float | None = None) -> Raw:  # noqa: ASYNC109
        """Call a method of the peer.

        Returns:
            The result as raw JSON.

        Raises:
            EncodeError: `params` cannot be written as JSON.
            RpcError: the peer answered with an error.
            RpcTimeoutError: no answer within `timeout` seconds (None: wait forever).
            ConnectionLostError, ProtocolError: the conversation ended first.
        """
        if self._lost is not None:
            raise self._lost
        call_id, data = self._peer.call(method, params)
        future: asyncio.Future[Raw] = self._loop.create_future()
        self._waiting[call_id] = future
        if timeout:
            self._limit(call_id, timeout)
        try:
            self._stream.write(data)
            if self._stream.congested:
                await self._drained_or(future)
            return await future
        finally:
            self._limits.pop(call_id, None)
            if self._waiting.pop(call_id, None) is not None and self._lost is None:  # cancelled, or expired
                self._stream.write(self._peer.cancel(call_id))

    async def _drained_or(self, future: asyncio.Future[Raw]) -> None:
        """Wait until the stream takes more, but no longer than the call has time: a peer that hangs does not read."""
        draining = self._loop.create_task(self._stream.drain())
        try:
            await asyncio.wait((draining, future), return_when=asyncio.FIRST_COMPLETED)
        finally:
            draining.cancel()

    def notify(self, method: str, params: object) -> None:
        """Tell the peer something. Raises EncodeError as `call` does."""
        self._stream.write(self._peer.notify(method, params))

    def expect_end(self) -> None:
        """The stream is about to be ended from this side: `on_lost` is not called for it."""
        self._closed = True

    async def close(self) -> None:
        """End the conversation and the stream. Pending calls raise ConnectionLostError."""
        self._closed = True
        answering = list(self._answering.values())
        for task in answering:
            task.cancel()
        await self._stream.close()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(self._task)
        if others := [task for task in answering if task is not asyncio.current_task()]:
            await asyncio.wait(others, timeout=ANSWER_SECONDS)

    def _limit(self, call_id: jsonrpc.Id, timeout: float) -> None:
        """Remember when a call is too late. One timer serves all: calls come by the thousand, time-outs seldom."""
        deadline = self._loop.time() + timeout
        self._limits[call_id] = (deadline, timeout)
        if deadline < self._timer_at:
            self._set_timer(deadline)

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._expire)

    def _expire(self) -> None:
        now, self._timer, self._timer_at = self._loop.time(), None, math.inf
        for call_id, (deadline, timeout) in list(self._limits.items()):
            future = self._waiting.get(call_id)
            if deadline <= now and future is not None and not future.done():
                method = self._peer.method_of(call_id)
                future.set_exception(RpcTimeoutError(f"{method}: no answer within {timeout:g} s"))
        later = [deadline for deadline, _ in self._limits.values() if deadline > now]
        if later:
            self._set_timer(min(later))

    async def _run(self) -> None:
        error: RightseatError | None = None
        try:
            while error is None and (data := await self._stream.read()):
                for message in self._peer.feed(data):
                    self._take(message)
                error = self._peer.failure
                await asyncio.sleep(0)  # a stream that is always full must not starve other tasks
            self._peer.feed_eof()
        except Exception as e:  # a fault of ours must not leave anybody waiting
            logger.exception("the JSON-RPC pump failed")
            error = RightseatError(f"internal error in the JSON-RPC pump: {e!r}")
        await self._end(error)

    async def _end(self, error: RightseatError | None) -> None:
        end = await self._stream.end()
        if self._timer is not None:
            self._timer.cancel()
        self._lost = error or ConnectionLostError(end.reason, exit_status=end.exit_status, stderr_tail=end.stderr_tail)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(self._lost)
        for task in list(self._answering.values()):
            task.cancel()
        if not self._closed and self._on_lost is not None:
            self._on_lost(self._lost)

    def _take(self, message: jsonrpc.Incoming) -> None:
        match message:
            case Notified():
                self._on_notification(message.method, message.params)
            case Answered():
                future = self._waiting.get(message.id)
                if future is not None and not future.done():
                    del self._waiting[message.id]
                    future.set_result(message.result)
            case Refused():
                self._refused(message)
            case Called():
                task = self._loop.create_task(self._answer(message))
                self._answering[message.id] = task
                task.add_done_callback(lambda _: self._answering.pop(message.id, None))
            case Cancelled():
                if (asked := self._answering.get(message.id)) is not None:
                    asked.cancel()

    def _refused(self, message: Refused) -> None:
        future = self._waiting.get(message.id)
        if future is not None and not future.done():
            del self._waiting[message.id]
            future.set_exception(_error_of(message))

    async def _answer(self, asked: Called) -> None:
        try:
            data = self._peer.answer(asked.id, await self._on_request(asked.method, asked.params))
        except asyncio.CancelledError:
            self._stream.write(self._peer.refuse(asked.id, jsonrpc.REQUEST_CANCELLED, "cancelled"))
            raise
        except UnknownMethodError:
            data = self._peer.refuse(asked.id, jsonrpc.METHOD_NOT_FOUND, f"Unhandled method {asked.method}")
        except RpcError as e:
            data = self._peer.refuse(
                asked.id, e.code if isinstance(e.code, int) else jsonrpc.INTERNAL_ERROR, mask(e.message), e.data
            )
        except Exception as e:
            if not isinstance(e, EncodeError):
                logger.warning("answering %s failed: %r", asked.method, e)
            data = self._peer.refuse(asked.id, jsonrpc.INTERNAL_ERROR, mask(str(e) or type(e).__name__))
        self._stream.write(data)
        if self._stream.congested:
            await self._stream.drain()


def _error_of(refused: Refused) -> RpcError:
    """The class for an error answer. The CLI uses -32603 for nearly everything, so its text has to tell."""
    kind: type[RpcError] = RpcError
    text = refused.message.lower()
    if refused.code == jsonrpc.METHOD_NOT_FOUND:
        kind = MethodNotFoundError
    elif refused.code in _AUTHENTICATION_CODES or "not authenticated" in text:
        kind = AuthenticationError
    elif "session not found" in text:
        kind = SessionNotFoundError
    return kind(refused.method, refused.code, mask(refused.message), refused.data)


_AUTHENTICATION_CODES = frozenset({-32001, -32002})  # AUTHENTICATION_REQUIRED, AUTHENTICATION_FAILED (seen over TCP)
