"""What all layers share that fit any async function: a handler of requests, or a plain function with whatever parameters.

A handler is called with a request, which has a `meta` (priority, deadline, caller), and gives an `Answer`, which is over when it is closed.
Any other function has the usual `meta` and is over when it returns. That is the whole difference, and it is decided here and nowhere else.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeAlias, TypeVar

from rightseat.chat import Answer
from rightseat.chat.answer import OnClose
from rightseat.chat.message import USUAL, Meta
from rightseat.errors import DeclinedError, InvalidOptionError

P = ParamSpec("P")
R = TypeVar("R")
Function: TypeAlias = Callable[P, Awaitable[R]]
ErrorTypes: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]
On: TypeAlias = ErrorTypes | Callable[[BaseException], bool]
"""Which errors count: a type, several, or a function that says so."""

ANY = "this function"  # what is asked, where no request names a model


class CallLayer(ABC):
    """A layer around any async function. Its state belongs to it: all functions that it wraps share it."""

    def __call__(self, inner: Callable[P, Awaitable[R]], /) -> Callable[P, Coroutine[Any, Any, R]]:
        """The function, wrapped. Works as a decorator, of methods too.

        Raises:
            InvalidOptionError: it cannot be awaited.
        """
        check_function(inner)
        call = self.call

        async def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            return await call(inner, *args, **kwargs)

        return functools.update_wrapper(wrapped, inner, updated=())

    @abstractmethod
    async def call(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function once, with the layer around it."""


def check_function(function: object) -> None:
    """Raise InvalidOptionError for what a layer cannot stand around."""
    if not callable(function):
        raise InvalidOptionError(f"a layer wraps an async function, not {type(function).__name__}")
    if inspect.isasyncgenfunction(function):
        raise InvalidOptionError(
            f"{getattr(function, '__name__', ANY)} yields: a layer wraps a function that is awaited, such as one that returns an Answer"
        )


def meta_of(args: tuple[object, ...]) -> Meta:
    """Of the request that a handler is called with; the usual one for any other function."""
    meta = getattr(args[0], "meta", None) if args else None
    return meta if isinstance(meta, Meta) else USUAL


def is_request(args: tuple[object, ...]) -> bool:
    """A handler is called."""
    return bool(args) and isinstance(getattr(args[0], "meta", None), Meta)


def model_of(*args: Any, **_: object) -> str:
    """What is asked: a request's model; ANY for a plain function."""
    return str(args[0].model) if is_request(args) else ANY


def caller_of(*args: Any, **_: object) -> str:
    """Who asks."""
    return meta_of(args).caller


def priority_of(*args: Any, **_: object) -> int:
    """How urgent it is."""
    return meta_of(args).priority


def when_over(result: object, callback: OnClose) -> None:
    """Call when the result is over: an Answer when it is closed, anything else now."""
    if isinstance(result, Answer):
        result.on_close(callback)
    else:
        callback(None)


def counting(on: On) -> Callable[[BaseException], bool]:
    """Whether an error counts, as a function.

    What a layer has declined (`DeclinedError`) counts only where it is named: `on=Exception` leaves it out.

    Raises:
        InvalidOptionError: `on` is neither types of errors nor a function.
    """
    kinds = on if isinstance(on, tuple) else (on,)
    if kinds and all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        types: Any = kinds
        named = any(issubclass(kind, DeclinedError) for kind in types)
        return lambda e: isinstance(e, types) and (named or not isinstance(e, DeclinedError))
    if isinstance(on, (tuple, type)) or not callable(on):
        raise InvalidOptionError(f"on: must be types of errors, or a function of an error, not {on!r}")
    return on


def retry_after_of(error: BaseException) -> float | None:
    """Seconds that the server asked to wait, if an error says so."""
    seconds: object = getattr(error, "retry_after", None)
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        return None
    return float(seconds) if seconds >= 0 else None
