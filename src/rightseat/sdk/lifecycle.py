"""Listeners for sessions that are created, changed and deleted. Knows nothing else of sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec
from msgspec import Raw

from rightseat.errors import InvalidOptionError
from rightseat.log import logger
from rightseat.sdk.calling import call
from rightseat.sdk.failures import Failures
from rightseat.sdk.tasks import Tasks
from rightseat.wire.record import Record, as_record

MAX_RUNNING = 1024  # handlers that have not returned; further events are dropped until some have

LifecycleHandler: TypeAlias = Callable[[Record], object]


class LifecycleListeners:
    """The listeners of one client. Each call runs in a task of its own.

    Args:
        tasks: where they run.
    """

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._listeners: tuple[tuple[str | None, LifecycleHandler], ...] = ()
        self._failures = Failures()
        self._running = 0
        self._dropped = 0

    def on(self, arguments: tuple[object, ...]) -> Callable[[], None]:
        """Add a listener: (handler,) or (event type, handler). Returns the function that removes it."""
        *kinds, handler = arguments or (None,)
        if not callable(handler) or len(kinds) > 1:
            raise InvalidOptionError("on_lifecycle takes a handler, or an event type and a handler")
        entry = (str(kinds[0]) if kinds and kinds[0] is not None else None, handler)
        self._listeners = (*self._listeners, entry)

        def remove() -> None:
            self._listeners = tuple(e for e in self._listeners if e is not entry)
            self._failures.sum_up(handler)

        return remove

    def tell(self, params: Raw) -> None:
        """A notification `session.lifecycle`."""
        if not self._listeners:
            return
        event = as_record(msgspec.json.decode(params))
        for kind, handler in self._listeners:
            if kind is not None and kind != event.get("type"):
                continue
            if self._running >= MAX_RUNNING:
                if self._dropped == 0:
                    logger.warning("lifecycle handlers are too slow: events are dropped")
                self._dropped += 1
                continue
            self._running += 1
            self._tasks.spawn(self._run(handler, event), "a lifecycle handler")

    async def _run(self, handler: LifecycleHandler, event: Record) -> None:
        try:
            await call(handler, event)
        except Exception:
            self._failures.note(handler, str(event.get("type")))
        finally:
            self._running -= 1
