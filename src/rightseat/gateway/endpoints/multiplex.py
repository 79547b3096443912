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
    {"type": "end", "id": "a", "seq": 3, "status": "complete"}            or "cancelled", "broken"
    {"type": "error", "id": "a", "error": {...}}                          a frame that makes no sense

What was not acknowledged is kept, and sent again after a `resume`; nothing is lost and nothing comes twice. At most a window of events is kept for a
stream: a client that does not acknowledge stops its own stream, and with it the upstream, and no other. A session whose connection is lost waits
half a minute for the next one. It belongs to the key that began it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from rightseat.errors import RightseatError
from rightseat.gateway.access.access import Access
from rightseat.gateway.access.caller import Caller
from rightseat.gateway.http.asgi import Receive, Request, Scope, Send, StreamBrokenError, address_of
from rightseat.gateway.observe.request_log import trace_of
from rightseat.gateway.routes import find
from rightseat.log import logger
from rightseat.wire.body import BadRequestError, json_object
from rightseat.wire.dialects import CHAT
from rightseat.wire.errors import status_of
from rightseat.wire.sse import SseDecoder

WINDOW = 256  # events of a stream that may be unacknowledged
WINDOW_BYTES = 1024 * 1024  # and their bytes, about
KEEP_SECONDS = 30.0  # a session without a connection
STREAMS = 2000  # of one session
SESSIONS = 10_000
HELLO_SECONDS = 20.0
_PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/models")
_POLICY, _TRY_LATER = 1008, 1013  # RFC 6455, section 7.4.1, and IANA's registry

Serve = Callable[[Request, Receive, Send, str], Awaitable[None]]


class _Stream:
    """One request and its answer, as far as it is not acknowledged."""

    def __init__(self, session: _Session, stream_id: str) -> None:
        self.id = stream_id
        self.over = False
        self.is_live = (
            True  # frames go out as they come; after a lost connection only once the client has asked for them
        )
        self._session = session
        self._seq = 0
        self._kept: deque[tuple[int, str]] = deque()
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self.task: asyncio.Task[None] | None = None

    @property
    def is_done(self) -> bool:
        """Nothing of it is needed any more."""
        return self.over and not self._kept

    async def say(self, kind: str, *, last: bool = False, **fields: Any) -> None:
        """The next frame. Waits while the client has not taken the ones before; the last one always fits."""
        if not last:
            await self._room.wait()
        self._seq += 1
        text = msgspec.json.encode({"type": kind, "id": self.id, "seq": self._seq, **fields}).decode()
        self._kept.append((self._seq, text))
        self._bytes += len(text)
        if len(self._kept) >= WINDOW or self._bytes >= WINDOW_BYTES:
            self._room.clear()
        self.over = self.over or last
        if self.is_live:
            await self._session.push(text)

    def ack(self, seq: int) -> None:
        """The client has taken everything up to `seq`."""
        while self._kept and self._kept[0][0] <= seq:
            self._bytes -= len(self._kept.popleft()[1])
        if len(self._kept) < WINDOW and self._bytes < WINDOW_BYTES:
            self._room.set()

    async def resume(self, seq: int) -> None:
        """Say what comes behind `seq` again, and go on."""
        self.ack(seq)
        self.is_live = False
        sent = seq
        while pending := [(number, text) for number, text in self._kept if number > sent]:
            for number, text in pending:
                await self._session.push(text)
                sent = number
        self.is_live = True


class _Session:
    """The streams of one client, over as many connections as it takes."""

    def __init__(self, caller: Caller) -> None:
        self.id = secrets.token_urlsafe(24)
        self.caller = caller
        self.streams: dict[str, _Stream] = {}
        self.lost_at = 0.0
        self._send: Send | None = None
        self._writing = asyncio.Lock()

    @property
    def is_connected(self) -> bool:
        """Somebody listens."""
        return self._send is not None

    def attach(self, send: Send) -> None:
        """A connection. The one before it, if there is any, gets no more."""
        self._send = send

    def detach(self, send: Send) -> None:
        """It is gone."""
        if self._send is send:
            self._send, self.lost_at = None, time.monotonic()

    async def push(self, text: str) -> None:
        """Send a frame, if somebody listens. Lost frames are sent again after a resume."""
        async with self._writing:
            send = self._send
            if send is None:
                return
            try:
                await send({"type": "websocket.send", "text": text})
            except (OSError, RuntimeError):  # it went in this moment; its reader will notice
                self.detach(send)

    def end(self) -> None:
        """Nobody comes back."""
        for stream in self.streams.values():
            if stream.task is not None:
                stream.task.cancel()


