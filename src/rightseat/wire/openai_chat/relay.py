"""A stream of chat chunks that passes through.

Copilot leaves out the index of a tool call, or gives one index to several; OpenAI's clients put calls together by it and nothing else. Such
events get the index they lack; nothing else is changed or decoded.
"""

from __future__ import annotations

import msgspec

from rightseat.json_types import Json, JsonObject
from rightseat.wire.body import dig, list_of
from rightseat.wire.relay import Ending, EventRelay, split_events, text_size
from rightseat.wire.sse import DONE, MAX_EVENT_BYTES
from rightseat.wire.usage import usage_of

_decode = msgspec.json.Decoder().decode
_MARK = b'"tool_calls"'
_DONES = (b"data: [DONE]", b"data:[DONE]")


class ChunkRelay(EventRelay):
    """See EventRelay. `[DONE]` is added where upstream has forgotten it."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        super().__init__(max_event_bytes)
        self._marker = _MARK
        self._indexes: dict[Json, Indexes] = {}  # one a choice

    def eof(self) -> bytes:
        """See EventRelay."""
        rest = super().eof()
        end = self._judged()
        return rest if end.failed or not end.complete or self._is_done() else rest + DONE

    def _is_done(self) -> bool:
        return bool(self._recent) and self._recent[-1].rstrip().endswith(_DONES)

    def _judge(self, events: list[Json]) -> Ending:
        usage, failed, done, said = None, False, False, False
        last: JsonObject = {}  # the last chunk with choices; a turn may have several, with an end each
        for event in reversed(events):
            if event == b"[DONE]":
                done = True
            elif isinstance(event, dict):
                failed = failed or _is_error(event)
                usage = usage or usage_of(event.get("usage"))
                said = said or (usage is None and text_size(event) > 0)
                last = last or (event if event.get("choices") else {})
        done = done or any(dig(choice, "finish_reason") for choice in list_of(last.get("choices")))
        return Ending(done or failed, failed, usage, is_final=done and usage is not None and not said)

    def _rewritten(self, chunk: bytes) -> bytes:
        return b"".join([self._indexed(event) if _MARK in event else event for event in split_events(chunk)])

    def _indexed(self, event: bytes) -> bytes:
        head, _, data = event.partition(b"data:")
        try:
            value = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return event  # not ours to judge
        if not isinstance(value, dict) or not self._index(value.get("choices")):
            return event
        return head + b"data: " + msgspec.json.encode(value) + b"\n\n"

    def _of_choice(self, choice: str) -> Indexes:
        if len(self._indexes) >= _CHOICES and choice not in self._indexes:
            return Indexes()
        return self._indexes.setdefault(choice, Indexes())

    def _index(self, choices: object) -> bool:
        """Give the calls in a chunk their indexes. Returns whether something was changed."""
        changed = False
        for choice in choices if isinstance(choices, list) else ():
            delta = choice.get("delta") if isinstance(choice, dict) else None
            calls = delta.get("tool_calls") if isinstance(delta, dict) else None
            if not isinstance(calls, list):
                continue
            indexes = self._of_choice(repr(choice.get("index")))
            for call in calls:
                if isinstance(call, dict) and (index := indexes.of(call)) != call.get("index"):
                    call["index"] = index
                    changed = True
        return changed


_CHOICES = 64  # that are distinguished


class Indexes:
    """The indexes of the tool calls of one choice: a new id is a new call, whatever the index says; without an id one goes on."""

    MOST = 4096  # calls that are tracked

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, Json]] = {}  # by the index that was said: the index and the id of the call
        self._used: set[int] = set()

    def of(self, call: JsonObject) -> int:
        """The index of a call of which this is a piece."""
        given, call_id = call.get("index"), call.get("id")
        known = self._open.get(repr(given))
        if known is not None and (not call_id or call_id == known[1] or len(self._used) >= self.MOST):
            return known[0]
        index = max(self._used, default=-1) + 1
        if type(given) is int and given >= 0 and given not in self._used:
            index = given
        if len(self._used) < self.MOST:
            self._used.add(index)
            self._open[repr(given)] = (index, call_id)
        return index


def _is_error(event: JsonObject) -> bool:
    return bool(event.get("error")) or event.get("type") == "error"
