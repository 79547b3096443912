"""Session events as everybody uses them, and how they come from the wire.

At run time `SessionEvent` is the one class of `rightseat.wire.envelope`. Type checkers see a union of one class for each kind, generated into
`typed_events.pyi`: `event.data` is known once `event.type` is. That costs nothing at run time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from msgspec import Raw, Struct, field

from rightseat.errors import ProtocolError
from rightseat.wire import envelope
from rightseat.wire.session_events import SessionEventType

if TYPE_CHECKING:
    from rightseat.wire.typed_events import AssistantMessageEvent, SessionEvent
else:
    SessionEvent = AssistantMessageEvent = envelope.SessionEvent

__all__ = ["AssistantMessageEvent", "EventParams", "SessionEvent", "event_from_dict", "event_params_from_raw"]

_KNOWN = {member.value for member in SessionEventType} - {"unknown"}


class EventParams(Struct, frozen=True, gc=False):
    """The parameters of the notification `session.event`."""

    session_id: str = field(name="sessionId")
    event: SessionEvent


def event_params_from_raw(raw: Raw) -> EventParams:
    """The parameters of a `session.event` that do not fit `EventParams` at once: unknown kinds, odd envelopes.

    Raises:
        ProtocolError: there is no session id or no event in it.
    """
    try:
        params = json.loads(bytes(raw))
        return EventParams(params["sessionId"], event_from_dict(params["event"]))
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise ProtocolError(f"a session.event without session id or event: {bytes(raw)[:80]!r}") from e


def event_from_dict(value: Mapping[str, object]) -> SessionEvent:
    """An event from its JSON object, as `session.getMessages` returns them. Raises KeyError without a `type`."""
    raw_type = str(value["type"])
    known = raw_type in _KNOWN

    def text(name: str) -> str | None:
        item = value.get(name)
        return None if item is None else str(item)

    event = envelope.SessionEvent(
        type=SessionEventType(raw_type) if known else SessionEventType.UNKNOWN,
        _raw=Raw(json.dumps(value.get("data") or {}).encode()),
        id=text("id") or "",
        _timestamp=text("timestamp") or "",
        parent_id=text("parentId"),
        ephemeral=bool(value["ephemeral"]) if value.get("ephemeral") is not None else None,
        agent_id=text("agentId"),
        _raw_type=None if known else raw_type,
    )
    return cast("SessionEvent", event)