class Multiplex:
    """The endpoint.

    Args:
        serve: answers a request as if it had come over HTTP.
        access: who may ask.
    """

    def __init__(self, serve: Serve, access: Access) -> None:
        self._serve = serve
        self._access = access
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._sweeping: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Give up all sessions."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        tasks = [s.task for session in self._sessions.values() for s in session.streams.values() if s.task is not None]
        for session in self._sessions.values():
            session.end()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection until the client leaves."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        session = await self._hello(scope, headers, receive, send)
        if session is None:
            return
        trace = trace_of(headers)
        try:
            while (message := await receive())["type"] == "websocket.receive":
                data = message.get("bytes") or (message.get("text") or "").encode()
                try:
                    await self._take(session, headers, trace, json_object(data))
                except RightseatError as e:
                    await session.push(_error(e, _id_of(data)))
        finally:
            session.detach(send)

    async def _hello(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> _Session | None:
        """The session of a new connection; None: it was refused."""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                message = await receive()
        except TimeoutError:
            await send({"type": "websocket.close", "code": _POLICY, "reason": "no hello"})
            return None
        if message["type"] != "websocket.receive":
            return None
        try:
            given = json_object(message.get("bytes") or (message.get("text") or "").encode())
            if given.get("type") != "hello":
                raise BadRequestError.at("type", "the first frame must be a hello")
            if isinstance(key := given.get("key"), str) and key:
                headers = {**headers, "x-api-key": key}
            caller = await self._access.authenticator.authenticate(headers, address_of(scope), "chat")
            self._access.authorize.check_scope(caller, "chat")
        except RightseatError as e:
            await send({"type": "websocket.send", "text": _error(e, None)})
            await send({"type": "websocket.close", "code": _POLICY})
            return None
        wanted = given.get("session")
        session = self._sessions.get(wanted) if isinstance(wanted, str) else None
        if session is not None and session.caller.id != caller.id:
            session = None
        resumed = session is not None
        if session is None:
            if len(self._sessions) >= SESSIONS:
                await send({"type": "websocket.close", "code": _TRY_LATER})
                return None
            session = _Session(caller)
            self._sessions[session.id] = session
            if self._sweeping is None:
                self._sweeping = asyncio.ensure_future(self._sweep())
        said = {
            "type": "session",
            "session": session.id,
            "resumed": resumed,
            "open": list(session.streams),
            "window": WINDOW,
        }
        for stream in session.streams.values():
            stream.is_live = False
        await send({"type": "websocket.send", "text": msgspec.json.encode(said).decode()})
        session.attach(send)
        return session

    async def _take(
        self, session: _Session, headers: dict[str, str], trace: dict[str, str], given: dict[str, Any]
    ) -> None:
        kind, stream_id = given.get("type"), given.get("id")
        if not isinstance(stream_id, str) or not 1 <= len(stream_id) <= 100:
            raise BadRequestError.at("id", "must be text of 1 to 100 characters")
        stream = session.streams.get(stream_id)
        match kind:
            case "request":
                if stream is not None:
                    raise BadRequestError.at("id", f"there is a stream {stream_id!r} already")
                if len(session.streams) >= STREAMS:
                    raise BadRequestError.at("id", f"at most {STREAMS} streams may be open on one connection")
                request = self._request(session, headers, trace, given)
                stream = session.streams[stream_id] = _Stream(session, stream_id)
                stream.task = asyncio.ensure_future(self._run(stream, request))
            case "cancel":
                if stream is not None and stream.task is not None:
                    stream.task.cancel()
            case "ack" | "resume":
                seq = given.get("seq")
                if not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
                    raise BadRequestError.at("seq", "must be a number, 0 or more")
                if stream is None:
                    return  # it is over, and was acknowledged
                if kind == "resume":
                    await stream.resume(seq)
                else:
                    stream.ack(seq)
                if stream.is_done:
                    del session.streams[stream_id]
            case _:
                raise BadRequestError.at("type", "must be request, cancel, ack or resume")

    def _request(
        self, session: _Session, headers: dict[str, str], trace: dict[str, str], given: dict[str, Any]
    ) -> Request:
        path = given.get("path", "/v1/chat/completions")
        if path not in _PATHS:
            raise BadRequestError.at("path", f"must be one of {', '.join(_PATHS)}")
        body = given.get("body")
        if path != "/v1/models" and not isinstance(body, dict):
            raise BadRequestError.at("body", "must be an object")
        extra = given.get("headers")
        allowed = ("anthropic-version", "anthropic-beta", "x-initiator", "x-request-id")
        if extra is not None and not (isinstance(extra, dict) and all(isinstance(v, str) for v in extra.values())):
            raise BadRequestError.at("headers", "must be an object of texts")
        mine = {name: value for name, value in headers.items() if name in allowed}
        mine |= {name: value for name, value in (extra or {}).items() if name in allowed}
        method = "GET" if path == "/v1/models" else "POST"
        found = find(method, path)
        assert found is not None, path  # as each of _PATHS is
        caller = self._access.authenticator.still(session.caller)
        self._access.authorize.check_scope(caller, found[0].scope)
        return Request(method, path, mine, msgspec.json.encode(body or {}), caller=caller, trace=trace)

    async def _run(self, stream: _Stream, request: Request) -> None:
        request_id = str(uuid.uuid4())
        answer = _Answer(stream, request_id)
        status = "complete"
        try:
            await self._access.admission.enter(request.caller)
            await self._serve(request, _never, answer.send, request_id)
        except asyncio.CancelledError:
            status = "cancelled"
        except StreamBrokenError:
            status = "broken"
        except (RightseatError, RecursionError) as e:
            error = e if isinstance(e, RightseatError) else BadRequestError.at("body", "is nested too deeply")
            await answer.fail(status_of(error), CHAT.error_body(error, ""))
        except Exception:
            logger.exception("%s ws: a fault of the gateway", request_id)
            status = "broken"
        with contextlib.suppress(asyncio.CancelledError):
            await stream.say("end", last=True, status=status)

    async def _sweep(self) -> None:
        """Forget sessions to which nobody has come back."""
        while True:
            await asyncio.sleep(KEEP_SECONDS / 10)
            now = time.monotonic()
            for session_id, session in list(self._sessions.items()):
                if not session.is_connected and now - session.lost_at >= KEEP_SECONDS:
                    session.end()
                    del self._sessions[session_id]


class _Answer:
    """ASGI's messages of an answer -> frames."""

    def __init__(self, stream: _Stream, request_id: str) -> None:
        self._stream = stream
        self._request_id = request_id
        self._sse: SseDecoder | None = None
        self._body: list[bytes] = []
        self._begun = False

    async def send(self, message: Any) -> None:
        """See ASGI."""
        if message["type"] == "http.response.start":
            kind = dict(message["headers"]).get(b"content-type", b"")
            self._sse = SseDecoder() if kind.startswith(b"text/event-stream") else None
            await self._head(message["status"], streams=self._sse is not None)
            return
        data, more = message.get("body", b""), message.get("more_body", False)
        if self._sse is None:
            self._body.append(data)
            if not more:
                await self._stream.say("answer", body=msgspec.Raw(b"".join(self._body) or b"null"))
            return
        events = self._sse.feed(data)
        if not more:
            events += self._sse.feed_eof()
        for event in events:
            name = bytes(event.event or b"").decode("utf-8", "replace")
            await self._stream.say("event", event=name, data=bytes(event.data).decode("utf-8", "replace"))

    async def fail(self, status: int, body: bytes) -> None:
        """An error instead of an answer."""
        if not self._begun:
            await self._head(status, streams=False)
        await self._stream.say("answer", body=msgspec.Raw(body))

    async def _head(self, status: int, *, streams: bool) -> None:
        self._begun = True
        await self._stream.say("head", status=status, stream=streams, request_id=self._request_id)


async def _never() -> dict[str, Any]:
    """The client of a stream does not leave by closing the connection: it may come back. It cancels."""
    await asyncio.get_running_loop().create_future()
    return {}


def _error(error: RightseatError, stream_id: Any) -> str:
    body = msgspec.json.decode(CHAT.error_body(error, ""))
    return msgspec.json.encode({"type": "error", "id": stream_id, "status": status_of(error), **body}).decode()


def _id_of(data: bytes) -> Any:
    with contextlib.suppress(RightseatError):
        found = json_object(data).get("id")
        return found if isinstance(found, str) else None
    return None
