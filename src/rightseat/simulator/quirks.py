"""Quirks of Copilot's streams, each a switch, so that readers can be tested against every one.

Facts from public clients of the API and from bug reports about its gateways. A quirk changes frames that are written already.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable

from msgspec import Struct

from rightseat.chat import ModelEvent
from rightseat.json_types import JsonObject
from rightseat.wire.dialect import Encoder
from rightseat.wire.sse import SseDecoder, encode_sse


class Quirks(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is odd about the answers. All is off to begin with.

    Attributes:
        empty_first_chunk: chat: a first chunk without choices, with an empty id and filter results.
        null_choices: chat: a chunk in between whose choices are null.
        split_choices: chat: tool calls in a second choice; the text's choice ends with "stop".
        no_tool_index: chat: tool calls without their index.
        zero_tool_index: chat: all tool calls with index 0.
        whole_message: chat: the finish chunk carries the usage too.
        annotations: chat: notes on each piece of text, and what the content filter thought of it.
        no_usage: chat: no usage at all.
        no_done: chat: no `[DONE]` at the end.
        comments: a comment line before each event.
        anthropic_body: chat: a whole answer in Anthropic's form, without choices.
        fresh_item_ids: responses: every event of one item has another id.
        error_after: an error inside the stream, after so many events.
        crlf: lines end in carriage return and line feed.
        nano_aiu: what each answer cost, told beside its usage, in billionths of an AI credit.
    """

    empty_first_chunk: bool = False
    null_choices: bool = False
    split_choices: bool = False
    no_tool_index: bool = False
    zero_tool_index: bool = False
    whole_message: bool = False
    annotations: bool = False
    no_usage: bool = False
    no_done: bool = False
    comments: bool = False
    anthropic_body: bool = False
    fresh_item_ids: bool = False
    error_after: int | None = None
    crlf: bool = False
    nano_aiu: int | None = None

    @property
    def any(self) -> bool:
        """Something is odd."""
        return self != Quirks()


class QuirkyEncoder:
    """An encoder whose frames are changed on their way.

    Args:
        inner: the encoder.
        quirks: what is odd.
        dialect: the name of the dialect.
    """

    def __init__(self, inner: Encoder, quirks: Quirks, dialect: str) -> None:
        self._inner = inner
        self._quirks = quirks
        self._dialect = dialect
        self._events = 0
        self._last_finish: JsonObject | None = None
        self._ids = itertools.count()

    def start(self) -> bytes:
        """See the encoders of `wire`."""
        head = b""
        if self._dialect == "chat" and self._quirks.empty_first_chunk:
            head = encode_sse(
                _dump({"choices": [], "created": 0, "id": "", "prompt_filter_results": [{"prompt_index": 0}]})
            )
        return head + self._changed(self._inner.start())

    def encode(self, event: ModelEvent) -> bytes:
        """See the encoders of `wire`."""
        self._events += 1
        if self._quirks.error_after is not None and self._events == self._quirks.error_after + 1:
            return encode_sse(
                _dump({"type": "error", "error": {"code": "server_error", "message": "simulated error in the stream"}}),
                b"error",
            )
        extra = (
            encode_sse(b'{"choices":null,"copilot_references":[]}') if self._chat and self._quirks.null_choices else b""
        )
        return extra + self._changed(self._inner.encode(event))

    def end(self) -> bytes:
        """See the encoders of `wire`."""
        if self._chat:
            held = self._frame(self._last_finish) if self._last_finish is not None else b""
            return held + (b"" if self._quirks.no_done else self._plain(self._inner.end()))
        return self._changed(self._inner.end())

    @property
    def _chat(self) -> bool:
        return self._dialect == "chat"

    def _changed(self, data: bytes) -> bytes:
        decoder = SseDecoder()
        change: Callable[[JsonObject], Iterable[JsonObject]] = {
            "chat": self._chunk,
            "responses": self._response,
        }.get(self._dialect, lambda value: [value])
        out = b""
        for event in decoder.feed(data):
            for value in change(json.loads(event.data)):
                out += self._frame(self._billed(value), event.event)
        return out

    def _frame(self, value: JsonObject, event: bytes = b"") -> bytes:
        return self._plain((b": a comment\n\n" if self._quirks.comments else b"") + encode_sse(_dump(value), event))

    def _plain(self, data: bytes) -> bytes:
        return data.replace(b"\n", b"\r\n") if self._quirks.crlf else data

    def _billed(self, value: JsonObject) -> JsonObject:
        cost = self._quirks.nano_aiu
        if cost is None or not ("usage" in value or value.get("type") == "response.completed"):
            return value
        return {**value, "copilot_usage": {"token_details": [], "total_nano_aiu": cost}}

    def _chunk(self, value: JsonObject) -> list[JsonObject]:
        quirks = self._quirks
        if "usage" in value:
            if quirks.no_usage:
                return []
            if quirks.whole_message and self._last_finish is not None:
                held, self._last_finish = self._last_finish, None
                return [{**held, "usage": value["usage"]}]
            return [value]
        for choice in value["choices"]:
            if quirks.annotations and choice["delta"].get("content"):
                choice["delta"]["copilot_annotations"] = {"CodeVulnerability": [{"id": 1, "start_offset": 0}]}
                choice["content_filter_results"] = {"hate": {"filtered": False, "severity": "safe"}}
                choice["content_filter_offsets"] = {"check_offset": 0, "start_offset": 0, "end_offset": 1}
            for call in choice["delta"].get("tool_calls", ()):
                if quirks.split_choices:
                    choice["index"] = 1
                if quirks.no_tool_index:
                    del call["index"]
                elif quirks.zero_tool_index:
                    call["index"] = 0
            if choice["finish_reason"] and quirks.split_choices and choice["finish_reason"] == "tool_calls":
                first = {**value, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
                return [first, {**value, "choices": [{**choice, "index": 1}]}]
            if choice["finish_reason"] and quirks.whole_message:
                self._last_finish = value
                return []
        return [value]

    def _response(self, value: JsonObject) -> list[JsonObject]:
        if self._quirks.fresh_item_ids:
            if "item_id" in value:
                value["item_id"] = f"id_{next(self._ids)}"
            if "item" in value:
                value["item"]["id"] = f"id_{next(self._ids)}"
            for item in value.get("response", {}).get("output", ()):
                item["id"] = f"id_{next(self._ids)}"
        return [value]


def _dump(value: object) -> bytes:
    return json.dumps(value).encode()
