"""A JSON object that answers to both spellings of a field: `r["tokensRemoved"]` and `r.tokens_removed`.

Used wherever the shape of an object is the peer's business: results of RPC calls, inputs of hooks, events and fields that
the catalogue does not describe. It does not know any particular shape.
"""

from __future__ import annotations

import re
from typing import Any

from rightseat.json_types import JsonObject

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def to_camel(name: str) -> str:
    """`tokens_removed` -> `tokensRemoved`. A name without underscores comes back as it is."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def to_snake(name: str) -> str:
    """`tokensRemoved` -> `tokens_removed`."""
    return _HUMP.sub("_", name).lower()


class Record(JsonObject):
    """A dict whose keys are also attributes, in snake_case or as on the wire. Compares equal to the same plain dict.

    An attribute that is not there raises AttributeError naming the fields that are; use `.get("name")` for maybe.
    A field named like a dict method (`items`, `keys` ...) is reached by `record["items"]` only.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        camel = to_camel(name)
        if camel in self:
            return self[camel]
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"no field {name!r}; this record has: {', '.join(sorted(self)) or 'nothing'}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(to_snake(key) for key in self)]

    def __repr__(self) -> str:
        return f"Record({super().__repr__()})"


def as_record(value: object) -> Any:
    """Every dict inside `value` (a tree of JSON values) as a Record; other values unchanged."""
    if isinstance(value, dict):
        record = Record(value)
        for key, item in value.items():
            if isinstance(item, (dict, list)):
                record[key] = as_record(item)
        return record
    if isinstance(value, list):
        return [as_record(item) if isinstance(item, (dict, list)) else item for item in value]
    return value
