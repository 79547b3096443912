"""Answers in OpenAI chat completions, as chunks and whole."""

from __future__ import annotations

import msgspec

from rightseat.chat import (
    Completion,
    Finish,
    ModelEvent,
    ReasoningDelta,
    ReasoningOpaque,
    TextDelta,
    ToolCallEvent,
    Usage,
)
from rightseat.json_types import JsonObject
from rightseat.wire.dialect import Envelope
from rightseat.wire.opaque import CHAT, shown
from rightseat.wire.openai_chat.request import written_call
from rightseat.wire.sse import DONE, encode_sse

_encode = msgspec.json.Encoder().encode
_NOTHING: JsonObject = {"logprobs": None}  # of each choice: the published schema demands it, and Copilot gives none


class ChunkEncoder:
    """Events of one answer -> server-sent chunks. The constant part of a chunk is made once a stream."""

    def __init__(self, envelope: Envelope) -> None:
        self._head = {**_head(envelope), "object": "chat.completion.chunk"}
        self._calls = 0
        self._begun = False

    def start(self) -> bytes:
        """The bytes before the first event: none in this dialect."""
        return b""

    def encode(self, event: ModelEvent) -> bytes:
        """The bytes of one event; b"" for one that the dialect does not show."""
        match event:
            case TextDelta():
                return self._delta({"content": event.text})
            case ReasoningDelta():
                return self._delta({"reasoning_text": event.text})
            case ReasoningOpaque():
                return self._delta({"reasoning_opaque": shown(event.data, CHAT)})
            case ToolCallEvent():
                index, self._calls = self._calls, self._calls + 1
                return self._delta({"tool_calls": [{"index": index, **written_call(event.call)}]})
            case Finish():
                return self._chunk({"choices": [{"index": 0, "delta": {}, **_NOTHING, "finish_reason": event.reason}]})
            case Usage():
                return self._chunk({"choices": [], "usage": written_usage(event)})
        return b""

    def end(self) -> bytes:
        """The bytes after the last event."""
        return DONE

    def _delta(self, delta: JsonObject) -> bytes:
        if not self._begun:
            self._begun = True
            delta = {"role": "assistant", "refusal": None, **delta}
        return self._chunk({"choices": [{"index": 0, "delta": delta, **_NOTHING, "finish_reason": None}]})

    def _chunk(self, rest: JsonObject) -> bytes:
        return encode_sse(_encode({**self._head, **rest}))


def _head(envelope: Envelope) -> JsonObject:
    return {
        "id": f"chatcmpl-{envelope.ids.hex(24)}",
        "object": "chat.completion",
        "created": int(envelope.clock.wall()),
        "model": envelope.model,
    }


def encode_whole(done: Completion, envelope: Envelope) -> bytes:
    """A whole answer as one body."""
    message: JsonObject = {"role": "assistant", "content": done.text or None, "refusal": None}
    if done.reasoning:
        message["reasoning_text"] = done.reasoning
    if done.reasoning_opaque:
        message["reasoning_opaque"] = shown(done.reasoning_opaque, CHAT)
    if done.tool_calls:
        message["tool_calls"] = [written_call(call) for call in done.tool_calls]
    choice = {"index": 0, "message": message, **_NOTHING, "finish_reason": done.finish_reason}
    body = {**_head(envelope), "choices": [choice]}
    return _encode(body if done.usage is None else {**body, "usage": written_usage(done.usage)})


def written_usage(usage: Usage) -> JsonObject:
    """Usage as the dialect tells it."""
    details = (
        {"completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens}} if usage.reasoning_tokens else {}
    )
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        **details,
    }
