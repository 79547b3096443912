"""What two calls must share to have the same answer, and about how large an answer is. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from rightseat.chat import ChatRequest, ModelEvent, ReasoningDelta, ReasoningOpaque, TextDelta, ToolCallEvent
from rightseat.errors import InvalidOptionError

_PLAIN = (str, int, float, bool, bytes, type(None))
_MOST_LOOKED_AT = 10_000  # objects within a value


def key_of(request: ChatRequest) -> bytes:
    """What two requests must share: everything but whether it is streamed, and who asks how urgently."""
    plain = msgspec.structs.replace(request, stream=False, meta=type(request.meta)())
    extra = {name: value for name, value in request.extra.items() if name not in ("stream", "stream_options", "user")}
    plain = msgspec.structs.replace(plain, extra=extra)
    import hashlib  # OpenSSL, which few need

    return hashlib.sha256(msgspec.json.encode(plain, order="sorted", enc_hook=repr)).digest()


def key_of_arguments(args: tuple[object, ...], kwargs: Mapping[str, object]) -> bytes:
    """What two calls of a function must share: all arguments, by value and type.

    Raises:
        InvalidOptionError: one is an object that may be equal to another and still not the same; the message says what to do.
    """
    named = sorted(kwargs.items())
    for value in (*args, *kwargs.values()):
        _check_plain(value)
    import hashlib

    return hashlib.sha256(repr((args, named)).encode("utf-8", "surrogatepass")).digest()


def _check_plain(value: object) -> None:
    """Only what `repr` tells apart for certain: the plain types, and lists, tuples and dicts of them."""
    ahead, seen = [value], set[int]()
    while ahead:
        one = ahead.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if type(one) in (list, tuple):
            ahead += one  # type: ignore[arg-type]
        elif type(one) is dict:
            ahead += [*one.keys(), *one.values()]
        elif type(one) not in _PLAIN:
            raise InvalidOptionError(
                f"a cache cannot tell by an argument of type {type(one).__name__} whether two calls are the same: give key="
            )


def size_of_event(event: ModelEvent) -> int:
    """Bytes of a chat event, about."""
    match event:
        case TextDelta(text) | ReasoningDelta(text):
            return 64 + len(text)
        case ReasoningOpaque(data):
            return 64 + len(data)
        case ToolCallEvent(call):
            return 128 + len(call.arguments)
        case _:
            return 64


def size_of(value: object) -> int:
    """Bytes of any value with what it holds, about: beyond 10 000 objects it is taken to go on as it began."""
    total, seen = 0, set[int]()
    ahead: list[Any] = [value]
    while ahead and len(seen) < _MOST_LOOKED_AT:
        one = ahead.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        total += sys.getsizeof(one, 64)
        ahead += _within(one)
    return 64 + total * (1 + len(ahead) // max(1, len(seen)))


def _within(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    if isinstance(value, msgspec.Struct):
        return [getattr(value, name) for name in value.__struct_fields__]
    return list(getattr(value, "__dict__", {}).values())
