"""`/v1/ws`: the same requests as over HTTP, many of them on one socket, for pages and programs that hold a connection open.

Frames are JSON. The client begins with a hello, and then:

    {"type": "hello", "key": "...", "session": "..."}                 a key where one is needed; the session to go on with after a lost connection
    {"type": "request", "id": "a", "path": "/v1/chat/completions", "body": {...}}
    {"type": "cancel", "id": "a"}
    {"type": "ack", "id": "a", "seq": 12}                             everything up to 12 was taken
    {"type": "resume", "id": "a", "seq": 12}                          in a new connection: go on behind 12

The gateway answers, with numbers that grow by one within each id:

    {"type": "session", "session": "...", "resumed": true, "open": ["a"], "window": 256}
    {"type": "head", "id": "a", "seq": 1, "status": 200, "stream": true, "request_id": "..."}
    {"type": "event", "id": "a", "seq": 2, "event": "", "data": "..."}    one event of an event stream
    {"type": "answer", "id": "a", "seq": 2, "body": {...}}                a whole answer, or an error's body
    {"type": "end", "id": "a", "seq": 3, "status": "complete"}            or "cancelled", "broken"; once for each request
    {"type": "error", "id": "a", "error": {...}}                          a frame that makes no sense, or a request that the key does not allow

What was not acknowledged is kept, and sent again after a `resume`; nothing is lost and nothing comes twice (see `channels`). A client that does
not acknowledge stops its own stream, and with it the upstream; after a minute the stream ends as "broken". A session with streams whose
connection is lost waits half a minute for the next one. It belongs to the key that began it, and ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import RightseatError
from rightseat.gateway.endpoints.frames import ID_BYTES, Frame, asked_in, head_in, id_in, read_frame, seq_in
from rightseat.gateway.endpoints.sockets import Sockets, TooManySocketsError, small
from rightseat.gateway.http.channels import WINDOW, Channel, Session
from rightseat.gateway.http.client_time import ClientTime
from rightseat.gateway.http.exchange import ClientGoneError, Head
from rightseat.gateway.http.live import ShuttingDownError
from rightseat.gateway.http.websocket import (
    GOING_AWAY,
    NORMAL,
    POLICY,
    TRY_LATER,
    Socket,
    StreamExchange,
)
from rightseat.gateway.routes import find
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.log import logger
from rightseat.wire.body import BadRequestError

KEEP_SECONDS = 30.0  # a session without a connection
STREAMS = 2000  # of one session
HELLO_SECONDS = 20.0
FLUSH_SECONDS = 0.5  # for a client to take the ends of its streams before its socket is closed


class _Client:
    """One client: its session, who it is, and what runs for it.

    Attributes:
        link: the connection that it has now.
        exchanges: what runs, by channel.
        leaving: forgets it, after its connection was lost.
    """

    def __init__(self, session: Session, caller: Any, address: str) -> None:
        self.session = session
        self.caller = caller
        self.address = address
        self.link: _Link | None = None
        self.exchanges: dict[Channel, StreamExchange] = {}
        self.leaving: asyncio.TimerHandle | None = None


class Multiplex:
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
        self._clients: dict[str, _Client] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Give up all sessions. What still runs for them is ended."""
        for client in list(self._clients.values()):
            self._forget(client)
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def __call__(self, socket: Socket) -> None:
        """Serve a connection until the client leaves."""
        await self._sockets.accept(socket, self._ids.uuid())
        with contextlib.suppress(ClientGoneError):
            if (link := await self._hello(socket)) is not None:
                await link.serve()

    # Sessions.

    async def _hello(self, socket: Socket) -> _Link | None:
        """A new connection and its client; None: it was refused."""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                data = await socket.receive()
        except TimeoutError:
            await socket.close(POLICY, "no hello")
            return None
        try:
            return await self._admitted(socket, read_frame(data))
        except RightseatError as e:
            await self._sockets.turn_away(socket.head, self._ids.uuid(), self._sockets.saying(socket), e)
            await socket.close(TRY_LATER if isinstance(e, TooManySocketsError) else POLICY)
            return None

    async def _admitted(self, socket: Socket, frame: Frame) -> _Link:
        if small(frame.type) != "hello":
            raise BadRequestError.at("type", "the first frame must be a hello")
        headers = dict(socket.head.headers)
        if isinstance(key := small(frame.key, 4096), str) and key:
            headers["x-api-key"] = key
        caller = await self._sockets.authenticate(headers, socket.head.address)
        client = self._known(small(frame.session), caller)
        resumed = client is not None
        if client is None:
            client = self._begin(caller, socket.head.address)
        client.caller = caller
        socket.allow(self._sockets.body_limit, client.session.owner)
        link = self._attach(client, socket)
        try:
            await socket.send(self._greeting(client.session, resumed=resumed))
        except BaseException:
            self.lost(client, link)
            raise
        return link

    def _greeting(self, session: Session, *, resumed: bool) -> bytes:
        said = {"type": "session", "session": session.id, "resumed": resumed}
        return msgspec.json.encode({**said, "open": list(session.channels), "window": WINDOW})

    def _known(self, wanted: Any, caller: Any) -> _Client | None:
        client = self._clients.get(wanted) if isinstance(wanted, str) else None
        return client if client is not None and client.caller.id == caller.id else None

    def _begin(self, caller: Any, address: str) -> _Client:
        owner = self._sockets.owner_of(caller, address)
        self._sockets.take_place(owner)
        session = Session(self._ids.token(24), owner, self._sockets.memory)
        client = self._clients[session.id] = _Client(session, caller, address)
        return client

    def _attach(self, client: _Client, socket: Socket) -> _Link:
        """A connection takes over."""
        if client.leaving is not None:
            client.leaving.cancel()
            client.leaving = None
        if client.link is not None:
            client.link.replaced()
        client.session.pause()
        client.link = _Link(self, client, socket, self._sockets)
        return client.link

    def lost(self, client: _Client, link: _Link | None) -> None:
        """A connection is lost. A session with streams is kept for KEEP_SECONDS."""
        if client.link is not link or self._clients.get(client.session.id) is not client:
            return
        client.link = None
        client.session.pause()
        if not client.session.channels or self._sockets.live.is_draining:
            self._forget(client)
        elif client.leaving is None:
            loop = asyncio.get_running_loop()
            client.leaving = loop.call_later(KEEP_SECONDS, self._forget, client)

    def _forget(self, client: _Client) -> None:
        """Drop a session."""
        if self._clients.pop(client.session.id, None) is None:
            return
        if client.leaving is not None:
            client.leaving.cancel()
        self._sockets.give_place(client.session.owner)
        for exchange in list(client.exchanges.values()):
            exchange.leave()
        for channel in list(client.session.channels.values()):
            client.session.forget(channel)

    def ended(self, client: _Client) -> None:
        """Its connection was closed from here: it cannot be resumed."""
        self._forget(client)

    # Requests.

    def start(self, client: _Client, channel: Channel, head: Head, body: bytes) -> None:
        """Answer a request into a channel."""
        exchange = StreamExchange(
            channel,
            head,
            self._ids.uuid(),
            body,
            owner=client.session.owner,
            memory=self._sockets.body_memory,
            clock=self._clock,
        )
        client.exchanges[channel] = exchange
        task = asyncio.ensure_future(self._sockets.serve(exchange, client.caller))
        self._tasks.add(task)
        task.add_done_callback(partial(self._done, client, channel, exchange))

    def _done(self, client: _Client, channel: Channel, exchange: StreamExchange, task: asyncio.Task[None]) -> None:
        """A request is answered, or not; also one that never ran. The one place where a stream ends."""
        self._tasks.discard(task)
        del client.exchanges[channel]
        exchange.close()
        status = "complete" if exchange.complete else "cancelled" if exchange.gone else "broken"
        if task.cancelled():
            status = "cancelled"
        elif (error := task.exception()) is not None:
            logger.error("%s ws: internal error", exchange.id, exc_info=error)
            status = "broken"
        if self._clients.get(client.session.id) is client:
            channel.end(status)
        else:
            client.session.forget(channel)
        client.session.wake()

    async def refuse(
        self, client: _Client, socket: Socket, stream_id: str | None, head: Head, error: RightseatError | None = None
    ) -> None:
        """A request that makes no sense, or that the key does not allow: seen like any other, and answered by an error."""
        say = self._sockets.saying(socket, stream_id)
        await self._sockets.turn_away(head, self._ids.uuid(), say, error, client.caller)


