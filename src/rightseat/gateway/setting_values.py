"""Values out of a file, the environment or the command line, made into a struct of settings: with our words for what is wrong.

It knows kinds and names, not what a setting is for. A value is shown in an error only where it cannot be a secret: numbers, switches and
choices.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from rightseat.errors import ConfigError
from rightseat.errors.nearest import did_you_mean

S = TypeVar("S", bound=msgspec.Struct)

_SHOWN = 60  # characters of a wrong value
_KINDS: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    tuple: "a list of strings",
    dict: "a table of strings",
}


def convert(values: Mapping[str, object], kind: type[S], places: Mapping[str, str], prefix: str = "") -> S:
    """A struct of settings.

    Args:
        values: name -> value; texts stand for numbers and switches, too.
        kind: the struct.
        places: name -> where its value comes from, for errors.
        prefix: of names in errors, as in "editor.".

    Raises:
        ConfigError: "NAME: no such setting; did you mean NEAREST?", or "NAME: must be KIND", with the place.
    """
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for name in values:
        if name not in fields:
            hint = did_you_mean(name, fields, prefix)
            raise ConfigError(f"{prefix}{name[:_SHOWN]}: no such setting{hint}{_place(places, name)}")
    made = {name: _value(value, fields[name], f"{prefix}{name}", places, name) for name, value in values.items()}
    return kind(**made)


def unknown_variables(environment: Collection[str], prefix: str, known: Collection[str]) -> list[tuple[str, str]]:
    """Variables that begin with the prefix and mean nothing: each with a hint at the nearest known one, or with ""."""
    names = {f"{prefix}{name}" for name in known}
    found = sorted(name for name in environment if name.startswith(prefix) and name not in names)
    return [(name, did_you_mean(name, names)) for name in found]


def _value(value: object, kind: object, name: str, places: Mapping[str, str], at: str) -> Any:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, Mapping):
        return convert(value, kind, dict.fromkeys(value, places.get(at, "")), f"{name}.")
    try:
        made = msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, OverflowError):
        raise ConfigError(f"{name}: must be {_kind(kind)}{_shown(value, kind)}{_place(places, at)}") from None
    if isinstance(made, float) and not math.isfinite(made):
        raise ConfigError(f"{name}: must be a finite number{_place(places, at)}")
    return made


def _kind(kind: object) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    return _KINDS.get(get_origin(kind) or kind, "a table")


def _shown(value: object, kind: object) -> str:
    harmless = kind in (bool, int, float) or get_origin(kind) is Literal
    return f", not {str(value)[:_SHOWN]!r}" if harmless and isinstance(value, (str, int, float)) else ""


def _place(places: Mapping[str, str], name: str) -> str:
    place = places.get(name, "")
    return f" ({place})" if place else ""
