"""One event loop in a thread of its own, and calls into it from any other thread.

It does not know what is called.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from rightseat.errors import WrongLoopError
from rightseat.sdk.tasks import CLOSE_SECONDS

MOST_THREADS = 64  # handlers and tools that run at once
SLACK_SECONDS = 0.5  # what a cancelled call may take longer than closing does

R = TypeVar("R")


class LoopThread:
    """The loop. Its thread is started by the first call, and ends with the program."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._at_end: dict[int, Callable[[], Coroutine[Any, Any, None]]] = {}

    def run(self, work: Callable[[], Awaitable[R]]) -> R:
        """Call `work` on the loop, and wait for its result. Whoever is interrupted (Ctrl-C) cancels it, and waits until it has ended.

        Raises:
            WrongLoopError: the call comes from the loop's own thread: a coroutine function, which must not wait, uses a sync object.
        """
        loop = self._running()
        if threading.current_thread() is self._thread:
            raise WrongLoopError(
                "a coroutine function, which runs on the loop of rightseat.sync, waited for an object of it",
                "Make it a plain function: those run in threads.",
            )
        call = _Call(work, loop)
        try:  # an interrupt may come at any point, and nothing has begun before this one
            call.begin(contextvars.copy_context())
            return call.result()
        except BaseException:
            call.cancel()
            raise

    def soon(self, function: Callable[[], object]) -> None:
        """Call a function on the loop, and do not wait. For whatever is dropped, in any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the program ends
            self._running().call_soon_threadsafe(function)

    def close_at_end(self, key: int, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Something is open; if it still is when the program ends, call `close`."""
        self._at_end[key] = close

    def closed(self, key: int) -> None:
        """It is not open any more."""
        self._at_end.pop(key, None)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._loop.set_default_executor(ThreadPoolExecutor(MOST_THREADS, "rightseat-sync"))
                self._thread = threading.Thread(
                    target=self._serve, args=(self._loop,), name="rightseat-sync", daemon=True
                )
                self._thread.start()
                # Before those of concurrent.futures: once they have run, no worker thread can be had, and closing needs some. `atexit`
                # comes after them.
                threading._register_atexit(self._end)  # type: ignore[attr-defined]
            return self._loop

    @staticmethod
    def _serve(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()

    def _end(self) -> None:
        """The program ends: close what is open, in bounded time."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or loop.is_closed():
            return

        async def close() -> None:
            await asyncio.wait(
                [asyncio.ensure_future(close()) for close in self._at_end.values()], timeout=CLOSE_SECONDS
            )

        with contextlib.suppress(BaseException):
            if self._at_end:
                asyncio.run_coroutine_threadsafe(close(), loop).result(CLOSE_SECONDS + SLACK_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SLACK_SECONDS)


class _Call(Generic[R]):
    """One call: its task on the loop, and who waits for it in another thread."""

    def __init__(self, work: Callable[[], Awaitable[R]], loop: asyncio.AbstractEventLoop) -> None:
        self._work = work
        self._loop = loop
        self._done: concurrent.futures.Future[R] = concurrent.futures.Future()
        self._task: asyncio.Task[None] | None = None

    def begin(self, context: contextvars.Context) -> None:
        """Start it, soon."""
        self._loop.call_soon_threadsafe(self._begin, context)

    def result(self) -> R:
        """Wait."""
        return self._done.result()

    def cancel(self) -> None:
        """Nobody waits for the result any more: end it, in bounded time."""
        if not self._done.done():
            self._loop.call_soon_threadsafe(self._cancel)
            concurrent.futures.wait([self._done], CLOSE_SECONDS + SLACK_SECONDS)

    def _begin(self, context: contextvars.Context) -> None:
        self._task = self._loop.create_task(self._run(), context=context)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:
            self._done.cancel()  # it was never begun

    async def _run(self) -> None:
        try:
            self._done.set_result(await self._work())
        except BaseException as e:  # whoever waits gets it, whatever it is
            self._done.set_exception(e)


_of_this_process = [LoopThread()]


def loop_thread() -> LoopThread:
    """The one of this process."""
    return _of_this_process[0]


def _forget() -> None:
    """After a fork: the child has none of its parent's threads, and starts one of its own."""
    _of_this_process[0] = LoopThread()


os.register_at_fork(after_in_child=_forget)
