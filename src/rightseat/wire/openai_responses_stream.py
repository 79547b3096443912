"""Reading streams and bodies of OpenAI's responses: as chat events, and watching one that passes through.

Copilot gives different item ids to the events of one output item; `SameIds` makes them one, and leaves all other bytes as they are.
This module refuses to know HTTP.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from rightseat.chat import (
    Finish,
    ModelEvent,
    ReasoningDelta,
    ReasoningOpaque,
    TextDelta,
    ToolCall,
    ToolCallEvent,
    Usage,
)
from rightseat.errors import ProtocolError
from rightseat.wire.anthropic_stream import error_in
from rightseat.wire.body import count, dig, list_of
from rightseat.wire.opaque import MARK, RESPONSES, seal
from rightseat.wire.openai_stream import ChunkError
from rightseat.wire.sse import MAX_LINE_BYTES, SseDecoder, SseEvent
from rightseat.wire.usage import usage_in

_decode = msgspec.json.Decoder().decode

ENDINGS = frozenset({"response.completed", "response.failed", "response.incomplete", "response.cancelled", "error"})


class ResponseReader:
    """The API's events -> chat events. A tool call is given when it is whole; usage and the finish come at the very end."""

    def __init__(self) -> None:
        self._decoder = SseDecoder()
        self._said: set[str] = set()  # output indices of which text was said already
        self._given: set[str] = set()  # and of which the item was given
        self._ending: list[ModelEvent] | None = None
        self._called = False

    @property
    def whole(self) -> bool:
        """The answer is complete."""
        return self._ending is not None

    def feed(self, data: bytes) -> list[ModelEvent]:
        """The next bytes.

        Raises:
            ChunkError: the stream holds an error, or a line that is too long.
        """
        return self._taken(self._decoder.feed(data))

    def feed_eof(self) -> list[ModelEvent]:
        """The stream has ended: what is left, usage and the finish. Raises as `feed` does."""
        left = self._taken(self._decoder.feed_eof())
        return [*left, *(self._ending or [Finish("tool_calls" if self._called else "stop")])]

    def _taken(self, events: list[SseEvent]) -> list[ModelEvent]:
        said: list[ModelEvent] = []
        for event in events:
            if event.data.strip() == b"[DONE]":
                continue
            try:
                value = _decode(event.data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                raise ChunkError("Copilot sent an event that is not JSON", None) from None
            if isinstance(value, dict):
                self._take(value, said)
        if self._decoder.failure is not None:
            raise ChunkError(str(self._decoder.failure), None)
        return said

    def _take(self, value: dict[str, Any], said: list[ModelEvent]) -> None:
        index, delta = repr(value.get("output_index")), value.get("delta")
        match value.get("type"):
            case "response.output_text.delta" | "response.refusal.delta" if isinstance(delta, str):
                self._said.add(index)
                said.append(TextDelta(delta))
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" if isinstance(delta, str):
                self._said.add(index)
                said.append(ReasoningDelta(delta))
            case "response.reasoning_summary_part.added" if index in self._said:
                said.append(ReasoningDelta("\n\n"))
            case "response.output_item.done":
                self._item(value.get("item"), index, said)
            case "response.failed" | "response.cancelled":
                raise _failure(value.get("response"))
            case "response.completed" | "response.incomplete":
                response = value.get("response")
                for i, item in enumerate(_items(response)):
                    self._item(item, repr(i), said)
                self._ending = ending(response, called=self._called)
            case "error":
                raise error_in(value)

    def _item(self, item: Any, index: str, said: list[ModelEvent]) -> None:
        if index not in self._given:
            self._given.add(index)
            events = item_events(item)
            if index in self._said:  # word by word already
                events = [e for e in events if not isinstance(e, (TextDelta, ReasoningDelta))]
            self._called = self._called or any(isinstance(e, ToolCallEvent) for e in events)
            said += events


class ResponseFold:
    """Events of one answer -> the response that its last event holds."""

    def __init__(self) -> None:
        self._decoder = SseDecoder()
        self._response: dict[str, Any] = {}
        self.whole = False

    def feed(self, data: bytes) -> None:
        """The next bytes.

        Raises:
            ChunkError: the stream holds an error, or a line that is too long.
        """
        for event in self._decoder.feed(data):
            self._take(event.data)
        if self._decoder.failure is not None:
            raise ChunkError(str(self._decoder.failure), None)

    def feed_eof(self) -> None:
        """The stream has ended. Raises as `feed` does."""
        for event in self._decoder.feed_eof():
            self._take(event.data)

    def completion(self) -> dict[str, Any]:
        """The response."""
        return self._response

    def _take(self, data: bytes) -> None:
        if not is_ending(data):
            return  # the last event says it all
        try:
            value = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        kind, response = dig(value, "type"), dig(value, "response")
        if kind == "error":
            raise error_in(value)
        if kind in ("response.failed", "response.cancelled"):
            raise _failure(response)
        if isinstance(kind, str) and kind in ENDINGS and isinstance(response, dict):
            self._response, self.whole = response, True


def read_whole(body: Any) -> list[ModelEvent]:
    """The events of an answer that came whole.

    Raises:
        ChunkError: it is an error, or no answer.
    """
    if (
        not isinstance(body, dict)
        or not isinstance(body.get("output"), list)
        or body.get("status") in ("failed", "cancelled")
    ):
        raise _failure(body)
    events = [event for item in body["output"] for event in item_events(item)]
    return [*events, *ending(body, called=any(isinstance(e, ToolCallEvent) for e in events))]


def item_events(item: Any) -> list[ModelEvent]:
    """What one output item says."""
    match dig(item, "type"):
        case "message":
            texts = [dig(part, "text") or dig(part, "refusal") for part in list_of(item.get("content"))]
            return [TextDelta(text) for text in texts if isinstance(text, str)]
        case "reasoning":
            parts = [*list_of(item.get("summary")), *list_of(item.get("content"))]
            text = "\n\n".join(str(dig(part, "text") or "") for part in parts)
            events: list[ModelEvent] = [ReasoningDelta(text)] if text else []
            if isinstance(opaque := item.get("encrypted_content"), str) and opaque:
                marked = opaque.startswith(MARK)  # it came through another gateway
                sealed = opaque if marked else seal(RESPONSES, opaque, str(item.get("id") or ""))
                events.append(ReasoningOpaque(sealed))
            return events
        case "function_call" | "custom_tool_call" as kind:
            custom = kind == "custom_tool_call"
            text = str(item.get("input" if custom else "arguments") or ("" if custom else "{}"))
            name, call_id = str(item.get("name") or ""), str(item.get("call_id") or item.get("id") or "")
            group = str(item.get("namespace") or "")
            return [ToolCallEvent(ToolCall(call_id, name, text, "custom" if custom else "function", group))]
    return []


def ending(response: Any, *, called: bool) -> list[ModelEvent]:
    """Usage and the finish of a response."""
    reason = dig(response, "incomplete_details", "reason") if dig(response, "status") == "incomplete" else None
    finish = Finish(
        "content_filter" if reason == "content_filter" else "length" if reason else "tool_calls" if called else "stop"
    )
    usage = dig(response, "usage")
    if not isinstance(usage, dict):
        return [finish]
    return [
        Usage(
            count(usage, "input_tokens"),
            count(usage, "output_tokens"),
            cached_tokens=count(usage, "input_tokens_details", "cached_tokens"),
            reasoning_tokens=count(usage, "output_tokens_details", "reasoning_tokens"),
        ),
        finish,
    ]


class _Head(Struct):
    """As much of an event as `SameIds` looks at."""

    type: str = ""
    output_index: int | None = None
    item_id: str | None = None
    item: msgspec.Raw = msgspec.Raw(b"null")


class _Kind(Struct):
    """The kind of an event."""

    type: str = ""


class _Item(Struct):
    id: str | None = None


class _Response(Struct):
    output: list[_Item] = []


class _Last(Struct):
    """As much of a last event."""

    response: _Response | None = None


_kind = msgspec.json.Decoder(_Kind).decode
_head = msgspec.json.Decoder(_Head).decode
_item = msgspec.json.Decoder(_Item).decode
_last = msgspec.json.Decoder(_Last).decode
_NOT_SO = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError)


