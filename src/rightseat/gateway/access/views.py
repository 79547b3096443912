"""Keys as management and the command show them and take them. No digest leaves here."""

from __future__ import annotations

from typing import Protocol

import msgspec

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import ConfigError
from rightseat.gateway.access.keys import KeyRing
from rightseat.json_types import JsonObject
from rightseat.state.budget import Spent
from rightseat.state.key_record import USUAL_SCOPES, Key
from rightseat.wire.body import BadRequestError

_HIDDEN = ("digest", "previous_digest")
_NUMBERS = ("requests_per_minute", "tokens_per_minute")
_COUNTS = ("daily_tokens", "monthly_tokens")
_LISTS = ("scopes", "models")


class Use(Protocol):
    """Source of what was used: the ledger, or an object that writes pending bookings into it first."""

    async def spent(self) -> dict[str, dict[str, Spent]]:
        """See Ledger."""
        ...


def key_shown(key: Key, clock: Clock = SYSTEM_CLOCK) -> JsonObject:
    """A key for people."""
    value = {name: one for name, one in msgspec.to_builtins(key).items() if name not in _HIDDEN}
    return {**value, "state": key.state(clock.wall())}


async def keys_shown(ring: KeyRing, use: Use, clock: Clock = SYSTEM_CLOCK) -> list[JsonObject]:
    """All keys, with what they used in this day and month."""
    spent = await use.spent()
    return [
        {
            **key_shown(key, clock),
            "used": {name: msgspec.to_builtins(one) for name, one in spent.get(key.id, {}).items()},
        }
        for key in await ring.list()
    ]


def key_fields(body: JsonObject, clock: Clock = SYSTEM_CLOCK) -> JsonObject:
    """The fields of a new key out of a request.

    Raises:
        BadRequestError: naming the field that is wrong.
    """
    known = {"name", "expires_in", *_NUMBERS, *_COUNTS, *_LISTS}
    if unknown := sorted(set(body) - known):
        raise BadRequestError.at(unknown[0][:40], f"no such field; the fields are {', '.join(sorted(known))}")
    fields: JsonObject = {"name": body.get("name")}
    if not isinstance(fields["name"], str):
        raise BadRequestError.at("name", "must be a string")
    for name in _LISTS:
        given = body.get(name)
        if given is None:
            continue
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            raise BadRequestError.at(name, "must be a list of strings")
        fields[name] = tuple(given) or (USUAL_SCOPES if name == "scopes" else ())
    for name in (*_NUMBERS, *_COUNTS):
        counts = name in _COUNTS  # of which 0 is one: nothing may be used
        if (number := _number(body, name, whole=counts, least=0 if counts else None)) is not None:
            fields[name] = number
    if (seconds := _number(body, "expires_in", whole=False)) is not None:
        fields["expires_at"] = clock.wall() + seconds
    try:
        Key(id="x", digest="", created_at=0.0, **fields)
    except ConfigError as e:
        raise BadRequestError(str(e), field=e.field) from e
    return fields


def grace_of(body: JsonObject) -> float:
    """How long the old secret of a rotated key still counts, in seconds. Raises BadRequestError."""
    return _number(body, "grace_seconds", whole=False, least=0) or 0.0


def _number(body: JsonObject, name: str, *, whole: bool, least: float | None = None) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if whole and isinstance(value, float) and value.is_integer():
        value = int(value)  # 5.0 is a whole number in JSON
    fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not fits or not (value > 0 if least is None else value >= least) or value > 1e12:
        bound = "more than 0" if least is None else f"of at least {least:g}"
        raise BadRequestError.at(name, f"must be a {'whole ' if whole else ''}number {bound}")
    return int(value) if whole else float(value)
