"""A stream of Anthropic's events that passes through."""

from __future__ import annotations

from rightseat.json_types import Json, JsonObject
from rightseat.wire.body import dig
from rightseat.wire.relay import Ending, EventRelay, events_in
from rightseat.wire.sse import MAX_EVENT_BYTES
from rightseat.wire.usage import usage_of

_START = b'"message_start"'


class MessageRelay(EventRelay):
    """See EventRelay. What the first event tells of the input is kept; the last word on usage is `message_delta`'s."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        super().__init__(max_event_bytes)
        self._marker = _START
        self._begun: JsonObject = {}

    def _rewritten(self, chunk: bytes) -> bytes:
        for event in events_in(chunk):
            if dig(event, "type") == "message_start":
                self._marker = None  # that was the only one
                usage = dig(event, "message", "usage")
                self._begun = usage if isinstance(usage, dict) else {}
                break
        return chunk

    def _judge(self, events: list[Json]) -> Ending:
        told: JsonObject = {}
        complete = failed = stopped = last = False
        for event in events:
            match dig(event, "type"):
                case "message_delta":
                    numbers = _numbers(event.get("usage"))
                    told |= numbers
                    last = last or bool(numbers)
                    stopped = stopped or isinstance(dig(event, "delta", "stop_reason"), str)
                case "content_block_delta":
                    last = False  # more was said after it
                case "message_stop":
                    complete = True
                case "error":
                    complete = failed = True
        final = last and (complete or stopped) and not failed
        return Ending(complete, failed, usage_of({**self._begun, **told}), final)


def _numbers(usage: object) -> JsonObject:
    return {name: value for name, value in usage.items() if value is not None} if isinstance(usage, dict) else {}