def is_ending(data: bytes) -> bool:
    """Whether an event is the last of an answer."""
    try:
        return _kind(data).type in ENDINGS
    except _NOT_SO:
        return False


class SameIds:
    """A stream that passes: every event as it came, but for item ids that differ within one item.

    Attributes:
        whole: the last event of an answer was said.
        failure: why it gave up, or None.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._ids: dict[int, str] = {}
        self._last = b""
        self.whole = False
        self.failure: ProtocolError | None = None

    @property
    def usage(self) -> Usage | None:
        """Tokens, where they were told."""
        return usage_in(self._last)

    def see(self, chunk: bytes) -> bytes:
        """The next bytes; what of them can be passed on."""
        if self.failure is not None:
            return b""
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r", b"")
        start = max(0, len(self._rest) - 1)
        self._rest += chunk
        end = self._rest.rfind(b"\n\n", start)
        if end < 0:
            if len(self._rest) > MAX_LINE_BYTES:
                self.failure = ProtocolError(f"an event of more than {MAX_LINE_BYTES} bytes in the stream")
                self._rest.clear()
            return b""
        events = bytes(self._rest[:end]).split(b"\n\n")
        del self._rest[: end + 2]
        return b"".join([self._same(event) + b"\n\n" for event in events])

    def eof(self) -> bytes:
        """The stream has ended; what is left."""
        rest, self._rest = bytes(self._rest), bytearray()
        return self._same(rest) + b"\n\n" if rest.strip() else b""

    def _same(self, event: bytes) -> bytes:
        at = event.find(b"data:")
        if at < 0:
            return event
        data = event[at + 5 :]
        try:
            head = _head(data)
            if head.type in ENDINGS:
                self.whole = True
                self._last = data
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
        if said is None:
            return event
        kept = self._ids.setdefault(index, said)
        return event if kept == said else event.replace(msgspec.json.encode(said), msgspec.json.encode(kept))


def _failure(response: Any) -> ChunkError:
    if isinstance(response, dict) and isinstance(response.get("error"), dict):
        return error_in(response)
    status = dig(response, "status")
    return ChunkError(f"the answer ended as {status!r}" if status else "Copilot gave no answer", None)


def _items(response: Any) -> list[Any]:
    return list_of(dig(response, "output"))
