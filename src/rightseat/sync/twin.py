"""What every synchronous twin does: call the asynchronous object on its loop, and give back twins of what that gives.

It does not know which objects there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Self

from rightseat.errors import WrongLoopError
from rightseat.sdk.calling import is_async
from rightseat.sync.loop_thread import LoopThread, loop_thread

_END = object()
_TWINS: dict[type, type[Twin]] = {}
# Options that hold functions of the user's, which may block: they run in threads. Tools do so anyway.
_HANDLERS = frozenset({"hooks", "commands", "system_message", "provider", "providers"})


class Twin:
    """A synchronous object. Subclasses name the class whose twin they are: `class Session(Twin, of=AsyncSession)`."""

    __slots__ = ("__weakref__", "_async", "_thread")
    _of: ClassVar[type]
    _async: Any
    _thread: LoopThread

    def __init_subclass__(cls, of: type | None = None, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if of is not None:
            cls._of, _TWINS[of] = of, cls

    def _make(self, *arguments: object, **options: object) -> None:
        """Make the asynchronous object that this is the twin of."""
        self._thread = loop_thread()
        self._async = self._of(*map(_given, arguments), **_options(options))

    @classmethod
    def _twin(cls, inner: object) -> Self:
        twin = cls.__new__(cls)
        twin._async, twin._thread = inner, loop_thread()
        return twin

    def __enter__(self) -> Self:
        self._wait("__aenter__")
        return self

    def __exit__(self, kind: object, e: object, tb: object) -> None:
        self._wait("__aexit__", kind, e, tb)

    def __repr__(self) -> str:
        return f"<rightseat.sync twin of {self._async!r}>"

    def _wait(self, method: str, *arguments: object, **options: object) -> object:
        """Call a coroutine method, and wait for its result."""
        function = getattr(self._async, method)
        return _got(self._on_loop(lambda: function(*map(_given, arguments), **_options(options))))

    def _do(self, method: str, *arguments: object, **options: object) -> object:
        """Call a plain method on the loop."""
        function = getattr(self._async, method)

        async def call() -> object:
            return function(*map(_given, arguments), **_options(options))

        return self._result(self._on_loop(call))

    def _get(self, name: str) -> object:
        """An attribute."""
        return _got(getattr(self._async, name))

    def _next(self) -> object:
        """The next of what is iterated over. Raises StopIteration at the end."""
        return next(_Pieces(self._async, self._on_loop))

    def _pieces(self) -> _Pieces:
        """Begin to iterate."""

        async def begin() -> AsyncIterator[object]:
            found: AsyncIterator[object] = aiter(self._async)
            return found

        return _Pieces(self._on_loop(begin), self._on_loop)

    @contextlib.contextmanager
    def _block(self, method: str) -> Iterator[Any]:
        """The block of a method that is an asynchronous context manager."""
        block: AbstractAsyncContextManager[object] = getattr(self._async, method)()
        value = _got(self._on_loop(block.__aenter__))
        try:
            yield value
        except BaseException as e:
            error = e
            if not self._on_loop(lambda: block.__aexit__(type(error), error, error.__traceback__)):
                raise
        else:
            self._on_loop(lambda: block.__aexit__(None, None, None))

    def _on_loop(self, work: Callable[[], Awaitable[Any]]) -> Any:
        if self._thread is not loop_thread():
            raise WrongLoopError(
                "an object of rightseat.sync was used in a process that was forked from its own",
                "Make it after the fork.",
            )
        return self._thread.run(work)

    def _result(self, value: object) -> object:
        """What a plain method gave; a function, such as one that ends a subscription, is called on the loop too."""
        if not inspect.isfunction(value):
            return _got(value)
        function: Callable[[], object] = value

        async def call() -> object:
            return function()

        return lambda: self._on_loop(call)


class Owner(Twin):
    """A twin of what holds connections: what is open when the program ends is closed then."""

    __slots__ = ()
    _closes: ClassVar[str]

    def __init_subclass__(cls, closes: str, of: type | None = None, **keywords: Any) -> None:
        super().__init_subclass__(of=of, **keywords)
        cls._closes = closes

    def _on_loop(self, work: Callable[[], Awaitable[Any]]) -> Any:
        self._thread.close_at_end(id(self._async), getattr(self._async, self._closes))
        return super()._on_loop(work)

    def _wait(self, method: str, *arguments: object, **options: object) -> object:
        result = super()._wait(method, *arguments, **options)
        if method in (self._closes, "__aexit__"):
            self._thread.closed(id(self._async))
        return result


class _Pieces:
    """An iteration. Dropping it drops the asynchronous one, which ends it."""

    def __init__(self, pieces: AsyncIterator[object], on_loop: Callable[[Callable[[], Awaitable[Any]]], Any]) -> None:
        self._of = pieces
        self._on_loop = on_loop

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        async def step() -> object:
            return await anext(self._of, _END)

        piece = self._on_loop(step)
        if piece is _END:
            raise StopIteration
        return piece


def _got(value: Any) -> object:
    twin = _TWINS.get(type(value))
    return value if twin is None else twin._twin(value)


def _given(value: object, name: str = "on_") -> object:
    if isinstance(value, Twin):
        return value._async
    if name.startswith("on_"):
        return _threaded(value)
    return _inside(value) if name in _HANDLERS else value


def _options(options: Mapping[str, object]) -> dict[str, Any]:
    return {name: _given(value, name) for name, value in options.items()}


def _inside(value: object) -> object:
    """The same with its functions in threads, however deep in dicts and lists they stand."""
    if isinstance(value, Mapping):
        return {key: _inside(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_inside(inner) for inner in value]
    return _threaded(value)


def _threaded(value: object) -> object:
    """A function of the user's, which may block or use a twin, off the loop."""
    if not callable(value) or isinstance(value, type) or is_async(value):
        return _mapped(value)
    function: Callable[..., object] = value

    @functools.wraps(function)
    async def in_a_thread(*arguments: object) -> object:
        result = await asyncio.to_thread(function, *arguments)
        return await result if inspect.isawaitable(result) else result

    return in_a_thread


def _mapped(value: object) -> object:
    """Options that are given as one dict."""
    if type(value) is dict and any(isinstance(key, str) and key.startswith(("on_", *_HANDLERS)) for key in value):
        return _options(value)
    return value
