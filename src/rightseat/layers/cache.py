"""Answers from before, and one call for all who ask the same at the same time. For chat, and for what any async function returns.

An answer is kept as its events and replayed as such: a stream comes as a stream. A call that is under way is a task of its own that
fills a shared list: the first caller may leave, the others get all of it; when the last one leaves, it is cancelled. What a model
may act upon (tools) is never answered from before unless that is asked for, and an answer that broke is not kept. What a function returns
is an answer of one piece; every caller gets the same object, so it should not be changed.
"""

from __future__ import annotations

import functools
import itertools
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol, cast

import msgspec
from msgspec import Struct

from rightseat.chat import Answer, Finish, Reply
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.layers.cache_keys import key_of, key_of_arguments, size_of, size_of_event
from rightseat.layers.checks import number
from rightseat.layers.flight import AnswerKind, Flight
from rightseat.layers.functions import On, P, R, check_function, counting, is_request
from rightseat.layers.observe import answered
from rightseat.layers.transient import is_transient

__all__ = ["Cache", "CachePolicy", "CacheStats", "CacheStore", "Kept", "MemoryCache", "key_of"]

_KEPT_FINISHES = frozenset({"stop", "tool_calls"})
_FUNCTIONS = itertools.count(1)  # a number for each function that is wrapped


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
        events: all of it: chat events, or the one value of a function.
        at: when it was whole.
        size: bytes, about.
        warnings: see Answer.
    """

    events: tuple[Any, ...]
    at: float
    size: int
    warnings: tuple[str, ...] = ()


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


class Cache:
    """The layer. Around a handler it keeps answers as their events; around any other function, what it returns.

        cache = Cache(policy=CachePolicy(seconds=300))
        page = await cache.get_or_compute(url, lambda: fetch(url))      # or: @cache

    Args:
        policy: what is kept.
        store: where; None: in memory, of its own. Handlers that share a store share answers; functions never share any.
        key: (the arguments of the call) -> key, or None: not from before. By default all of a request, or all arguments. Callers who must
            not share answers belong into it.
        on: for which errors an old answer is better than none: types, or a function; by default what passes (OSError, TimeoutError, ours).
        stats: counted into, if given.
        clock: time.

    Attributes:
        stats: see above.
    """

    def __init__(
        self,
        *,
        policy: CachePolicy | None = None,
        store: CacheStore | None = None,
        key: Callable[..., bytes | None] | None = None,
        on: On = is_transient,
        stats: CacheStats | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.policy = policy or CachePolicy()
        self.stats = stats or CacheStats()
        self._store: CacheStore = store if store is not None else MemoryCache(self.policy.max_bytes)
        self._spaces = itertools.count(1) if store is None else None
        self._key = key
        self._on = counting(on)
        self._now = clock.now
        self._flights: dict[bytes, Flight] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """See `totals.Counted`."""
        return msgspec.structs.asdict(self.stats)

    def __call__(self, inner: Callable[P, Awaitable[R]], /) -> Callable[P, Coroutine[Any, Any, R]]:
        """The function, wrapped. Works as a decorator; of a method with `key=`, as objects are no part of a key.

        Raises:
            InvalidOptionError: it cannot be awaited.
        """
        check_function(inner)
        space = b"" if self._spaces is None else b"%d:" % next(self._spaces)
        own = b"%d:" % next(_FUNCTIONS)

        async def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            if is_request(args):
                given: Any = args
                answer: Any = await self._chat(inner, space, given)
                return cast("R", answer)
            key = self._key(*args, **kwargs) if self._key is not None else key_of_arguments(args, kwargs)
            if key is None:
                return await inner(*args, **kwargs)
            return await self._value(own + key, lambda: inner(*args, **kwargs))

        return functools.update_wrapper(wrapped, inner, updated=())

    async def get_or_compute(self, key: str, func: Callable[[], Awaitable[R]]) -> R:
        """What is kept under a key, else what the function returns, which is then kept.

        Who asks while it runs gets the same; what it raises is raised for all of them, and not kept.

        Args:
            key: what two calls must share to have the same answer.
            func: called without arguments.
        """
        return await self._value(b"key:" + key.encode("utf-8", "surrogatepass"), func)

    async def _chat(self, inner: Callable[..., Awaitable[Any]], space: bytes, args: tuple[Any, ...]) -> Any:
        request = args[0]
        key = None if request.tools and not self.policy.tools else (self._key or key_of)(request)
        if key is None:
            return await inner(*args)
        # The first one's deadline is not that of the others.
        alone = msgspec.structs.replace(request, meta=msgspec.structs.replace(request.meta, deadline=None))
        return await self._answer(space + key, lambda: inner(alone, *args[1:]), _CHAT)

    async def _value(self, key: bytes, func: Callable[[], Awaitable[R]]) -> R:
        kept = self._fresh(key)
        if kept is not None:  # the short way: there is one piece
            value: R = kept.events[0]
            return value
        async with await self._answer(key, lambda: _as_answer(func), _VALUE) as answer:
            async for value in answer:
                return value
        raise AssertionError("unreachable")

    def _fresh(self, key: bytes) -> Kept | None:
        kept = self._store.get(key)
        if kept is None or self._now() - kept.at >= self.policy.seconds:
            return None
        self.stats.hits += 1
        answered("hit")
        return kept

    async def _answer(self, key: bytes, ask: Callable[[], Awaitable[Answer[Any]]], kind: AnswerKind) -> Answer[Any]:
        if (kept := self._fresh(key)) is not None:
            return _replayed(kept, kind)
        flight = self._flights.get(key)
        if flight is None or flight.given_up:
            self.stats.misses += 1
            answered("miss")
            flight = self._flights[key] = Flight(ask(), self.policy.max_answer_bytes, kind)
            flight.task.add_done_callback(functools.partial(self._landed, key, flight))
        else:
            self.stats.joined += 1
            answered("joined")
        try:
            return await flight.join()
        except Exception as e:
            stale = self._stale(key, e)
            if stale is None:
                raise
            return _replayed(stale, kind)

    def _stale(self, key: bytes, error: Exception) -> Kept | None:
        kept = self._store.get(key)
        until = self.policy.seconds + self.policy.stale_seconds
        if kept is None or not self._on(error) or self._now() - kept.at >= until:
            return None
        self.stats.stale += 1
        answered("stale")
        return kept

    def _landed(self, key: bytes, flight: Flight, _: object) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if flight.whole:
            self._store.put(key, Kept(tuple(flight.events), self._now(), flight.size, flight.warnings))


def _chat_is_whole(event: object) -> bool | None:
    return event.reason in _KEPT_FINISHES if type(event) is Finish else None


_CHAT = AnswerKind(Reply, size_of_event, _chat_is_whole)
_VALUE = AnswerKind(Answer, size_of, lambda _: True)


async def _as_answer(func: Callable[[], Awaitable[object]]) -> Answer[Any]:
    return Answer(_replay((await func(),)))


def _replayed(kept: Kept, kind: AnswerKind) -> Answer[Any]:
    answer = kind.answer(_replay(kept.events))
    answer.warns(lambda: kept.warnings)
    return answer


async def _replay(pieces: tuple[Any, ...]) -> AsyncIterator[Any]:
    for piece in pieces:
        yield piece
