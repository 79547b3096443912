"""Session events: the envelope is decoded first, the data on first access.

A turn of six words costs some 100 KB of events, most of which is never read. So an event keeps its data as the bytes that
came, and decodes them at the first `event.data`. This module does not know who listens.

Type checkers are told more than this class says: see `rightseat.wire.events`.

Nothing is lost to version skew: a kind that this version does not know has type UNKNOWN, its own name in `raw_type` and a
`Record` as data; so has a known kind whose data does not fit the catalogue.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct, field
from msgspec.structs import force_setattr

from rightseat.json_types import Json, JsonObject
from rightseat.wire.record import Record, as_record
from rightseat.wire.session_events import DATA_CLASSES, SessionEventType

_EMPTY = Raw(b"{}")


class SessionEvent(Struct, frozen=True, weakref=True):
    """One event of a session (notification `session.event`).

    Attributes:
        type: what happened; UNKNOWN for a kind this version does not know.
        id: the event's own id (a UUID as text), or "" where the CLI gave none.
        parent_id: the event before it in the session's log, or None.
        ephemeral: True for events that the CLI does not store, such as deltas.
        agent_id: set when a sub-agent caused the event; None for the session's own agent.
        raw_type: the kind's name on the wire, also for kinds this version does not know.
    """

    type: SessionEventType
    _raw: Raw = field(default=_EMPTY, name="data")
    id: str = ""
    _timestamp: str = field(default="", name="timestamp")
    parent_id: str | None = field(default=None, name="parentId")
    ephemeral: bool | None = None
    agent_id: str | None = field(default=None, name="agentId")
    _raw_type: str | None = field(default=None, name=" type")
    _data: Json = field(default=None, name=" data")

    @property
    def data(self) -> Json:
        """What the event carries: the class that the catalogue names for its type, else a Record.

        Decoded at the first look and kept.
        """
        if self._data is None:
            force_setattr(self, "_data", _decode_data(self.raw_type, self._raw))
        return self._data

    @property
    def raw(self) -> Record:
        """The data as it came, every field of it, under the wire's names."""
        return _decode_record(self._raw)

    @property
    def raw_type(self) -> str:  # noqa: D102 - documented above
        return self.type.value if self._raw_type is None else self._raw_type

    @property
    def timestamp(self) -> datetime:
        """When it happened, by the CLI's clock.

        Raises:
            ValueError: the CLI gave no time, or one that is not ISO 8601.
        """
        return datetime.fromisoformat(self._timestamp)

    def to_dict(self) -> JsonObject:
        """The event as the plain JSON object that came over the wire."""
        return {
            "type": self.raw_type,
            "data": json.loads(bytes(self._raw)),
            "id": self.id,
            "timestamp": self._timestamp,
            "parentId": self.parent_id,
            **({"ephemeral": True} if self.ephemeral else {}),
            **({"agentId": self.agent_id} if self.agent_id else {}),
        }

    def __repr__(self) -> str:
        return f"SessionEvent({self.raw_type!r}, id={self.id!r}, data={bytes(self._raw)[:120]!r})"


def _dec_hook(kind: type, value: object) -> Json:
    if kind is Record and isinstance(value, dict):
        return as_record(value)
    raise NotImplementedError(kind)


_decoders: dict[str, Callable[[Raw], Any]] = {}


def _decoder(raw_type: str) -> Callable[[Raw], Any]:
    decode = _decoders.get(raw_type)
    if decode is None:
        known = DATA_CLASSES.get(raw_type)
        if known is None:
            return _decode_record  # not kept: unknown names could be without number
        decode = _decoders[raw_type] = msgspec.json.Decoder(known, dec_hook=_dec_hook).decode
    return decode


def _decode_data(raw_type: str, raw: Raw) -> Json:
    try:
        return _decoder(raw_type)(raw)
    except (ValueError, RecursionError, NotImplementedError):
        return _decode_record(raw)


def _decode_record(raw: Raw) -> Record:
    """Any JSON object, also with lone surrogates, which Python's own decoder accepts."""
    try:
        value = json.loads(bytes(raw))
    except (ValueError, RecursionError):
        return Record()
    return Record(as_record(value)) if isinstance(value, dict) else Record(value=as_record(value))
