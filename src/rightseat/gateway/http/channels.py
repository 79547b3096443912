"""Many streams on one socket: their frames, kept until the client has taken them, over as many connections as it takes.

A channel is one request's answer as numbered frames. A session is the channels of one client. Frames are not pushed to a connection: they are
put into their channel, and the connection takes them when it can, so that each goes out once per connection and in order, however the client
disconnects and comes back. This module knows numbers and bytes. It does not know what the frames say, who the client is, and what
carries them.

    open --end--> ended --last ack--> done (and forgotten)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque

import msgspec
from msgspec import Struct

from rightseat.errors import DeclinedError
from rightseat.gateway.http.limits import MemoryBudget
from rightseat.json_types import JsonObject

WINDOW = 256  # frames of a channel that may be unacknowledged
WINDOW_BYTES = 1024 * 1024  # and their bytes, one frame beyond it included
SESSION_BYTES = 16 * 1024 * 1024  # of all channels of a session
STALL_SECONDS = 60.0  # that a frame waits for the client
_SMALL = 64 * 1024  # bytes: frames that may wait for room; larger ones have some at once, or never

_encode = msgspec.json.Encoder().encode


class StalledError(DeclinedError):
    """The client does not take what it has asked for."""

    status_hint = 503


class _Kept(Struct, frozen=True, gc=False):
    """A frame.

    Attributes:
        seq: its number.
        text: its bytes.
        shared: how many of them count in the shared budget,
        windowed: and in the session's.
    """

    seq: int
    text: bytes
    shared: int
    windowed: int


class Channel:
    """One stream of a session.

    Args:
        session: it belongs to.
        channel_id: the client's name for it.

    Attributes:
        is_over: its last frame is there.
    """

    def __init__(self, session: Session, channel_id: str) -> None:
        self.id = channel_id
        self.is_over = False
        self._session = session
        self._name = _encode(channel_id)
        self._kept: deque[_Kept] = deque()
        self._bytes = 0
        self._seq = 0
        self._sent = 0  # up to which frames went out on this connection,
        self._told = 0  # and on any
        self._is_live = (
            True  # frames go out as they come; after a lost connection only once the client has asked for them
        )
        self._is_free = False  # nothing waits for the client any more
        self._room = asyncio.Event()
        self._waiting: asyncio.Timeout | None = None

    @property
    def is_done(self) -> bool:
        """Nothing of it is needed any more."""
        return self.is_over and not self._kept

    @property
    def held(self) -> int:
        """Bytes of frames that are kept."""
        return self._bytes

    async def put(self, kind: str, fields: JsonObject) -> None:
        """The next frame. Waits while the client has not taken those before it.

        Raises:
            StalledError: it does not for too long, or holds so much that there is no room for this one.
        """
        if self._is_free:
            self.put_now(kind, fields)
            return
        rest = self._rest(kind, fields)
        size = len(rest) + 32
        windowed = min(size, WINDOW_BYTES)
        if self._has_room and self._session.take(self.id, size, windowed):
            self._append(rest, size, windowed)
            return
        try:
            async with asyncio.timeout(STALL_SECONDS) as self._waiting:
                await self._wait(size, windowed)
        except TimeoutError:
            if not self._is_free:
                raise StalledError(f"the client took nothing for {STALL_SECONDS:g} s", code="stalled") from None
            size = windowed = 0
        finally:
            self._waiting = None
        self._append(rest, size, windowed)

    def put_now(self, kind: str, fields: JsonObject) -> None:
        """A frame that waits for nothing: what ends a stream. Small."""
        rest = self._rest(kind, fields)
        size = len(rest) + 32
        taken = self._session.take(self.id, size, size)
        self._append(rest, size if taken else 0, size if taken else 0)

    def end(self, status: str) -> None:
        """The last frame. Once; what follows is nothing."""
        if not self.is_over:
            self.put_now("end", {"status": status})
            self.is_over = True
            self.free()

    def free(self) -> None:
        """Let nothing wait for the client any more: the stream is to end."""
        self._is_free = True
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    def ack(self, seq: int) -> None:
        """The client has taken everything up to `seq`."""
        seq = min(seq, self._told)
        while self._kept and self._kept[0].seq <= seq:
            self._drop()
        if self._has_room:
            self._room.set()

    def resume(self, seq: int) -> None:
        """Go on behind `seq` on this connection."""
        self.ack(seq)
        self._sent, self._is_live = min(seq, self._told), True
        self._session.is_ready(self)

    def pause(self) -> None:
        """The connection is lost: nothing goes out until the client asks for it."""
        self._is_live = False

    def drop(self) -> None:
        """Forget everything."""
        self.is_over = True
        while self._kept:
            self._drop()
        self.free()

    def next(self) -> bytes | None:
        """The next frame for this connection; None: there is none now."""
        if not self._is_live or self._sent >= self._seq or not self._kept:
            return None
        frame = self._kept[max(0, self._sent + 1 - self._kept[0].seq)]
        self._sent = frame.seq
        self._told = max(self._told, frame.seq)
        return frame.text

    # How frames are kept.

    @property
    def _has_room(self) -> bool:
        return len(self._kept) < WINDOW and self._bytes < WINDOW_BYTES

    async def _wait(self, size: int, windowed: int) -> None:
        """Take room in every budget. What is waited for is counted already, but for small frames."""
        session = self._session
        await session.acquire_shared(size)
        try:
            await session.window.acquire(self.id, windowed)
        except BaseException:
            session.give_shared(size)
            raise
        try:
            while not self._has_room:
                self._room.clear()
                await self._room.wait()
        except BaseException:
            session.give(self.id, size, windowed)
            raise

    def _rest(self, kind: str, fields: JsonObject) -> bytes:
        return b'{"type":"%b","id":%b,%b' % (kind.encode(), self._name, _encode(fields)[1:])

    def _append(self, rest: bytes, shared: int, windowed: int) -> None:
        if self.is_over:  # it was dropped meanwhile
            self._session.give(self.id, shared, windowed)
            return
        self._seq += 1
        text = b'%b,"seq":%d}' % (rest[:-1], self._seq)
        self._kept.append(_Kept(self._seq, text, shared, windowed))
        self._bytes += len(text)
        if self._is_live:
            self._session.is_ready(self)

    def _drop(self) -> None:
        frame = self._kept.popleft()
        self._bytes -= len(frame.text)
        self._session.give(self.id, frame.shared, frame.windowed)


class Session:
    """The channels of one client.

    Args:
        session_id: a secret of the client's.
        owner: for whom its bytes are counted.
        memory: shared by all sessions.

    Attributes:
        channels: by their ids.
        window: what its channels may hold together.
    """

    def __init__(self, session_id: str, owner: str, memory: MemoryBudget) -> None:
        self.id = session_id
        self.owner = owner
        self.channels: dict[str, Channel] = {}
        self.window = MemoryBudget(SESSION_BYTES)
        self._memory = memory
        self._ready: OrderedDict[str, Channel] = OrderedDict()
        self._wake = asyncio.Event()

    def open(self, channel_id: str) -> Channel:
        """A new channel."""
        channel = self.channels[channel_id] = Channel(self, channel_id)
        return channel

    def forget(self, channel: Channel) -> None:
        """Drop a channel and everything it holds."""
        if self.channels.get(channel.id) is channel:
            del self.channels[channel.id]
        channel.drop()

    def pause(self) -> None:
        """The connection is lost, or another one takes over."""
        self._ready.clear()
        for channel in self.channels.values():
            channel.pause()

    def is_ready(self, channel: Channel) -> None:
        """It may have a frame for the connection."""
        self._ready[channel.id] = channel
        self._wake.set()

    def wake(self) -> None:
        """Let the connection look again."""
        self._wake.set()

    def next(self) -> bytes | None:
        """The next frame for the connection, the channels taking turns; None: there is none now."""
        while self._ready:
            name, channel = self._ready.popitem(last=False)
            if (text := channel.next()) is not None:
                self._ready[name] = channel
                return text
        return None

    async def changed(self) -> None:
        """Wait until there may be a frame."""
        await self._wake.wait()
        self._wake.clear()

    # Memory.

    def take(self, channel_id: str, shared: int, windowed: int) -> bool:
        """Hold some more, now."""
        if not self._memory.take(self.owner, shared):
            return False
        if self.window.take(channel_id, windowed):
            return True
        self._memory.give(self.owner, shared)
        return False

    async def acquire_shared(self, size: int) -> None:
        """Hold some more of what all sessions share. Raises StalledError: it is much, and there is no room."""
        if size <= _SMALL:
            with contextlib.suppress(ValueError):
                await self._memory.acquire(self.owner, size)
                return
        elif self._memory.take(self.owner, size):
            return
        raise StalledError("the client has too much that it has not taken", code="stalled")

    def give_shared(self, size: int) -> None:
        """Hold less of it."""
        self._memory.give(self.owner, size)

    def give(self, channel_id: str, shared: int, windowed: int) -> None:
        """Hold so much less."""
        if shared:
            self._memory.give(self.owner, shared)
        if windowed:
            self.window.give(channel_id, windowed)
