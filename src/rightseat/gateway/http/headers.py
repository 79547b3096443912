"""Values that become header fields though they come from the inside of a message: checked where they enter. Does not know what they mean."""

from __future__ import annotations

from collections.abc import Collection

from rightseat.wire.body import BadRequestError

_VALUE_LIMIT = 1024  # characters


def header_fields(given: object, allowed: Collection[str]) -> dict[str, str]:
    """Values that a message gives for headers, those that are allowed.

    Raises:
        BadRequestError: one is no text, too long, or could not stand in a header.
    """
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise BadRequestError.at("headers", "must be an object of strings")
    fields: dict[str, str] = {}
    for name, value in given.items():
        if not isinstance(value, str):
            raise BadRequestError.at("headers", "must be an object of strings")
        if name.lower() in allowed:
            fields[name.lower()] = header_value(value, f"headers.{name}")
    return fields


def header_value(value: str, field: str) -> str:
    """A value that may stand in a header (RFC 9110, section 5.5). Raises BadRequestError."""
    if len(value) > _VALUE_LIMIT or not value.isascii() or not value.isprintable():
        raise BadRequestError.at(field, f"must be at most {_VALUE_LIMIT} printable characters of ASCII")
    return value
