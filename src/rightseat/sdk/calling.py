"""Calling what users gave us: sync or async, with as many of our arguments as it takes.

Shared by tools, permissions, hooks and questions. It does not know what is called for what.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable


def _positional(function: Callable[..., object]) -> int:
    """How many positional arguments a function takes; a large number for *args."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-ins have no signature
        return 1
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 99
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


async def call(function: Callable[..., object], *arguments: object) -> object:
    """Call with the arguments that fit, and await what needs awaiting."""
    result = function(*arguments[: _positional(function)])
    return await result if inspect.isawaitable(result) else result


def is_async(function: Callable[..., object]) -> bool:
    """A coroutine function, also behind functools.partial or an object's __call__."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
