"""Bounded concurrency with a bounded priority queue; ageing keeps low priorities from waiting forever.

`QueueState` is the decision: which call is next, which one is dropped. A call's rank is its priority less the time since it came, measured in `ageing_seconds`;
as all wait equally fast, the order of two that wait never changes, so it is a heap and no scan. A call of priority p waits behind
later ones of priority q for at most (q - p) x ageing_seconds. The place is given back when the answer is over, not when it begins.
A call whose deadline is nearer than answers usually take gets no place any more: under overload, all would be spent on answers that
come too late.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

from rightseat.clock import LOOP_CLOCK, Clock
from rightseat.errors import InvalidOptionError, QueueFullError
from rightseat.layers.checks import number
from rightseat.layers.functions import CallLayer, P, R, meta_of, priority_of, when_over


class QueuePolicy(Struct, frozen=True, kw_only=True):
    """How many at once, and how many may wait.

    Attributes:
        concurrency: answers under way at once.
        length: calls that may wait; one more sends away the least urgent.
        wait_seconds: how long a call may wait; None: however long.
        ageing_seconds: so much waiting counts as one step of priority.
    """

    concurrency: int = 64
    length: int = 1000
    wait_seconds: float | None = 60.0
    ageing_seconds: float = 10.0

    def __post_init__(self) -> None:
        number("concurrency", self.concurrency, least=1, whole=True)
        number("length", self.length, least=0, whole=True)
        if self.wait_seconds is not None:
            number("wait_seconds", self.wait_seconds, above=0)
        number("ageing_seconds", self.ageing_seconds, above=0)


class _Waiter:
    __slots__ = ("future", "gone", "key")

    def __init__(self, key: tuple[float, int], future: object) -> None:
        self.key = key
        self.future = future
        self.gone = False

    def __lt__(self, other: _Waiter) -> bool:
        return self.key < other.key


class _LeastUrgent:
    """A waiter, the other way round."""

    __slots__ = ("waiter",)

    def __init__(self, waiter: _Waiter) -> None:
        self.waiter = waiter

    def __lt__(self, other: _LeastUrgent) -> bool:
        return other.waiter.key < self.waiter.key


class QueueState:
    """Which calls wait, and which is next. Pure: the caller passes the time and the item to queue.

    Attributes:
        running: answers under way.
        waiting: how many wait.
    """

    def __init__(self, policy: QueuePolicy) -> None:
        self.policy = policy
        self.running = 0
        self.waiting = 0
        self._heap: list[_Waiter] = []  # the next one first
        self._last: list[_LeastUrgent] = []  # the same, the least urgent first
        self._count = itertools.count()

    def enter(self) -> bool:
        """Take a free place, if there is one and no call waits for it."""
        if self.running >= self.policy.concurrency or self.waiting:
            return False
        self.running += 1
        return True

    def wait(self, priority: int, now: float, item: object) -> tuple[_Waiter | None, Any]:
        """Join the queue: the place in it, or None; and the call that was dropped for it, or None."""
        waiter = _Waiter((now - priority * self.policy.ageing_seconds, next(self._count)), item)
        gone = None
        if self.waiting >= self.policy.length:
            last = self._least_urgent()
            if last is None or last < waiter:
                return None, None
            self.leave(last)
            gone = last.future
        self.waiting += 1
        heapq.heappush(self._heap, waiter)
        heapq.heappush(self._last, _LeastUrgent(waiter))
        return waiter, gone

    def _least_urgent(self) -> _Waiter | None:
        while self._last and self._last[0].waiter.gone:
            heapq.heappop(self._last)
        return self._last[0].waiter if self._last else None

    def leave(self, waiter: _Waiter) -> None:
        """Not waiting any more."""
        if not waiter.gone:
            waiter.gone = True
            self.waiting -= 1
            self._tidy()

    def _tidy(self) -> None:
        """Those who are gone are taken out when they come up; if they are most of the line, all at once."""
        if max(len(self._heap), len(self._last)) > 64 + 2 * self.waiting:
            self._heap = [w for w in self._heap if not w.gone]
            self._last = [w for w in self._last if not w.waiter.gone]
            heapq.heapify(self._heap)
            heapq.heapify(self._last)

    def over(self) -> Any:
        """An answer is over: the call that takes its place, or None."""
        while self._heap:
            waiter = heapq.heappop(self._heap)
            if not waiter.gone:
                self.leave(waiter)
                return waiter.future
        self.running -= 1
        return None


class WaitQueue:
    """The queue on an event loop. May be shared by many handlers.

    Args:
        policy: how many at once, and how many may wait.
        clock: the clock of deadlines; must run as the event loop's.

    Attributes:
        state: the calls that wait, and how many are in progress.
        waited: calls that had to wait.
        declined: calls that were declined.
    """

    def __init__(self, policy: QueuePolicy | None = None, clock: Clock = LOOP_CLOCK) -> None:
        self.clock = clock
        self.state = QueueState(policy or QueuePolicy())
        self.waited = 0
        self.declined = 0
        self._usual = 0.0  # seconds an answer takes: a mean that forgets
        self._deadlines: dict[Any, float] = {}

    async def acquire(self, priority: int = 0, deadline: float | None = None) -> None:
        """Wait for a place; may be cancelled.

        Args:
            priority: more is more urgent.
            deadline: on the clock; None: none.

        Raises:
            QueueFullError: too many wait, this has waited for too long, or would not be done in time.
        """
        state = self.state
        if state.enter():
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        waiter, gone = state.wait(priority, self.clock.now(), future)
        if waiter is None:
            self.declined += 1
            raise QueueFullError(f"{state.waiting} calls are waiting, none of them less urgent", 1.0)
        if gone is not None and not gone.done():
            self.declined += 1
            gone.set_exception(QueueFullError("a more urgent call took this place in the queue", 1.0))
        self.waited += 1
        if deadline is not None:
            self._deadlines[future] = deadline
        seconds = state.policy.wait_seconds
        timer = loop.call_later(seconds, self._too_long, future, seconds) if seconds is not None else None
        try:
            await future
        except BaseException:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.release()  # the place came in the very moment in which the caller left
            raise
        finally:
            if timer is not None:
                timer.cancel()
            state.leave(waiter)
            self._deadlines.pop(future, None)

    def release(self, held: float | None = None) -> None:
        """Release a place; the next call takes it.

        Args:
            held: seconds since it was given; None: it was never used.
        """
        if held is not None:
            self._usual += (held - self._usual) / (8 if self._usual else 1)
        while (future := self.state.over()) is not None:
            if future.done():
                continue
            deadline = self._deadlines.get(future)
            if deadline is not None and self.clock.now() + self._usual > deadline:
                self.declined += 1
                future.set_exception(QueueFullError("waited so long that the deadline cannot be met", 1.0))
                continue
            future.set_result(None)
            return

    def _too_long(self, future: asyncio.Future[None], seconds: float) -> None:
        if not future.done():
            self.declined += 1
            future.set_exception(QueueFullError(f"waited {seconds:g} s in the queue", seconds))


class Queue(CallLayer):
    """The layer.

        queue = Queue(policy=QueuePolicy(concurrency=5))
        answer = await queue.execute(fetch, url)      # or: @queue

    Args:
        policy: how many at once, and how many may wait.
        queue: instead, one that others share.
        priority: (the arguments of the call) -> how urgent it is, more is more; by default a request's own, else 0.

    Attributes:
        queue: see above; it counts what waited and what was declined.
    """

    def __init__(
        self,
        *,
        policy: QueuePolicy | None = None,
        queue: WaitQueue | None = None,
        priority: Callable[..., int] = priority_of,
    ) -> None:
        if policy is not None and queue is not None:
            raise InvalidOptionError("queue: it has a policy; give one of them")
        self.queue = queue or WaitQueue(policy)
        self._priority = priority

    @property
    def counts(self) -> Mapping[str, int]:
        """See `totals.Counted`."""
        return {"waited": self.queue.waited, "declined": self.queue.declined}

    async def call(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See CallLayer.

        Raises:
            QueueFullError: see `WaitQueue.acquire`; the function was not called.
        """
        queue = self.queue
        await queue.acquire(self._priority(*args, **kwargs), meta_of(args).deadline)
        begun = queue.clock.now()
        try:
            result = await func(*args, **kwargs)
        except BaseException:
            queue.release()
            raise
        when_over(result, lambda _: queue.release(queue.clock.now() - begun))
        return result

    execute = call
