"""A stream of OpenAI responses' events that passes through.

Copilot gives different item ids to the events of one output item; they are made one, and all other bytes stay as they are.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from rightseat.json_types import Json
from rightseat.wire.body import dig
from rightseat.wire.openai_responses import collaboration
from rightseat.wire.openai_responses.read import ENDINGS, usage_of_response
from rightseat.wire.relay import Ending, EventRelay, split_events
from rightseat.wire.sse import MAX_EVENT_BYTES

_FAILED = ("error", "response.failed", "response.cancelled")
_ITEMS = 4096  # of which ids are kept


class _Item(Struct):
    id: str | None = None


class _ResponseFrame(Struct):
    output: list[_Item] = []


class _Head(Struct):
    """As much of an event as is looked at."""

    type: str = ""
    output_index: int | None = None
    item_id: str | None = None
    item: msgspec.Raw = msgspec.Raw(b"null")


class _Last(Struct):
    """As much of a last event."""

    response: _ResponseFrame | None = None


_head = msgspec.json.Decoder(_Head).decode
_item = msgspec.json.Decoder(_Item).decode
_last = msgspec.json.Decoder(_Last).decode
_NOT_SO = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError)


class ResponseRelay(EventRelay):
    """See EventRelay. Every event as it came, but for item ids that differ within one item."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        super().__init__(max_event_bytes)
        self._marker = b"data:"  # all events
        self._ids: dict[int, str] = {}
        self._changed = False

    def _judge(self, events: list[Json]) -> Ending:
        for event in reversed(events):
            kind = dig(event, "type")
            if isinstance(kind, str) and kind in ENDINGS:
                usage = usage_of_response(dig(event, "response"))
                return Ending(complete=True, failed=kind in _FAILED, usage=usage, is_final=usage is not None)
        return Ending()

    def _rewritten(self, chunk: bytes) -> bytes:
        self._changed = False
        if b"\r" in chunk:
            rewritten = b"".join([self._same(event) for event in split_events(chunk)])
        else:
            rewritten = b"\n\n".join([self._same(event) for event in chunk.split(b"\n\n")])
        return rewritten if self._changed else chunk

    def _same(self, event: bytes) -> bytes:
        at = event.find(b"data:")
        if at < 0:
            return event
        data = event[at + 5 :]
        if collaboration.may_hold(data) and (plain := collaboration.restored(data)) is not data:
            self._changed = True
            event, data = b"%bdata: %b" % (event[:at], plain), plain
        try:
            head = _head(data)
            if head.type in ENDINGS:
                last = _last(data).response
                for i, item in enumerate(last.output if last is not None else ()):
                    event = self._renamed(event, i, item.id)
            elif head.output_index is not None:
                said = head.item_id if head.item_id is not None else _item(head.item).id
                event = self._renamed(event, head.output_index, said)
        except _NOT_SO:
            pass  # not ours to judge
        return event

    def _renamed(self, event: bytes, index: int, said: str | None) -> bytes:
        if said is None or (index not in self._ids and len(self._ids) >= _ITEMS):
            return event
        kept = self._ids.setdefault(index, said)
        if kept == said:
            return event
        self._changed = True
        return event.replace(msgspec.json.encode(said), msgspec.json.encode(kept))
