"""WebSocket on a connection: uvicorn's protocol on websockets, with limits of its own. Does not know what the messages mean.

Beyond uvicorn's it holds: a client that has not said who it is may send little, messages are taken one at a time, every byte that is held
counts in a budget, and nothing is compressed, since a small message could hold a huge one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from rightseat.gateway.http.core.socket_connection import frame_size
from rightseat.gateway.http.server_options import Shared
from rightseat.gateway.http.websocket import EXTENSION, HELLO_LIMIT, TRY_LATER

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_CLOSE_SECONDS = 10.0  # for a client to take what was written before


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A connection. `shared` is set by a subclass.

    Attributes:
        on_lost: called when it is gone.
    """

    shared: Shared

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.on_lost: Callable[[], None] = lambda: None
        self.conn.max_message_size = HELLO_LIMIT
        self._owner = ""
        self._raw = bytearray()  # not looked at yet
        self._due = 0  # bytes of the frame that is being read
        self._begun = False  # its head has passed
        self._queued = 0  # bytes of the message that waits
        self._taken = 0  # and of the one that is being looked at
        self._counted = 0
        self._killer: asyncio.TimerHandle | None = None

    # What the application may do beyond ASGI, see websocket.AsgiSocket.

    def allow(self, limit: int, owner: str) -> None:
        """Set the largest message, and the owner that its bytes count for."""
        self.conn.max_message_size = limit
        counted, self._counted = self._counted, 0
        self.shared.memory.give(self._owner, counted)
        self._owner = owner
        self._account()

    def abort(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    # Ending.

    async def run_asgi(self) -> None:
        """Serve it, and see that the connection ends with that, also if the client reads nothing any more."""
        try:
            await super().run_asgi()
        finally:
            if not self.disconnected:
                self._killer = self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)

    # Reading.

    def handle_connect(self, event: Any) -> None:
        """The head of the request."""
        if self.client is not None and self.shared.proxies.trusts(self.client[0]):
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in event.headers.raw_items()]
            self.client = (self.shared.client_of(self.client[0], headers), 0)
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the head was in order
            self.scope["extensions"][EXTENSION] = {"control": self}

    def data_received(self, data: bytes) -> None:
        """Some bytes: the head at first, then frames."""
        if not self._begun:
            self._begun = True
            super().data_received(data)
            if self.conn.handshake_exc is not None and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)  # websockets would say nothing, and wait without limit
                self.transport.close()
            return
        self._raw += data
        self._feed()

    async def receive(self) -> Any:
        """See ASGI. What was received before is done with."""
        self._taken = 0
        self._feed()
        message = await self.queue.get()
        self._taken, self._queued = self._queued, 0
        self._pace()
        return message

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        super().connection_lost(exc)
        if self._killer is not None:
            self._killer.cancel()
        self._raw.clear()
        self.frames = []
        self._queued = self._taken = 0
        self.shared.memory.give(self._owner, self._counted)
        self._counted = 0
        self.on_lost()

    def _feed(self) -> None:
        """Read on, up to the end of a message: what follows waits until that was taken."""
        while self._raw and self.conn.parser_exc is None and self._may_feed:
            if not self._due:
                self._due = frame_size(self._raw)
                if not self._due:
                    break
            part = bytes(self._raw[: self._due])
            del self._raw[: len(part)]
            self._due -= len(part)
            super().data_received(part)
        if self.conn.parser_exc is not None:
            self._raw.clear()
        self._account()
        self._pace()

    @property
    def _may_feed(self) -> bool:
        return self.close_sent or (self.handshake_complete and self.queue.empty())

    def _pace(self) -> None:
        """Let the client send as long as there is nothing else to do."""
        wants = not self._raw or self._may_feed
        if wants and self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        elif not wants and not self.read_paused and not self.transport.is_closing():
            self.read_paused = True
            self.transport.pause_reading()

    def _account(self) -> None:
        """Count what is held."""
        held = len(self._raw) + len(self.conn.reader.buffer) + sum(map(len, self.frames)) + self._queued + self._taken
        more = held - self._counted
        if more > 0 and not self.shared.memory.take(self._owner, more):
            self._refuse()
            return
        if more < 0:
            self.shared.memory.give(self._owner, -more)
        self._counted = held

    def _refuse(self) -> None:
        """There is no room for what the client sends."""
        self._raw.clear()
        self.frames = []
        if self.conn.parser_exc is None and not self.close_sent and not self.transport.is_closing():
            self.conn.fail(TRY_LATER, "too many bytes are held")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.queue.put_nowait({"type": "websocket.disconnect", "code": TRY_LATER})
            self.transport.close()

    # Messages.

    def handle_text(self, event: Frame) -> None:
        """The first frame of a message."""
        self._first(event)

    def handle_bytes(self, event: Frame) -> None:
        """The same."""
        self._first(event)

    def handle_cont(self, event: Frame) -> None:
        """A further frame. They are joined as they come: each alone would cost more than it holds."""
        if self.frames:
            self.frames[0] += event.data
        if event.fin:
            self.send_receive_event_to_app()

    def _first(self, event: Frame) -> None:
        self.frames = [event.data if event.fin else bytearray(event.data)]  # type: ignore[list-item]
        if event.fin:
            self.send_receive_event_to_app()

    def send_receive_event_to_app(self) -> None:
        """A message is whole. Text stays bytes: its reader decodes it once."""
        data, self.frames = bytes(self.frames[0]) if self.frames else b"", []
        if not self.close_sent:
            self._queued = len(data)
            self.queue.put_nowait({"type": "websocket.receive", "bytes": data})

    def handle_ping(self) -> None:
        """Answered as long as the client reads: what it does not read must not pile up (RFC 6455, section 5.5.3)."""
        output = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(output))
