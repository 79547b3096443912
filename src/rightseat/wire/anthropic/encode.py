"""Answers in Anthropic's Messages API, as events and whole."""

from __future__ import annotations

import json

import msgspec

from rightseat.chat import Block, Completion, Reasoning, ToolCall
from rightseat.chat.event import Finish, ModelEvent, ReasoningDelta, ReasoningOpaque, TextDelta, ToolCallEvent, Usage
from rightseat.json_types import JsonObject
from rightseat.wire.anthropic.request import REDACTED, estimate_tokens, input_of
from rightseat.wire.dialect import Envelope
from rightseat.wire.opaque import MESSAGES, own, shown
from rightseat.wire.sse import encode_sse

# What the published schema demands and nothing here decides.
_MESSAGE: JsonObject = {
    "type": "message",
    "role": "assistant",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "stop_details": None,
    "container": None,
}
_TEXT: JsonObject = {"type": "text", "text": "", "citations": None}
_CALLER: JsonObject = {"type": "direct"}  # the model itself, and no program that it has written
_STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_encode = msgspec.json.Encoder().encode


def _usage(usage: Usage | None, estimate: int = 0) -> JsonObject:
    """Their fields are disjoint: input is what was neither read from a cache nor written to it."""
    told = Usage(estimate, 0) if usage is None else usage
    return {
        "input_tokens": max(0, told.input_tokens - told.cached_tokens - told.cache_write_tokens),
        "output_tokens": told.output_tokens,
        "cache_read_input_tokens": told.cached_tokens,
        "cache_creation_input_tokens": told.cache_write_tokens,
        "output_tokens_details": {"thinking_tokens": told.reasoning_tokens} if told.reasoning_tokens else None,
        "server_tool_use": None,
        "cache_creation": None,
        "inference_geo": None,
        "service_tier": None,
    }


def _stopped(finish: str) -> JsonObject:
    """Why the model stopped. A refusal has details in the published schema; nothing is known of them here."""
    reason = _STOP.get(finish, "end_turn")
    details = {"type": "refusal", "category": None, "explanation": None} if reason == "refusal" else None
    return {"stop_reason": reason, "stop_sequence": None, "stop_details": details}


def _head(envelope: Envelope, usage: JsonObject) -> JsonObject:
    return {"id": f"msg_{envelope.ids.hex(24)}", **_MESSAGE, "model": envelope.model, "usage": usage}


def encode_whole(done: Completion, envelope: Envelope) -> bytes:
    """A whole answer as one body."""
    content = [_written(block) for block in done.blocks]
    head = _head(envelope, _usage(done.usage))
    return _encode({**head, "content": content, **_stopped(done.finish_reason)})


def _written(block: Block) -> JsonObject:
    if isinstance(block, Reasoning):
        mine = own(block.opaque, MESSAGES)
        if mine is not None and mine[0] == REDACTED:
            return {"type": "redacted_thinking", "data": mine[1]}
        return {"type": "thinking", "thinking": block.text, "signature": shown(block.opaque, MESSAGES)}
    if isinstance(block, ToolCall):
        return {"type": "tool_use", "id": block.id, "name": block.name, "input": input_of(block), "caller": _CALLER}
    return {**_TEXT, "text": block}


class EventEncoder:
    """Events of one answer -> Anthropic's stream. One start and one stop for each block, whatever comes."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._estimate = estimate_tokens(envelope.request) if envelope.request is not None else 0
        self._index = -1
        self._open: str | None = None
        self._usage: Usage | None = None
        self._stop = _stopped("stop")

    def start(self) -> bytes:
        """The bytes before the first event."""
        return _event("message_start", {"message": _head(self._envelope, _usage(None, self._estimate))})

    def encode(self, event: ModelEvent) -> bytes:
        """The bytes of one event; b"" for one that is said at the end."""
        match event:
            case TextDelta():
                return self._into("text", _TEXT) + self._delta({"type": "text_delta", "text": event.text})
            case ReasoningDelta():
                block = {"thinking": "", "signature": ""}
                return self._into("thinking", block) + self._delta({"type": "thinking_delta", "thinking": event.text})
            case ReasoningOpaque():
                return self._opaque(event.data)
            case ToolCallEvent():
                return self._call(event.call)
            case Usage():
                self._usage = event
            case Finish():
                self._stop = _stopped(event.reason)
        return b""

    def end(self) -> bytes:
        """The bytes after the last event."""
        usage = _usage(self._usage, self._estimate)
        delta = {"delta": {**self._stop, "container": None}, "usage": usage}
        return self._close() + _event("message_delta", delta) + _event("message_stop", {})

    def _opaque(self, data: str) -> bytes:
        mine = own(data, MESSAGES)
        if mine is not None and mine[0] == REDACTED:
            return self._close() + self._into("redacted_thinking", {"data": mine[1]}) + self._close()
        return self._into("thinking", {"thinking": "", "signature": ""}) + self._close(shown(data, MESSAGES))

    def _call(self, call: ToolCall) -> bytes:
        block = {"id": call.id, "name": call.name, "input": {}, "caller": _CALLER}
        begun = self._close() + self._into("tool_use", block)
        text = json.dumps(input_of(call))
        return begun + self._delta({"type": "input_json_delta", "partial_json": text}) + self._close()

    def _into(self, kind: str, block: JsonObject) -> bytes:
        if self._open == kind:
            return b""
        closed = self._close()
        self._open, self._index = kind, self._index + 1
        return closed + _event("content_block_start", {"index": self._index, "content_block": {"type": kind, **block}})

    def _delta(self, delta: JsonObject) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": delta})

    def _close(self, signature: str | None = None) -> bytes:
        if self._open is None:
            return b""
        signed = b""
        if self._open == "thinking":
            text = shown("", MESSAGES) if signature is None else signature
            signed = self._delta({"type": "signature_delta", "signature": text})
        self._open = None
        return signed + _event("content_block_stop", {"index": self._index})


def _event(kind: str, fields: JsonObject) -> bytes:
    return encode_sse(_encode({"type": kind, **fields}), kind.encode())