class _Link:
    """One connection of a client: reads its frames and writes those of its session."""

    def __init__(self, owner: Multiplex, client: _Client, socket: Socket, sockets: Sockets) -> None:
        self._owner, self._client, self._socket, self._sockets = owner, client, socket, sockets
        self._code = 0  # to close with, as soon as there is nothing to say any more
        self._reason = ""
        self._is_replaced = False
        self._timer: ClientTime | None = None
        self._writing: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Until the client leaves, or another connection takes over."""
        self._writing = asyncio.ensure_future(self._write())
        self._sockets.live.open(self, self._client.caller)
        try:
            while True:
                await self._take(await self._socket.receive())
        except ClientGoneError:
            return
        finally:
            self._sockets.live.closed(self)
            if self._timer is not None:
                self._timer.cancel()
            self._writing.cancel()
            await asyncio.wait((self._writing,))
            if self._code and not self._is_replaced:
                self._owner.ended(self._client)
            self._owner.lost(self._client, self)

    # Its end from here.

    def replaced(self) -> None:
        """Another connection has taken the session."""
        self._is_replaced = True
        if self._writing is not None:
            self._writing.cancel()
        self._end_by(NORMAL, "another connection has taken the session", 0.0)

    def drain(self) -> None:
        """See Live."""
        self._code, self._reason = GOING_AWAY, "the gateway is shutting down"
        self._client.session.wake()

    def cut(self, error: RightseatError) -> None:
        """See Live: streams end with the error, and the connection after them."""
        for exchange in list(self._client.exchanges.values()):
            exchange.cut(error)
        code = GOING_AWAY if isinstance(error, ShuttingDownError) else POLICY
        self._end_by(code, str(error)[:100], FLUSH_SECONDS)

    def _end_by(self, code: int, reason: str, seconds: float) -> None:
        """Close when everything is said, and at once after so many seconds."""
        self._code, self._reason = code, reason
        if self._timer is None:
            self._timer = ClientTime(seconds, self._end_now)
        self._client.session.wake()

    def _end_now(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
        closing = asyncio.ensure_future(self._close())
        self._timer = ClientTime(FLUSH_SECONDS, partial(self._abort, closing))

    def _abort(self, closing: asyncio.Future[None]) -> None:
        """The client takes nothing, not even that."""
        if not closing.done():
            closing.cancel()
            self._socket.abort()

    async def _close(self) -> None:
        with contextlib.suppress(ClientGoneError):
            await self._socket.close(self._code, self._reason)

    # Its frames.

    async def _write(self) -> None:
        session = self._client.session
        with contextlib.suppress(ClientGoneError):
            while True:
                if (text := session.next()) is not None:
                    await self._socket.send(text)
                elif self._code and not self._client.exchanges:
                    await self._socket.close(self._code, self._reason)
                    return
                else:
                    await session.changed()

    async def _take(self, data: bytes) -> None:
        """A frame of the client."""
        frame = Frame()
        if self._is_replaced:
            return
        try:
            frame = read_frame(data)
            await self._do(frame)
        except RightseatError as e:
            if isinstance(e, ClientGoneError):
                raise
            head = asked_in(frame, self._socket.head) or self._socket.head
            error = await self._sockets.counted(self._client.caller, e)
            await self._owner.refuse(self._client, self._socket, id_in(frame), head, error)

    async def _do(self, frame: Frame) -> None:
        stream_id = small(frame.id, ID_BYTES)
        if not isinstance(stream_id, str) or not 1 <= len(stream_id) <= 100:
            raise BadRequestError.at("id", "must be a string of 1 to 100 characters")
        channel = self._client.session.channels.get(stream_id)
        match small(frame.type):
            case "request":
                await self._request(frame, stream_id, channel)
            case "cancel":
                if channel is not None and (exchange := self._client.exchanges.get(channel)) is not None:
                    exchange.leave()
            case "ack":
                self._acked(channel, Channel.ack, seq_in(frame))
            case "resume":
                self._acked(channel, Channel.resume, seq_in(frame))
            case _:
                raise BadRequestError.at("type", "must be request, cancel, ack or resume")

    def _acked(self, channel: Channel | None, how: Callable[[Channel, int], None], seq: int) -> None:
        if channel is None:
            return  # it is over, and was acknowledged
        how(channel, seq)
        if channel.is_done:
            self._client.session.forget(channel)

    async def _request(self, frame: Frame, stream_id: str, channel: Channel | None) -> None:
        client = self._client
        if channel is not None:
            raise BadRequestError.at("id", f"there is a stream {stream_id!r} already")
        if len(client.session.channels) >= STREAMS:
            raise BadRequestError.at("id", f"at most {STREAMS} streams may be open on one connection")
        head = head_in(frame, self._socket.head)
        body = bytes(frame.body)
        if head.method == "POST" and not body.startswith(b"{"):
            raise BadRequestError.at("body", "must be an object")
        try:
            self._check(head)
        except RightseatError:
            await self._owner.refuse(client, self._socket, stream_id, head)
            return
        self._owner.start(client, client.session.open(stream_id), head, b"" if head.method == "GET" else body)

    def _check(self, head: Head) -> None:
        """Raises ClientKeyError, ScopeError: the key has ended, or does not allow this."""
        found = find(head.method, head.path)
        assert found is not None, head.path  # as each of _PATHS is
        self._sockets.check(self._client.caller, found[0].scope)
