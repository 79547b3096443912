"""One more try without a field that upstream refused by name, and from then on without asking. Knows no dialect.

What is known to be refused is left out before; see the `fit` of each dialect. This is for what is not known yet.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TypeAlias

import msgspec

from rightseat.errors import UpstreamError
from rightseat.json_types import Json

Field: TypeAlias = tuple[str, ...]
_EXTRA = re.compile(r"^([\w.$\[\]-]{1,300}): Extra inputs are not permitted")
_UNKNOWN = re.compile(r"^(?:Unknown|Unsupported) parameter: '?([\w.$\[\]-]{1,300})'?")
_CODES = frozenset({"unknown_parameter", "unsupported_parameter", "unsupported_value"})
_TAGS = frozenset(
    {"custom", "ephemeral", "text", "tool_use", "tool_result", "thinking", "function", "image", "document"}
)  # of variants, which are no members
_NEEDED = frozenset({"model", "messages", "input", "max_tokens", "stream", "content", "role", "type", "name", "text"})
_MODELS, _FIELDS = 256, 32


def refused_field(error: UpstreamError) -> Field | None:
    """The field that an error refuses by name: the name of a member, after that of the member it is in. None: there is none that could be left out."""
    if error.status != 400:
        return None
    found = _EXTRA.match(error.message) or _UNKNOWN.match(error.message)
    path = found[1] if found is not None else error.field if error.code in _CODES else None
    if not path:
        return None
    names = [name for name in re.split(r"[.\[\]]", path) if name and not name.isdigit()]
    names = [name for i, name in enumerate(names) if name not in _TAGS or i == len(names) - 1]
    return None if not names or names[-1] in _NEEDED else tuple(names[-2:])


def without(data: bytes, fields: tuple[Field, ...]) -> bytes:
    """A body without fields, wherever a field of that kind is. The very same bytes where it has none of them."""
    if not any(b'"%b"' % field[-1].encode() in data for field in fields):
        return data
    body = msgspec.json.decode(data)
    changed = [_drop(body, field) for field in fields]
    return msgspec.json.encode(body) if any(changed) else data


def _drop(body: Json, field: Field) -> bool:
    if not isinstance(body, dict):
        return False
    if len(field) == 1:
        return body.pop(field[0], _MISSING) is not _MISSING
    holder, name = field
    changed = False
    pending: list[Json] = [body]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            inner = value.get(holder)
            for one in inner if isinstance(inner, list) else [inner]:
                if isinstance(one, dict) and name in one:
                    del one[name]
                    changed = True
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return changed


class RefusedFields:
    """What models have refused, as long as this process lives. Bounded: the model that was met first is forgotten first."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, tuple[Field, ...]] = OrderedDict()

    def of(self, model: str) -> tuple[Field, ...]:
        """The fields that a model has refused."""
        return self._of.get(model, ())

    def add(self, model: str, field: Field) -> None:
        """A model has refused a field."""
        known = self._of.pop(model, ())
        self._of[model] = (*known, field)[-_FIELDS:] if field not in known else known
        while len(self._of) > _MODELS:
            self._of.popitem(last=False)


_MISSING = object()
