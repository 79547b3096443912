"""The central interface: a request goes in, an answer comes out piece by piece.

    Handler = async (ChatRequest) -> Reply
    Layer   = Handler -> Handler

A handler returns once the head of the answer is known; what is wrong before that is raised by the call, what breaks later is
raised while iterating. The simulator's model, a Python function used as a model, and every upstream are handlers. So is whatever
a layer makes of one; layers do not look at what is asked and answered, so they fit any pair of these (`Service`).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar, overload

import msgspec

from rightseat.chat import (
    Answer,
    ChatRequest,
    Finish,
    Meta,
    ModelEvent,
    ReasoningDelta,
    ReasoningOpaque,
    Reply,
    TextDelta,
    ToolCall,
    ToolCallEvent,
    Usage,
)
from rightseat.errors import InvalidOptionError
from rightseat.ids import SYSTEM_IDS, Ids


class ModelRequest(Protocol):
    """What layers see of a request."""

    @property
    def model(self) -> str:
        """The model that is asked."""

    @property
    def meta(self) -> Meta:
        """Priority, deadline, caller."""


P = ParamSpec("P")
R = TypeVar("R")
Q = TypeVar("Q", bound=ModelRequest)
A = TypeVar("A", bound=Answer[Any])
Service: TypeAlias = Callable[[Q], Awaitable[A]]
Handler: TypeAlias = Callable[[ChatRequest], Awaitable[Reply]]


class Layer(Protocol):
    """Wraps a handler."""

    def __call__(self, inner: Service[Q, A], /) -> Service[Q, A]:
        """The handler, wrapped."""
        ...


class Wrapper(Layer, Protocol):
    """A layer that fits any async function, and so a handler, too."""

    def __call__(self, inner: Callable[P, Awaitable[R]], /) -> Callable[P, Awaitable[R]]:
        """The function, wrapped."""
        ...


@overload
def stack(*layers: Wrapper) -> Wrapper: ...


@overload
def stack(*layers: Layer) -> Layer: ...


def stack(*layers: Layer) -> Layer:
    """Several layers as one: the first is the outermost. Of layers that fit any async function it is one of those."""

    def wrap(inner: Service[Q, A]) -> Service[Q, A]:
        for layer in reversed(layers):
            inner = layer(inner)
        return inner

    return wrap


_EVENTS = (TextDelta, ReasoningDelta, ReasoningOpaque, ToolCallEvent, Usage, Finish)


def as_handler(model: Callable[..., Any]) -> Handler:
    """Any function that can be a model, as a Handler.

    The function takes a ChatRequest and returns, or yields, any of: text; a ToolCall (or a dict with `name` and `arguments`);
    a chat event; a list of these. It may be an async generator, a coroutine function, a generator or a plain function, or an
    object with such a `__call__`. It may also return a Reply, which makes it a Handler already.

    Raises:
        InvalidOptionError: it cannot be called.
    """
    if not callable(model):
        raise InvalidOptionError(
            f"a model must be a function or an object that can be called, not {type(model).__name__}"
        )

    async def handler(request: ChatRequest) -> Reply:
        answer = model(request)
        if inspect.isawaitable(answer):
            answer = await answer
        return answer if isinstance(answer, Reply) else Reply(_complete(_events(answer)))

    return handler


async def _events(answer: object) -> AsyncIterator[ModelEvent]:
    if hasattr(answer, "__aiter__"):
        async for item in answer:
            for event in events_of(item):
                yield event
    elif inspect.isgenerator(answer):
        for item in answer:
            for event in events_of(item):
                yield event
    else:
        for event in events_of(answer):
            yield event


async def _complete(events: AsyncIterator[ModelEvent]) -> AsyncIterator[ModelEvent]:
    """The events with a Finish at the end, should there be none."""
    called = finished = False
    async for event in events:
        called = called or isinstance(event, ToolCallEvent)
        finished = finished or isinstance(event, Finish)
        yield event
    if not finished:
        yield Finish("tool_calls" if called else "stop")


def events_of(item: object) -> list[ModelEvent]:
    """What a model gave (see `as_handler`), as chat events. Raises InvalidOptionError for what it may not give."""
    match item:
        case None:
            return []
        case str():
            return [TextDelta(item)] if item else []
        case ToolCall():
            return [ToolCallEvent(item)]
        case list() | tuple():
            return [event for part in item for event in events_of(part)]
        case Mapping() if "name" in item:
            return [ToolCallEvent(tool_call(str(item["name"]), item.get("arguments") or {}, item.get("id")))]
        case _ if isinstance(item, _EVENTS):
            return [item]
    raise InvalidOptionError(
        f"a model may give text, tool calls or chat events, not {type(item).__name__}: {item!r:.80}"
    )


def tool_call(name: str, arguments: object = None, call_id: str | None = None, *, ids: Ids = SYSTEM_IDS) -> ToolCall:
    """A ToolCall with arguments as values or as JSON text, and an id of its own if none is given."""
    text = arguments if isinstance(arguments, str) else json.dumps(msgspec.to_builtins(arguments or {}))
    return ToolCall(call_id or f"call_{ids.hex(24)}", name, text)
