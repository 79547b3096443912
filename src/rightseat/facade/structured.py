"""A type of the caller's as the format of an answer: its JSON Schema to be sent, and the answer as a value of it.

Pydantic's models say both themselves; dataclasses, TypedDicts, `msgspec.Struct`s and what is built of them are read by msgspec. Pydantic is
not imported here unless the type is one of its own. Does not know who answers.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from rightseat.chat.structured import in_words
from rightseat.errors import InvalidOptionError
from rightseat.json_types import Json, JsonObject

T = TypeVar("T")

_NAME_CHARS = 64  # of a format's name, as OpenAI takes it
_PROBLEM_CHARS = 1000
# What strict mode has no form for: the schema is sent as it is then, and not as strict.
_LOOSE = ("patternProperties", "prefixItems", "allOf", "not", "if")
_DROPPED = ("default", "discriminator")


class Format(Generic[T]):
    """The format of an answer. Made by `format_of`.

    Args:
        name: of the type, for the model.
        schema: its JSON Schema.
        decode: JSON -> a value of the type; raises ValueError.
    """

    def __init__(self, name: str, schema: JsonObject, decode: Callable[[bytes], T]) -> None:
        self._decode = decode
        self._wrapped = schema.get("type") != "object"  # an answer is an object, for every API
        if self._wrapped:
            definitions = schema.pop("$defs", None)
            schema = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
            schema |= {"$defs": definitions} if definitions else {}
        strict = strict_form(schema)
        named: JsonObject = {"name": name, "schema": schema if strict is None else strict, "strict": strict is not None}
        self.wire: JsonObject = {"type": "json_schema", "json_schema": named}

    def parse(self, text: str) -> T:
        """The value that an answer holds, alone, in a code fence, or among words.

        Raises:
            ValueError: it holds none; the message says why.
        """
        problem: Exception | None = None
        for found in _candidates(text):
            try:
                return self._value(found.encode())
            except (ValueError, RecursionError) as e:
                problem = problem or e
        if problem is None:
            raise ValueError("it holds no JSON")
        raise ValueError(str(problem)[:_PROBLEM_CHARS]) from problem

    def again(self, problem: str) -> str:
        """What is said to a model whose answer did not fit."""
        return f"Your answer does not fit: {problem}\n\n{in_words(self.wire)}"

    def _value(self, data: bytes) -> T:
        if not self._wrapped:
            return self._decode(data)
        try:
            return self._decode(bytes(_value_of(data).value))
        except msgspec.DecodeError:
            return self._decode(data)  # not every model keeps to the wrapping


class _Wrapped(msgspec.Struct):
    value: msgspec.Raw


_value_of = msgspec.json.Decoder(_Wrapped).decode


def format_of(kind: type[T]) -> Format[T]:
    """The format for a type.

    Raises:
        InvalidOptionError: answers cannot be of this type; the message says why.
    """
    name = _name_of(kind)
    try:
        schema, decode = _read(kind)
    except InvalidOptionError:
        raise
    except Exception as e:  # of the type's own making: unsupported fields, names that cannot be resolved
        raise InvalidOptionError(f"response_format: {name} has no JSON Schema: {type(e).__name__}: {e}") from e
    return Format(name, _inlined(schema), decode)


def _read(kind: Any) -> tuple[JsonObject, Callable[[bytes], Any]]:
    is_union = isinstance(kind, types.UnionType)
    if (
        not isinstance(kind, type)
        and not is_union
        and not hasattr(kind, "__origin__")
        and not hasattr(kind, "__value__")
    ):
        problem = f"must be a type or a dict, not {type(kind).__name__}"
        raise InvalidOptionError(f"response_format: {problem}")
    if hasattr(kind, "model_json_schema") and hasattr(kind, "model_validate_json"):
        return dict(kind.model_json_schema()), kind.model_validate_json
    if not hasattr(kind, "__pydantic_fields__"):
        try:
            return dict(msgspec.json.schema(kind)), msgspec.json.Decoder(kind).decode
        except TypeError:
            if "pydantic" not in sys.modules:
                raise
    from pydantic import TypeAdapter  # a dataclass of Pydantic's, or a type that holds one of its models

    adapter = TypeAdapter(kind)
    return dict(adapter.json_schema()), adapter.validate_json


def _name_of(kind: object) -> str:
    name = getattr(kind, "__name__", None) or "answer"
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in str(name))
    return plain[:_NAME_CHARS] or "answer"


def _inlined(schema: JsonObject) -> JsonObject:
    """A schema whose root is a definition, with that definition as its root."""
    reference, definitions = schema.get("$ref"), schema.get("$defs")
    if not isinstance(reference, str) or not isinstance(definitions, Mapping):
        return schema
    root = definitions.get(reference.rpartition("/")[2])
    if not isinstance(root, Mapping):
        return schema
    others = {
        name: value for name, value in definitions.items() if value is not root or _refers(definitions, reference)
    }
    return {**root, **({"$defs": others} if others else {})}


def _refers(value: object, reference: str) -> bool:
    if isinstance(value, Mapping):
        return value.get("$ref") == reference or any(_refers(item, reference) for item in value.values())
    return isinstance(value, list) and any(_refers(item, reference) for item in value)


def strict_form(schema: JsonObject) -> JsonObject | None:
    """A schema as OpenAI's strict mode takes it: no other fields, none left out, no defaults. None: it cannot be put that way."""
    try:
        made = _strict(schema)
    except _Loose:
        return None
    return made if isinstance(made, dict) else None


class _Loose(Exception):  # noqa: N818 - no error: a way out of a recursion
    """The schema allows what strict mode does not."""


def _strict(value: Json) -> Json:
    if isinstance(value, list):
        return [_strict(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "$ref" in value:
        return {"$ref": value["$ref"]}
    if any(name in value for name in _LOOSE) or value.get("additionalProperties"):
        raise _Loose
    made: JsonObject = {}
    for name, item in value.items():
        if name in ("properties", "$defs"):
            made[name] = {key: _strict(inner) for key, inner in item.items()}
        elif name == "oneOf":
            made["anyOf"] = _strict(item)
        elif name in ("enum", "const", "examples"):
            made[name] = item
        elif name not in _DROPPED:
            made[name] = _strict(item)
    if value.get("type") == "object":
        if "properties" not in value:
            raise _Loose
        made |= {"additionalProperties": False, "required": list(value["properties"])}
    return made


def _candidates(text: str) -> Iterator[str]:
    """Where the value may be in an answer: all of it, within a code fence, from the first bracket to the last one."""
    whole = text.strip()
    if whole:
        yield whole
    _, fence, rest = whole.partition("```")
    if fence:
        inner, closing, _ = rest.partition("```")
        _, newline, body = inner.partition("\n")
        if closing and newline:
            yield body.strip()
    for opens, closes in ("{}", "[]"):
        first, last = whole.find(opens), whole.rfind(closes)
        if 0 <= first < last:
            yield whole[first : last + 1]
