"""A time for the whole call, the answer to its last word included, and one for silence within it.

The timer is set once a call, not once a piece: each piece costs two assignments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from rightseat.chat import Answer
from rightseat.clock import LOOP_CLOCK, Clock
from rightseat.errors import DeadlineExceededError
from rightseat.layers.checks import number
from rightseat.layers.functions import CallLayer, P, R, is_request


class Deadline(CallLayer):
    """The layer.

        @Deadline(30)
        async def fetch(url): ...

    Args:
        seconds: for the whole call. A deadline that the request has already is kept if it is earlier.
        silence: seconds without a piece of the answer; None: as long as there is time. Of no meaning for what is no answer in pieces.
        clock: the clock of deadlines; must run as the event loop's.
    """

    def __init__(self, seconds: float = 300.0, silence: float | None = None, clock: Clock = LOOP_CLOCK) -> None:
        number("seconds", seconds, above=0)
        if silence is not None:
            number("silence", silence, above=0)
        self.seconds = seconds
        self.silence = silence
        self._clock = clock

    async def call(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See CallLayer.

        Raises:
            DeadlineExceededError: the time is over; the function was cancelled.
        """
        left, given = self._limited(args)
        watch = _Watch(left, self.silence, self._clock)
        try:
            result: R = await watch.head(func(*given, **kwargs))
        except BaseException:
            watch.stop()
            raise
        if isinstance(result, Answer):
            result.guard(watch)
            result.on_close(watch.stop)
        else:
            watch.stop()
        return result

    def _limited(self, args: Any) -> tuple[float, Any]:
        """Seconds that are left, and the arguments: a request with its deadline in it."""
        if not is_request(args):
            return self.seconds, args
        request, now = args[0], self._clock.now()
        at, given = now + self.seconds, request.meta.deadline
        if given is not None and given < at:
            if given <= now:
                raise DeadlineExceededError("the deadline had passed before the call was made")
            return given - now, args
        meta = msgspec.structs.replace(request.meta, deadline=at)
        return self.seconds, (msgspec.structs.replace(request, meta=meta), *args[1:])


class _Watch:
    """One call: a timer, and the task that waits for the next piece, if one does."""

    __slots__ = ("_clock", "_expired", "_last", "_loop", "_silence", "_task", "_timers", "_why")

    def __init__(self, seconds: float, silence: float | None, clock: Clock) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._task: asyncio.Task[Any] | None = None
        self._expired = False
        self._why = ""
        self._silence = silence
        self._last = self._clock.now()
        self._timers = [self._loop.call_later(seconds, self._expire, f"no complete answer within {seconds:.3g} s")]

    async def head(self, call: Any) -> Any:
        """The head of the answer."""
        self._task = asyncio.current_task()
        try:
            answer = await call
        except asyncio.CancelledError:
            if self._ours():
                raise DeadlineExceededError(self._why) from None
            raise
        finally:
            self._task = None
        if self._expired:  # it came in the very moment
            if isinstance(answer, Answer):
                await answer.aclose()
            self._ours()
            raise DeadlineExceededError(self._why)
        if self._silence is not None and isinstance(answer, Answer):
            self._last = self._clock.now()
            self._timers.append(self._loop.call_later(self._silence, self._look))
        return answer

    def waiting(self) -> None:
        """See Guard."""
        if self._expired:
            raise DeadlineExceededError(self._why)
        self._task = asyncio.current_task()  # not always the same

    def came(self) -> None:
        """See Guard."""
        self._task = None
        if self._silence is not None:
            self._last = self._clock.now()

    def passed(self) -> None:
        """See Guard."""
        if self._silence is not None:
            self._last = self._clock.now()

    def error(self, e: BaseException) -> BaseException:
        """See Guard."""
        self._task = None
        return DeadlineExceededError(self._why) if isinstance(e, asyncio.CancelledError) and self._ours() else e

    def stop(self, _: BaseException | None = None) -> None:
        """The call is over."""
        for timer in self._timers:
            timer.cancel()

    def _ours(self) -> bool:
        """The cancellation is ours alone."""
        task = asyncio.current_task()
        return self._expired and task is not None and task.uncancel() == 0

    def _expire(self, why: str) -> None:
        self._expired, self._why = True, why
        if self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        assert self._silence is not None
        left = self._last + self._silence - self._clock.now()
        if left <= 0:
            self._expire(f"no data for {self._silence:g} s")
        else:
            self._timers[-1] = self._loop.call_later(left, self._look)
