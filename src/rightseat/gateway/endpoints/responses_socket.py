"""`/v1/responses` over a WebSocket, as Codex and the Copilot CLI use it: one connection is one conversation.

A client sends `response.create` frames and gets each event of the answer as a frame. The connection remembers its last answer, so that
`previous_response_id` and the new items are enough for the next request; upstream gets the whole conversation each time and keeps nothing.
A frame with `generate: false` only prepares: it is answered at once and remembered. One request is under way at a time; each is a request like
any other, which is counted, checked and logged. What is remembered is bounded, and forgotten when it grows beyond that, or when a request that
goes on from it fails: then it is not known any more what the client holds for said (Open Responses, WebSocket transport).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw, Struct

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import CallerError, DeclinedError, RightseatError, UpstreamError
from rightseat.gateway.endpoints.create_frames import Given, check_calls, given_in, is_compacted, items_of, members_of
from rightseat.gateway.endpoints.sockets import Sockets, small
from rightseat.gateway.http.client_time import ClientTime
from rightseat.gateway.http.exchange import ClientGoneError, Fields, Head
from rightseat.gateway.http.headers import header_value
from rightseat.gateway.http.held import NoMemoryError
from rightseat.gateway.http.live import ShuttingDownError
from rightseat.gateway.http.websocket import BROKEN, GOING_AWAY, POLICY, FrameExchange, Socket, error_frame
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.log import logger
from rightseat.wire.body import BadRequestError
from rightseat.wire.openai_responses.read import is_ending

_WAITING = 4  # frames that may wait while an answer is under way
_REMEMBERED = 16 * 1024 * 1024  # bytes of a conversation
_FLUSH_SECONDS = 0.5  # for a client to take an error before its socket is closed
_NOT_OF_A_RESPONSE = ("type", "stream", "background", "previous_response_id", "initiator", "input")
_SECRET = ("authorization", "x-api-key", "cookie")


class TooMuchError(CallerError):
    """A conversation is longer than a connection remembers."""

    status_hint = 413


class TooManyWaitError(DeclinedError):
    """More requests came on a connection than may wait there."""

    status_hint = 429
    retry_after = 1.0


class ConnectionEndsError(DeclinedError):
    """An answer broke off, and the connection ends with it."""

    status_hint = 503
    retry_after = 1.0


class ResponsesSocket:
    """The endpoint.

    Args:
        sockets: what all sockets share.
        clock: time.
        ids: new ids.
    """

    def __init__(self, sockets: Sockets, clock: Clock = SYSTEM_CLOCK, ids: Ids = SYSTEM_IDS) -> None:
        self._sockets = sockets
        self._clock = clock
        self._ids = ids

    async def __call__(self, socket: Socket) -> None:
        """Serve a connection until the client leaves. Who asks is decided by its head."""
        sockets, head = self._sockets, socket.head
        with contextlib.suppress(ClientGoneError):
            try:
                caller = await sockets.authenticate(head.headers, head.address)
                owner = sockets.owner_of(caller, head.address)
                sockets.take_place(owner)
            except RightseatError as e:
                await sockets.turn_away(head, self._ids.uuid(), socket.refuse, e)
                return
            try:
                await sockets.accept(socket, self._ids.uuid(), caller.id)
                socket.allow(sockets.body_limit, owner)
                await _Conversation(sockets, caller, owner, socket, self._clock, self._ids).serve()
            finally:
                sockets.give_place(owner)


class _Conversation:
    """One connection: what was said last, and the answer that is under way."""

    def __init__(self, sockets: Sockets, caller: Any, owner: str, socket: Socket, clock: Clock, ids: Ids) -> None:
        self._sockets, self._caller, self._owner, self._socket = sockets, caller, owner, socket
        self._clock, self._ids = clock, ids
        self._memory = _Memory(sockets, owner)
        self._waiting: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._exchange: FrameExchange | None = None
        self._code, self._reason = 0, ""  # to close with, after the answer under way,
        self._why: RightseatError | None = None  # and what requests are told that come, or have waited, until then
        self._has_left = False
        self._timer: ClientTime | None = None

    async def serve(self) -> None:
        """Until the client leaves."""
        answering = asyncio.ensure_future(self._answer_all())
        self._sockets.live.open(self, self._caller)
        try:
            while True:
                await self._take(await self._socket.receive())
        except ClientGoneError:
            return
        finally:
            self._sockets.live.closed(self)
            if self._timer is not None:
                self._timer.cancel()
            if self._exchange is not None:
                self._exchange.leave()
            self._end()
            await asyncio.wait((answering,))
            self._forget()

    # Its end from here.

    def drain(self) -> None:
        """See Live."""
        self._why = ShuttingDownError()
        self._close_with(GOING_AWAY, "the gateway is shutting down")

    def cut(self, error: RightseatError) -> None:
        """See Live: the answer ends with the error, and the connection after it."""
        self._why = error
        if self._exchange is not None:
            self._exchange.cut(error)
        self._close_with(GOING_AWAY if isinstance(error, ShuttingDownError) else POLICY, str(error)[:100])
        if self._timer is None:
            self._timer = ClientTime(2 * _FLUSH_SECONDS, self._socket.abort)

    def _close_with(self, code: int, reason: str) -> None:
        self._code, self._reason = code, reason
        self._news.set()

    def _end(self) -> None:
        self._has_left = True
        self._code = self._code or GOING_AWAY
        self._news.set()

    # Its frames.

    async def _take(self, frame: bytes) -> None:
        """A frame of the client waits for its turn. The client is always listened to: it may leave."""
        error: RightseatError | None = None
        if self._code:
            error = self._ending
        elif len(self._waiting) >= _WAITING:
            error = TooManyWaitError(f"at most {_WAITING} requests may wait on one connection", code="too_many_waiting")
        elif not self._sockets.memory.take(self._owner, len(frame)):
            error = NoMemoryError("too many bytes are held for this key; try again in a moment", code="socket_memory")
        if error is not None:
            await self._turn_away(error)
            return
        self._waiting.append(frame)
        self._news.set()

    @property
    def _ending(self) -> RightseatError:
        """Why nothing is answered any more."""
        return self._why or ConnectionEndsError("the connection ends; open another one", code="connection_ends")

    async def _turn_away(self, error: RightseatError) -> None:
        head = Head("POST", "/v1/responses", {}, "", self._socket.head.address)
        await self._sockets.turn_away(head, self._ids.uuid(), self._refuse, error, self._caller)

    async def _refuse(self, status: int, body: bytes, fields: Fields) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in fields}
        await self._socket.send(error_frame(status, body, headers))

    async def _answer_all(self) -> None:
        """Answer frames, one after another."""
        with contextlib.suppress(ClientGoneError):
            while True:
                while not self._waiting and not self._code:
                    self._news.clear()
                    await self._news.wait()
                if self._code:
                    break
                if not await self._answer(self._next()):
                    self._code = self._code or BROKEN
            while self._waiting and not self._has_left:
                self._next()
                await self._turn_away(self._ending)
            await self._socket.close(self._code, self._reason)

    def _next(self) -> bytes:
        frame = self._waiting.popleft()
        self._sockets.memory.give(self._owner, len(frame))
        return frame

    async def _answer(self, frame: bytes) -> bool:
        """Answer one. False: what would follow could be taken for the rest of that answer."""
        turn = _Turn(self._memory, frame)
        if turn.is_notice:
            return True
        exchange = FrameExchange(
            self._socket,
            Head("POST", "/v1/responses", self._headers(turn), "", self._socket.head.address),
            self._ids.uuid(),
            turn.body,
            turn.hear,
            owner=self._owner,
            memory=self._sockets.body_memory,
            clock=self._clock,
        )
        del frame
        self._exchange = exchange
        try:
            await self._sockets.serve(exchange, self._caller)
        except ClientGoneError:
            raise
        except Exception:
            logger.exception("%s websocket: internal error", exchange.id)
            return False
        finally:
            self._exchange = None
            exchange.close()
            turn.close()
        return exchange.complete

    def _headers(self, turn: _Turn) -> dict[str, str]:
        head = self._socket.head.headers
        mine = {name: value for name, value in head.items() if name not in _SECRET}
        if turn.initiator:
            mine.setdefault("x-initiator", turn.initiator)
        return mine

    def _forget(self) -> None:
        while self._waiting:
            self._next()
        self._memory.forget()


class _Memory:
    """What was said on a connection, as JSON.

    Attributes:
        last_id: of the last answer.
        items: all items so far, separated by commas.
    """

    def __init__(self, sockets: Sockets, owner: str) -> None:
        self.last_id = ""
        self.items = b""
        self._take = partial(sockets.memory.take, owner)
        self._give = partial(sockets.memory.give, owner)

    def keep(self, last_id: str, items: bytes) -> bool:
        """Remember this instead. False: it is too much, and nothing is remembered."""
        self.forget()
        if len(items) > _REMEMBERED or not self._take(len(items)):
            return False
        self.last_id, self.items = last_id, items
        return True

    def forget(self) -> None:
        """Remember nothing."""
        self._give(len(self.items))
        self.last_id, self.items = "", b""


class _Response(Struct):
    id: str = ""
    output: list[Raw] | None = None


class _Ending(Struct):
    """The event that ends an answer, as far as it is remembered."""

    type: str = ""
    response: _Response | None = None


class _Turn:
    """One frame: what is asked with it, and what is remembered of the answer.

    Attributes:
        initiator: who is said to ask, "" where that is not said.
    """

    def __init__(self, memory: _Memory, frame: bytes) -> None:
        self.initiator = ""
        self._memory = memory
        self._frame = frame
        self._items = b""
        self._goes_on = self._kept = False
        self._error: RightseatError | None = None
        self._given = Given()
        try:
            self._given = given_in(frame)
            if isinstance(said := small(self._given.initiator, 4096), str):
                self.initiator = header_value(said, "initiator")
        except BadRequestError as e:
            self._error = e

    @property
    def is_notice(self) -> bool:
        """Codex tells that it has taken an answer: nothing is asked (openai/codex, responses_websocket.rs)."""
        return bool(small(self._given.type) == "response.processed")

    def close(self) -> None:
        """It was answered, or not: what could not be gone on from is forgotten."""
        if self._goes_on and not self._kept:
            self._memory.forget()

    def body(self) -> bytes:
        """The request with everything that was said before. Raises BadRequestError, UpstreamError, TooMuchError."""
        if self._error is not None:
            raise self._error
        given, frame = self._given, self._frame
        self._frame, self._given = b"", Given()
        if small(given.type) != "response.create":
            raise BadRequestError.at("type", "must be response.create")
        prepares = small(given.generate) is False
        self._items = self._all_items(given.previous_response_id, items_of(given.input))
        if prepares and len(self._items) > _REMEMBERED:
            raise TooMuchError(f"a connection remembers {_REMEMBERED} bytes at most", field="input")
        rest = {name: value for name, value in members_of(frame, given).items() if name not in _NOT_OF_A_RESPONSE}
        if not prepares:
            rest.pop("generate", None)
        return msgspec.json.encode({**rest, "input": Raw(b"[" + self._items + b"]"), "stream": True})

    def hear(self, event: bytes) -> None:
        """An event of the answer: remember what is needed for the next request."""
        if not is_ending(event):
            return
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            ending = msgspec.json.decode(event, type=_Ending)
            if ending.response is not None and ending.type in ("response.completed", "response.incomplete"):
                said = [bytes(item) for item in ending.response.output or ()]
                before = [] if not self._items or is_compacted(self._items) else [self._items]
                self._kept = True
                self._memory.keep(ending.response.id, b",".join([*before, *said]))

    def _all_items(self, previous: Raw, new: bytes) -> bytes:
        before = small(previous) if len(memoryview(previous)) < 256 else bytes(previous)[:100]
        if not before:
            return new
        self._goes_on = True
        if before != self._memory.last_id:
            raise UpstreamError(
                400,
                f"previous_response_id: {str(before)[:100]!r} is not the last answer on this connection",
                code="previous_response_not_found",
            )
        check_calls(self._memory.items, new)
        return b",".join(part for part in (self._memory.items, new) if part)
