"""Signals of a process that serves: SIGINT and SIGTERM stop it, SIGHUP makes it read settings and keys again. Does not know how it serves."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator

from rightseat.log import logger

Reload = Callable[[], Awaitable[None]]


@contextlib.contextmanager
def handled(stop: asyncio.Event, reload: Reload | None) -> Iterator[None]:
    """Handle signals, if this is the main thread.

    Args:
        stop: is set by SIGINT and SIGTERM.
        reload: what SIGHUP does; what it raises is logged, and what was in force stays in force.
    """
    loop = asyncio.get_running_loop()
    reloading: set[asyncio.Future[None]] = set()

    def reload_now() -> None:
        if reload is not None:
            task = asyncio.ensure_future(_reload(reload))
            reloading.add(task)
            task.add_done_callback(reloading.discard)

    handlers = {signal.SIGINT: stop.set, signal.SIGTERM: stop.set, signal.SIGHUP: reload_now}
    added: list[signal.Signals] = []
    with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # not the main thread
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
            added.append(number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # a supervisor blocks it until here
    try:
        yield
    finally:
        for number in added:
            loop.remove_signal_handler(number)
        for task in reloading:
            task.cancel()


async def _reload(reload: Reload) -> None:
    try:
        await reload()
    except Exception as e:  # what was in force stays in force
        logger.error("settings and keys were not read again: %s", e)
