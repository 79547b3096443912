"""Failures of users' handlers: the first of each is logged, the others are counted.

A handler that always fails would otherwise log a traceback an event, which costs more than the events do.
"""

from __future__ import annotations

from rightseat.log import logger


class Failures:
    """How often handlers failed."""

    def __init__(self) -> None:
        self._counts: dict[int, tuple[object, int]] = {}  # by id: a handler need not be hashable

    def note(self, handler: object, what: str) -> None:
        """It failed when it was called for `what`. For `except` blocks."""
        _, count = self._counts.get(id(handler), (handler, 0))
        self._counts[id(handler)] = (handler, count + 1)
        if count == 0:
            logger.exception("a handler of %s failed; further failures of it are counted", what)

    def sum_up(self, handler: object | None = None) -> None:
        """A handler, or all, will be called no more: log how often they failed."""
        for key in [id(handler)] if handler is not None else list(self._counts):
            failed, count = self._counts.pop(key, (None, 0))
            if count > 1:
                logger.warning("a handler failed %d times: %s", count, getattr(failed, "__qualname__", failed))
