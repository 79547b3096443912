"""Reading answers in Anthropic's dialect, streamed and whole, as chat events.

Blocks of kinds that are not known are read over. This module refuses to know HTTP.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

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
from rightseat.wire.anthropic import REDACTED
from rightseat.wire.body import count, dig
from rightseat.wire.opaque import MESSAGES, seal, taken
from rightseat.wire.openai_stream import ChunkError
from rightseat.wire.sse import SseDecoder, SseEvent
from rightseat.wire.usage import UsageWatch

_decode = msgspec.json.Decoder().decode

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class EventReader:
    """Anthropic's events -> chat events. A tool call is given when it is whole; usage and the finish come at the very end."""

    def __init__(self) -> None:
        self._decoder = SseDecoder()
        self._blocks: dict[Any, dict[str, Any]] = {}
        self._pieces: dict[Any, list[str]] = {}
        self._usage: dict[str, Any] = {}
        self._stop: str | None = None
        self.whole = False

    def feed(self, data: bytes) -> list[ModelEvent]:
        """The next bytes.

        Raises:
            ChunkError: the stream holds an error, or a line that is too long.
        """
        return self._taken(self._decoder.feed(data))

    def feed_eof(self) -> list[ModelEvent]:
        """The stream has ended: what is left, usage and the finish. Raises as `feed` does."""
        return [*self._taken(self._decoder.feed_eof()), *ending(self._usage, self._stop)]

    def _taken(self, events: list[SseEvent]) -> list[ModelEvent]:
        said: list[ModelEvent] = []
        for event in events:
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
        index = repr(value.get("index"))
        match value.get("type"):
            case "message_start":
                self._note_usage(dig(value, "message", "usage"))
            case "content_block_start":
                block = value.get("content_block")
                self._blocks[index] = block if isinstance(block, dict) else {}
                self._pieces[index] = []
                if text := dig(block, "text"):
                    said.append(TextDelta(str(text)))
            case "content_block_delta":
                self._delta(index, value.get("delta"), said)
            case "content_block_stop":
                self._stopped(index, said)
            case "message_delta":
                self._note_usage(value.get("usage"))
                if isinstance(reason := dig(value, "delta", "stop_reason"), str):
                    self._stop = reason
            case "message_stop":
                self.whole = True
            case "error":
                raise error_in(value)

    def _delta(self, index: str, delta: Any, said: list[ModelEvent]) -> None:
        match dig(delta, "type"):
            case "text_delta":
                said.append(TextDelta(str(delta.get("text") or "")))
            case "thinking_delta":
                said.append(ReasoningDelta(str(delta.get("thinking") or "")))
            case "signature_delta":
                self._pieces.setdefault(index, []).append(str(delta.get("signature") or ""))
            case "input_json_delta":
                self._pieces.setdefault(index, []).append(str(delta.get("partial_json") or ""))

    def _stopped(self, index: str, said: list[ModelEvent]) -> None:
        block, text = self._blocks.pop(index, {}), "".join(self._pieces.pop(index, []))
        match block.get("type"):
            case "thinking":
                if signature := taken(text or str(block.get("signature") or ""), MESSAGES):
                    said.append(ReasoningOpaque(signature))
            case "redacted_thinking":
                said.append(ReasoningOpaque(seal(MESSAGES, str(block.get("data") or ""), REDACTED)))
            case "tool_use":
                said.append(ToolCallEvent(_call(block, text or json.dumps(block.get("input") or {}))))

    def _note_usage(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._usage |= {name: value for name, value in usage.items() if value is not None}


class MessageWatch:
    """Looks at a stream that passes byte for byte, to know at its end whether it was whole. Only the tail is looked at."""

    TAIL = 512

    def __init__(self) -> None:
        self._tail = b""
        self._usage = UsageWatch()

    @property
    def usage(self) -> Usage | None:
        """Tokens, where they were told."""
        return self._usage.usage

    @property
    def whole(self) -> bool:
        """`message_stop`, or an error, was said."""
        # Neither can be part of what a model says: JSON escapes quotes and line ends.
        return b'message_stop"' in self._tail or b"\nevent: error" in b"\n" + self._tail

    def see(self, chunk: bytes) -> bytes:
        """The next bytes. They pass as they are."""
        before = self._tail[-16:]
        self._usage.see(before + chunk, len(before))
        self._tail = chunk[-self.TAIL :] if len(chunk) >= self.TAIL else (self._tail + chunk)[-self.TAIL :]
        return chunk

    def eof(self) -> bytes:
        """Nothing: `message_stop` was the end."""
        return b""


class MessageFold:
    """Events of one answer -> the message that would have come without streaming, with the fields that are not known kept."""

    def __init__(self) -> None:
        self._decoder = SseDecoder()
        self._message: dict[str, Any] = {}
        self._blocks: dict[str, dict[str, Any]] = {}
        self._pieces: dict[tuple[str, str], list[str]] = {}
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
        """The message."""
        for (index, name), pieces in self._pieces.items():
            block, text = self._blocks.get(index, {}), "".join(pieces)
            if name == "partial_json":
                try:
                    block["input"] = json.loads(text) if text else block.get("input") or {}
                except ValueError:
                    block["input"] = {"input": text}
            else:
                block[name] = str(block.get(name) or "") + text
        self._pieces = {}
        return {**self._message, "content": list(self._blocks.values())}

    def _take(self, data: bytes) -> None:
        try:
            value = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ChunkError("Copilot sent an event that is not JSON", None) from None
        index = repr(dig(value, "index"))
        match dig(value, "type"):
            case "message_start" if isinstance(message := value.get("message"), dict):
                self._message = message
            case "content_block_start" if isinstance(block := value.get("content_block"), dict):
                self._blocks[index] = block
            case "content_block_delta" if isinstance(delta := value.get("delta"), dict):
                for name, piece in delta.items():
                    if name in ("text", "thinking", "signature", "partial_json") and isinstance(piece, str):
                        self._pieces.setdefault((index, name), []).append(piece)
                    elif name == "citation" and isinstance(block := self._blocks.get(index), dict):
                        block["citations"] = [*(block.get("citations") or ()), piece]
            case "message_delta":
                self._message |= value["delta"] if isinstance(value.get("delta"), dict) else {}
                before, usage = self._message.get("usage"), value.get("usage")
                if isinstance(usage, dict):
                    self._message["usage"] = {**(before if isinstance(before, dict) else {}), **usage}
            case "message_stop":
                self.whole = True
            case "error":
                raise error_in(value)


def read_whole(body: Any) -> list[ModelEvent]:
    """The events of an answer that came whole.

    Raises:
        ChunkError: it is an error, or no answer.
    """
    content = dig(body, "content")
    if dig(body, "type") == "error" or not isinstance(content, list):
        raise error_in(body) if isinstance(body, dict) else ChunkError("Copilot gave no answer", None)
    said: list[ModelEvent] = []
    for block in content:
        match dig(block, "type"):
            case "text":
                said.append(TextDelta(str(block.get("text") or "")))
            case "thinking":
                if block.get("thinking"):
                    said.append(ReasoningDelta(str(block["thinking"])))
                if signature := taken(str(block.get("signature") or ""), MESSAGES):
                    said.append(ReasoningOpaque(signature))
            case "redacted_thinking":
                said.append(ReasoningOpaque(seal(MESSAGES, str(block.get("data") or ""), REDACTED)))
            case "tool_use":
                said.append(ToolCallEvent(_call(block, json.dumps(block.get("input") or {}))))
    usage = body.get("usage")
    return [*said, *ending(usage if isinstance(usage, dict) else {}, body.get("stop_reason"))]


def ending(usage: dict[str, Any], stop: Any) -> list[ModelEvent]:
    """Usage and the finish. Anthropic's numbers are disjoint, ours are not."""
    finish = Finish(_FINISH.get(stop, "stop") if isinstance(stop, str) else "stop")
    if not usage:
        return [finish]
    read, written = count(usage, "cache_read_input_tokens"), count(usage, "cache_creation_input_tokens")
    total = count(usage, "input_tokens") + read + written
    return [Usage(total, count(usage, "output_tokens"), cached_tokens=read, cache_write_tokens=written), finish]


def error_in(body: dict[str, Any]) -> ChunkError:
    """An error body, or an error event, as an exception."""
    error = body.get("error")
    fields = error if isinstance(error, dict) else body
    code = fields.get("code") or fields.get("type")
    return ChunkError(str(fields.get("message") or "error in the stream"), code if isinstance(code, str) else None)


def _call(block: dict[str, Any], arguments: str) -> ToolCall:
    return ToolCall(str(block.get("id") or ""), str(block.get("name") or ""), arguments)
