"""Answers in Anthropic's Messages API, read as chat events or folded into a whole message. Blocks of unknown kinds are read over."""

from __future__ import annotations

import json

import msgspec
from msgspec import Struct

from rightseat.chat import ToolCall
from rightseat.chat.event import Finish, ModelEvent, ReasoningDelta, ReasoningOpaque, TextDelta, ToolCallEvent, Usage
from rightseat.json_types import Json, JsonObject
from rightseat.wire.anthropic.request import REDACTED
from rightseat.wire.body import dig
from rightseat.wire.opaque import MESSAGES, seal, taken
from rightseat.wire.reading import MAX_FOLD_BYTES, ChunkError, StreamReader, Text, checked, decoded, error_in, size_of
from rightseat.wire.sse import MAX_EVENT_BYTES
from rightseat.wire.usage import usage_of, with_cost

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_BLOCK = 512  # bytes that a block counts as, besides its text


class EventReader(StreamReader):
    """Anthropic's events -> chat events. A tool call is given when it is whole; usage and the finish come at the very end."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES, max_held_bytes: int = MAX_FOLD_BYTES) -> None:
        super().__init__(max_event_bytes, max_held_bytes)
        self._blocks: dict[
            str, tuple[JsonObject, Text]
        ] = {}  # those that are open, and what they must be put together of
        self._usage: JsonObject = {}
        self._stop: str | None = None

    @property
    def usage(self) -> Usage | None:
        """See AnswerReader."""
        return usage_of(self._usage)

    def _ending(self) -> list[ModelEvent]:
        return ending(self._usage, self._stop)

    def _take(self, data: bytes) -> None:
        value = decoded(data)
        if not isinstance(value, dict):
            return
        index = repr(value.get("index"))
        match value.get("type"):
            case "message_start":
                self._note_usage(dig(value, "message", "usage"))
            case "content_block_start":
                self._start(index, value.get("content_block"))
            case "content_block_delta":
                self._delta(index, value.get("delta"))
            case "content_block_stop":
                block, text = self._blocks.pop(index, ({}, Text()))
                self._said += block_events(block, str(text))
            case "message_delta":
                self._note_usage(with_cost(value.get("usage"), value))
                if isinstance(reason := dig(value, "delta", "stop_reason"), str):
                    self._stop = reason
            case "message_stop":
                self.complete = True
            case "error":
                raise error_in(value)

    def _start(self, index: str, block: object) -> None:
        self._hold(_BLOCK)
        self._blocks[index] = (block if isinstance(block, dict) else {}, Text())
        if text := dig(block, "text"):
            self._said.append(TextDelta(str(text)))

    def _delta(self, index: str, delta: Json) -> None:
        match dig(delta, "type"):
            case "text_delta":
                self._said.append(TextDelta(str(delta.get("text") or "")))
            case "thinking_delta":
                self._said.append(ReasoningDelta(str(delta.get("thinking") or "")))
            case "signature_delta" | "input_json_delta" as kind:
                piece = str(delta.get("signature" if kind == "signature_delta" else "partial_json") or "")
                self._hold(size_of(piece))
                if index in self._blocks:
                    self._blocks[index][1].add(piece)

    def _note_usage(self, usage: object) -> None:
        if isinstance(usage, dict):
            self._hold(_BLOCK)
            self._told()
            self._usage |= {name: value for name, value in usage.items() if value is not None}


class MessageFold(StreamReader):
    """Events of one answer -> the message that would have come without streaming, with the fields that are not known kept."""

    _PIECES = ("text", "thinking", "signature", "partial_json")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES, max_held_bytes: int = MAX_FOLD_BYTES) -> None:
        super().__init__(max_event_bytes, max_held_bytes)
        self._message: JsonObject = {}
        self._blocks: dict[str, JsonObject] = {}
        self._texts: dict[tuple[str, str], Text] = {}

    @property
    def usage(self) -> Usage | None:
        """See Fold."""
        return usage_of(self._message.get("usage"))

    def completion(self) -> JsonObject:
        """The message."""
        for (index, name), pieces in self._texts.items():
            block, text = self._blocks.get(index, {}), str(pieces)
            if name == "partial_json":
                block["input"] = _input(text) if text else block.get("input") or {}
            else:
                block[name] = str(block.get(name) or "") + text
        self._texts = {}
        return {**self._message, "content": list(self._blocks.values())}

    def _take(self, data: bytes) -> None:
        self._reckon(data)
        value = decoded(data)
        index = repr(dig(value, "index"))
        match dig(value, "type"):
            case "message_start" if isinstance(message := value.get("message"), dict):
                self._message = message
            case "content_block_start" if isinstance(block := value.get("content_block"), dict):
                self._hold(_BLOCK + len(data))
                self._blocks[index] = block
            case "content_block_delta" if isinstance(delta := value.get("delta"), dict):
                self._delta(index, delta)
            case "message_delta":
                self._hold(len(data))
                self._changed(value)
            case "message_stop":
                self.complete = True
            case "error":
                raise error_in(value)

    def _delta(self, index: str, delta: JsonObject) -> None:
        for name, piece in delta.items():
            if name in self._PIECES and isinstance(piece, str):
                self._heard(piece)
                self._hold(size_of(piece) + (0 if (index, name) in self._texts else _BLOCK))
                self._texts.setdefault((index, name), Text()).add(piece)
            elif name == "citation" and isinstance(block := self._blocks.get(index), dict):
                self._hold(_BLOCK + len(msgspec.json.encode(piece)))
                if not isinstance(block.get("citations"), list):
                    block["citations"] = []
                block["citations"].append(piece)

    def _changed(self, value: JsonObject) -> None:
        self._message |= value["delta"] if isinstance(value.get("delta"), dict) else {}
        before, usage = self._message.get("usage"), value.get("usage")
        if isinstance(usage, dict):
            self._told()
            self._message["usage"] = {**(before if isinstance(before, dict) else {}), **usage}


def _input(text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {"input": text}


def read_whole(body: Json) -> list[ModelEvent]:
    """The events of an answer that came whole.

    Raises:
        ChunkError: it is an error, or no answer.
    """
    content = dig(body, "content")
    if dig(body, "type") == "error" or not isinstance(content, list):
        raise error_in(body) if isinstance(body, dict) else ChunkError("Copilot gave no answer", None)
    said: list[ModelEvent] = []
    for block in content:
        if dig(block, "type") == "text":
            said.append(TextDelta(str(block.get("text") or "")))
        elif dig(block, "type") == "thinking" and block.get("thinking"):
            said.append(ReasoningDelta(str(block["thinking"])))
        said += block_events(block, "")
    return [*said, *ending(with_cost(body.get("usage"), body), body.get("stop_reason"))]


def block_events(block: Json, text: str) -> list[ModelEvent]:
    """What a block says once it is whole, besides its text: a signature, or a call with its arguments in `text`."""
    match dig(block, "type"):
        case "thinking":
            signature = taken(text or str(block.get("signature") or ""), MESSAGES)
            return [ReasoningOpaque(signature)] if signature else []
        case "redacted_thinking":
            return [ReasoningOpaque(seal(MESSAGES, str(block.get("data") or ""), REDACTED))]
        case "tool_use":
            arguments = text or json.dumps(block.get("input") or {})
            return [ToolCallEvent(ToolCall(str(block.get("id") or ""), str(block.get("name") or ""), arguments))]
    return []


def ending(usage: object, stop: object) -> list[ModelEvent]:
    """Usage and the finish."""
    finish = Finish(_FINISH.get(stop, "stop") if isinstance(stop, str) else "stop")
    found = usage_of(usage)
    return [finish] if found is None else [found, finish]


class _Message(Struct):
    content: list[dict[str, msgspec.Raw]]
    usage: Json = None


_whole = msgspec.json.Decoder(_Message).decode


def check_whole(data: bytes) -> Usage | None:
    """What a whole answer tells of usage. Raises UpstreamError: it is none, or an error."""
    return usage_of(checked(data, _whole, "a message").usage)
