"""Answers from before, and one call for all who ask the same at the same time. For chat.

An answer is kept as its events and replayed as such: a stream comes as a stream. A call that is under way is a task of its own that
fills a shared list: the first caller may leave, the others get all of it; when the last one leaves, it is cancelled. What a model
may act upon (tools) is never answered from before unless that is asked for, and an answer that broke is not kept.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from rightseat.chat import (
    ChatRequest,
    Finish,
    ModelEvent,
    ReasoningDelta,
    ReasoningOpaque,
    Reply,
    TextDelta,
    ToolCallEvent,
)
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import RightseatError
from rightseat.handler import Handler
from rightseat.layers.checks import number
from rightseat.layers.observe import answered
from rightseat.layers.transient import is_transient

_KEPT_FINISHES = frozenset({"stop", "tool_calls"})


class CachePolicy(Struct, frozen=True, kw_only=True):
    """What is kept, and for how long.

    Attributes:
        seconds: an answer is given again for so long.
        stale_seconds: and for so much longer, if there is no other.
        max_bytes: of all answers together, about; those not asked for longest go first.
        max_answer_bytes: a larger answer is not kept.
        tools: whether requests with tools are answered from before too.
    """

    seconds: float = 300.0
    stale_seconds: float = 0.0
    max_bytes: int = 64 * 1024 * 1024
    max_answer_bytes: int = 1024 * 1024
    tools: bool = False

    def __post_init__(self) -> None:
        number("seconds", self.seconds, above=0)
        number("stale_seconds", self.stale_seconds)
        number("max_bytes", self.max_bytes, least=1, whole=True)
        number("max_answer_bytes", self.max_answer_bytes, least=1, most=self.max_bytes, whole=True)


class Kept(Struct, frozen=True):
    """An answer that is kept.

    Attributes:
        events: all of it.
        at: when it was whole.
        size: bytes, about.
    """

    events: tuple[ModelEvent, ...]
    at: float
    size: int


class CacheStore(Protocol):
    """Where answers are kept. Must be quick: it is asked within the event loop."""

    def get(self, key: bytes) -> Kept | None:
        """The answer, or None."""

    def put(self, key: bytes, kept: Kept) -> None:
        """Keep an answer."""

    def drop(self, key: bytes) -> None:
        """Forget an answer."""


class MemoryCache:
    """In memory, bounded by size; what was not asked for longest goes first.

    Attributes:
        size: bytes that are kept, about.
    """

    def __init__(self, max_bytes: int = CachePolicy().max_bytes) -> None:
        number("max_bytes", max_bytes, least=1, whole=True)
        self._most = max_bytes
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> Kept | None:
        """See CacheStore."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def put(self, key: bytes, kept: Kept) -> None:
        """See CacheStore."""
        self.drop(key)
        self._kept[key] = kept
        self.size += kept.size
        while self.size > self._most:
            _, gone = self._kept.popitem(last=False)
            self.size -= gone.size

    def drop(self, key: bytes) -> None:
        """See CacheStore."""
        gone = self._kept.pop(key, None)
        if gone is not None:
            self.size -= gone.size


class CacheStats(Struct):
    """Counts, for people.

    Attributes:
        hits: answered from before.
        joined: joined a call that was under way.
        misses: asked.
        stale: answered from before although it was old, because there was no other answer.
    """

    hits: int = 0
    joined: int = 0
    misses: int = 0
    stale: int = 0


def key_of(request: ChatRequest) -> bytes:
    """What two requests must share to have the same answer: everything but whether it is streamed, and who asks how urgently."""
    plain = msgspec.structs.replace(request, stream=False, meta=type(request.meta)())
    extra = {name: value for name, value in request.extra.items() if name not in ("stream", "stream_options", "user")}
    plain = msgspec.structs.replace(plain, extra=extra)
    return hashlib.sha256(msgspec.json.encode(plain, order="sorted", enc_hook=repr)).digest()


class Cache(Struct, frozen=True, kw_only=True):
    """The layer.

    Attributes:
        policy: what is kept.
        store: where; None: in memory, one for each handler that is wrapped.
        key: request -> key, or None: not from before. Callers who must not share answers belong into it.
        stats: counted into, if given.
        clock: time.
    """

    policy: CachePolicy = CachePolicy()
    store: CacheStore | None = None
    key: Callable[[ChatRequest], bytes | None] = key_of
    stats: CacheStats | None = None
    clock: Clock = SYSTEM_CLOCK

    def __call__(self, inner: Handler) -> Handler:
        """See Layer."""
        return _Caching(self, inner)


