"""Request bodies of any dialect, as far as they are alike: a JSON object, mostly with a model in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import msgspec

from rightseat.errors import CallerError
from rightseat.json_types import Json, JsonObject

_decode = msgspec.json.Decoder().decode


class BadRequestError(CallerError):
    """A request body that is not what the endpoint takes. The message begins with the field that is wrong."""

    @classmethod
    def at(cls, field: str, problem: str) -> Self:
        """The error for one field: its path, and what is wrong with it, as in ("messages[0].role", "must be a string")."""
        return cls(f"{field}: {problem}", field=field)


def json_object(data: bytes) -> JsonObject:
    """A body as a dict. Raises BadRequestError when it is none."""
    try:
        body = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise BadRequestError(f"the body is not JSON: {e}") from e
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    return body


def items(value: Json, where: str) -> list[Json]:
    """A list that may be left out or null. Raises BadRequestError, naming the place, for anything else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRequestError.at(where, "must be a list")
    return value


def mapping(value: Json, where: str) -> JsonObject:
    """An object that may be left out or null. Raises BadRequestError, naming the place, for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequestError.at(where, "must be an object")
    return value


def object_with_model(data: bytes) -> JsonObject:
    """A body that names a model. Raises BadRequestError otherwise."""
    body = json_object(data)
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise BadRequestError.at("model", "must be the name of a model")
    return body


def count(value: object, *path: str) -> int:
    """A number somewhere inside a usage object; 0 for one that is not there, and for one below 0."""
    value = dig(value, *path)
    return max(0, int(value)) if isinstance(value, (int, float)) else 0


def dig(value: Json, *path: str) -> Json:
    """What is somewhere inside objects; None when it is not there."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def list_of(value: Json) -> list[Json]:
    """A list, or an empty one for anything else: what comes from upstream is read as far as it can be."""
    return value if isinstance(value, list) else []


def differs(new: list[Json], old: list[Json]) -> bool:
    """Whether a list was changed: another length, or another object at some place."""
    return len(new) != len(old) or any(a is not b for a, b in zip(new, old, strict=True))


def check_depth(body: JsonObject, deepest: int) -> None:
    """Raises BadRequestError: more containers in each other than `deepest`, which no client writes and other programs may not take."""
    level: list[object] = [body]
    for _ in range(deepest):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, (dict, list))]
        if not level:
            return
    raise BadRequestError.at("body", f"must not be nested more than {deepest} levels deep")


def _inside(container: object) -> Iterable[object]:
    return container.values() if isinstance(container, dict) else container if isinstance(container, list) else ()