class _Caching:
    """The handler."""

    def __init__(self, layer: Cache, inner: Handler) -> None:
        self._policy = layer.policy
        self._store: CacheStore = layer.store if layer.store is not None else MemoryCache(layer.policy.max_bytes)
        self._key = layer.key
        self._stats = layer.stats or CacheStats()
        self._now = layer.clock.now
        self._inner = inner
        self._flights: dict[bytes, _Flight] = {}

    async def __call__(self, request: ChatRequest) -> Reply:
        if request.tools and not self._policy.tools:
            return await self._inner(request)
        key = self._key(request)
        if key is None:
            return await self._inner(request)
        kept = self._store.get(key)
        if kept is not None and self._now() - kept.at < self._policy.seconds:
            self._stats.hits += 1
            answered("hit")
            return Reply(_replay(kept.events))
        flight = self._flights.get(key)
        if flight is None or flight.given_up:
            self._stats.misses += 1
            answered("miss")
            # The first one's deadline is not that of the others.
            alone = msgspec.structs.replace(request, meta=msgspec.structs.replace(request.meta, deadline=None))
            flight = self._flights[key] = _Flight(self._inner(alone), self._policy.max_answer_bytes)
            flight.task.add_done_callback(functools.partial(self._landed, key, flight))
        else:
            self._stats.joined += 1
            answered("joined")
        try:
            return await flight.join()
        except RightseatError as e:
            if (
                kept is None
                or not is_transient(e)
                or self._now() - kept.at >= self._policy.seconds + self._policy.stale_seconds
            ):
                raise
            self._stats.stale += 1
            answered("stale")
            return Reply(_replay(kept.events))

    def _landed(self, key: bytes, flight: _Flight, _: object) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if flight.whole:
            self._store.put(key, Kept(tuple(flight.events), self._now(), flight.size))


class _Flight:
    """One call that is under way, and all who want its answer."""

    def __init__(self, call: object, most: int) -> None:
        self.events: list[ModelEvent] = []
        self.size = 0
        self.whole = False
        self.given_up = False
        self._most = most
        self._readers = 0
        self._error: BaseException | None = None
        self._over = False
        self._head = asyncio.get_running_loop().create_future()
        self._news: asyncio.Future[None] | None = None
        self.task = asyncio.ensure_future(self._run(call))

    async def join(self) -> Reply:
        """One more reader. Returns when the head is known."""
        self._readers += 1
        try:
            await asyncio.shield(self._head)
        except BaseException:
            self._leave()
            raise
        reply = Reply(self._read())
        reply.on_close(lambda _: self._leave())
        return reply

    def _leave(self) -> None:
        self._readers -= 1
        if not self._readers and not self._over:
            self.given_up = True
            self.task.cancel()

    async def _run(self, call: Any) -> None:
        reply = None
        try:
            reply = await call
            if not self._head.done():
                self._head.set_result(None)
            finish = ""
            async with reply:
                async for event in reply:
                    self.events.append(event)
                    self.size += _size(event)
                    if type(event) is Finish:
                        finish = event.reason
                    self._tell()
            self.whole = finish in _KEPT_FINISHES and self.size <= self._most
        except asyncio.CancelledError:
            self._error = RightseatError("the call was cancelled, because no caller is waiting for its answer")
            raise
        except BaseException as e:
            self._error = e
        finally:
            self._over = True
            if not self._head.done():
                if self._error is None:
                    self._head.set_result(None)
                else:
                    self._head.set_exception(self._error)
                    self._head.exception()  # there may be no caller left
            self._tell()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
        self._news = None

    async def _read(self) -> AsyncIterator[ModelEvent]:
        at = 0
        while True:
            while at < len(self.events):
                yield self.events[at]
                at += 1
            if self._over:
                if self._error is not None:
                    raise self._error
                return
            if self._news is None:
                self._news = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._news)


async def _replay(events: tuple[ModelEvent, ...]) -> AsyncIterator[ModelEvent]:
    for event in events:
        yield event


def _size(event: ModelEvent) -> int:
    match event:
        case TextDelta(text) | ReasoningDelta(text):
            return 64 + len(text)
        case ReasoningOpaque(data):
            return 64 + len(data)
        case ToolCallEvent(call):
            return 128 + len(call.arguments)
        case _:
            return 64
