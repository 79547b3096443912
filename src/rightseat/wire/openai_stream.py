"""Reading streams of OpenAI chat chunks: watching one that passes through, and folding one into a whole answer.

Copilot's streams have habits that others' lack: an empty first chunk, a turn split over several choices, tool calls without an
index, usage after the finish, an end without `[DONE]`, errors inside a 200. This module knows these and refuses to know HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
from rightseat.wire.body import count, list_of
from rightseat.wire.sse import DONE, SseDecoder, SseEvent
from rightseat.wire.usage import UsageWatch

_DONE_LINE = re.compile(rb"[\r\n]data: ?\[DONE\]")
_decode = msgspec.json.Decoder().decode
_decode_text = msgspec.json.Decoder(str).decode


class ChunkError(Exception):
    """An error that came inside the stream."""

    def __init__(self, message: str, code: str | None) -> None:
        super().__init__(message)
        self.code = code


class StreamWatch:
    """Looks at a stream that passes byte for byte, to know at its end whether it was whole.

    Nothing is decoded: within what a model says, JSON escapes quotes and line ends, so the bytes tell.
    """

    SEAM = 64  # what is looked for may lie across two chunks

    def __init__(self) -> None:
        self._tail = b"\n"
        self._finished = False
        self._usage = UsageWatch()

    def see(self, chunk: bytes) -> bytes:
        """The next bytes. They pass as they are."""
        seen = self._tail + chunk
        if b'"finish_reason":"' in seen or b'"finish_reason": "' in seen:
            self._finished = True
        self._usage.see(seen, len(self._tail))
        self._tail = seen[-self.SEAM :]
        return chunk

    def eof(self) -> bytes:
        """`[DONE]`, should upstream have forgotten it."""
        return b"" if self.done else DONE

    @property
    def usage(self) -> Usage | None:
        """Tokens, where they were told."""
        return self._usage.usage

    @property
    def done(self) -> bool:
        """`[DONE]` was said."""
        return _DONE_LINE.search(self._tail) is not None

    @property
    def whole(self) -> bool:
        """The answer is complete, whether or not `[DONE]` was said."""
        return self.done or self._finished


_KINDS: dict[str, Callable[[str], ModelEvent]] = {
    "content": TextDelta,
    "reasoning_text": ReasoningDelta,
    "reasoning_opaque": ReasoningOpaque,
}


class ChunkReader:
    """Chunks of one answer -> chat events. A tool call is given when it is whole, the finish at the very end, after usage."""

    def __init__(self) -> None:
        self._fold = ChunkFold()
        self._given = 0  # tool calls that were given

    @property
    def whole(self) -> bool:
        """The answer is complete."""
        return self._fold.whole

    def feed(self, data: bytes) -> list[ModelEvent]:
        """The next bytes. Raises ChunkError as the fold does."""
        return self._events(self._fold.feed(data), last=False)

    def feed_eof(self) -> list[ModelEvent]:
        """The stream has ended: what is left, usage and the finish."""
        events = self._events(self._fold.feed_eof(), last=True)
        done = self._fold.completion()
        if isinstance(usage := done.get("usage"), dict):
            events.append(
                Usage(
                    count(usage, "prompt_tokens"),
                    count(usage, "completion_tokens"),
                    cached_tokens=count(usage, "prompt_tokens_details", "cached_tokens"),
                    reasoning_tokens=count(usage, "completion_tokens_details", "reasoning_tokens"),
                )
            )
        return [*events, Finish(done["choices"][0]["finish_reason"])]

    def _events(self, said: list[tuple[str, str]], *, last: bool) -> list[ModelEvent]:
        events: list[ModelEvent] = [_KINDS[name](text) for name, text in said]
        calls = self._fold.calls if last else self._fold.calls[:-1]  # the last one may still grow
        for call in calls[self._given :]:
            kind = call["type"]
            text = call[kind].get("input" if kind == "custom" else "arguments") or ("" if kind == "custom" else "{}")
            events.append(ToolCallEvent(ToolCall(call["id"], call[kind]["name"], text, kind)))
        self._given = max(self._given, len(calls))
        return events


class ChunkFold:
    """Chunks of one answer -> the whole answer, with every field of the chunks that it does not know kept."""

    def __init__(self) -> None:
        self._decoder = SseDecoder()
        self._top: dict[str, Any] = {}
        self._text: dict[str, list[str]] = {}  # content, reasoning_text ... in pieces
        self._message: dict[str, Any] = {"role": "assistant"}
        self._calls: list[dict[str, Any]] = []
        self._by_index: dict[tuple[str, str], dict[str, Any]] = {}
        self._finish: str | None = None
        self._said: list[tuple[str, str]] = []
        self._mould = _Mould()
        self.whole = False

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The tool calls so far; the last one may still grow."""
        return self._calls

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        """The next bytes of the stream; the pieces of text in them, as (name of the field, piece).

        Raises:
            ChunkError: the stream holds an error, or a line that is too long.
        """
        return self._taken(self._decoder.feed(data))

    def feed_eof(self) -> list[tuple[str, str]]:
        """The stream has ended. Raises as `feed` does."""
        return self._taken(self._decoder.feed_eof())

    def _taken(self, events: list[SseEvent]) -> list[tuple[str, str]]:
        for event in events:
            self._take(event.data)
        if self._decoder.failure is not None:
            raise ChunkError(str(self._decoder.failure), None)
        said, self._said = self._said, []
        return said

    def completion(self) -> dict[str, Any]:
        """The answer, in the form of one that was not streamed."""
        message = {**self._message, "content": "".join(self._text.pop("content", [])) or None}
        message |= {name: "".join(pieces) for name, pieces in self._text.items()}
        if self._calls:
            message["tool_calls"] = self._calls
        # With tool calls, "stop" means that they shall be run.
        finish = "tool_calls" if self._calls and self._finish in (None, "stop") else self._finish or "stop"
        top = {**self._top, "object": "chat.completion"}
        return {**top, "choices": [{"index": 0, "message": message, "finish_reason": finish}]}

    def _take(self, data: bytes) -> None:
        text = self._mould.text(data)
        if text is not None:
            self._text["content"].append(text)
            if text:
                self._said.append(("content", text))
            return
        if data.strip() == b"[DONE]":
            self.whole = True
            return
        try:
            chunk = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ChunkError("Copilot sent a chunk that is not JSON", None) from None
        if not isinstance(chunk, dict):
            return
        error = chunk.get("error")
        if isinstance(error, dict):
            raise ChunkError(
                str(error.get("message") or "error in the stream"), str(error["code"]) if error.get("code") else None
            )
        for name, value in chunk.items():
            if name != "choices" and (value or name not in self._top):
                self._top[name] = value
        for choice in list_of(chunk.get("choices")):
            if isinstance(choice, dict):
                self._choice(choice)
        self._mould.learn(data, chunk)

    def _choice(self, choice: dict[str, Any]) -> None:
        if choice.get("finish_reason"):
            self._finish, self.whole = str(choice["finish_reason"]), True
        delta = choice.get("delta") or _in_order(choice.get("message"))
        if not isinstance(delta, dict):
            return
        for name, value in delta.items():
            if name == "tool_calls":
                for call in list_of(value):
                    if isinstance(call, dict):
                        self._call(repr(choice.get("index")), call)
            elif name == "role" or value is None:
                continue
            elif isinstance(value, str) and name != "reasoning_opaque":
                self._text.setdefault(name, []).append(value)
                if value and name in ("content", "reasoning_text"):
                    self._said.append((name, value))
            else:
                self._message[name] = value
                if name == "reasoning_opaque" and isinstance(value, str) and value:
                    self._said.append((name, value))

    def _call(self, choice: str, delta: dict[str, Any]) -> None:
        """A piece of a tool call: a new id begins a new call, whatever the index says; without an id it continues one."""
        key = (choice, repr(delta.get("index")))
        call = self._by_index.get(key)
        if call is None or (delta.get("id") and delta["id"] != call["id"]):
            kind = "custom" if "custom" in delta else "function"
            inner = {"name": "", "input" if kind == "custom" else "arguments": ""}
            call = {"id": str(delta.get("id") or f"call_{len(self._calls)}"), "type": kind, kind: inner}
            self._by_index[key] = call
            self._calls.append(call)
        inner = call[call["type"]]
        pieces = delta.get(call["type"])
        for name, value in pieces.items() if isinstance(pieces, dict) else ():
            if isinstance(value, str):
                before = inner.get(name)
                inner[name] = before + value if isinstance(before, str) else value
            elif value is not None and name not in ("name", "arguments", "input"):
                inner[name] = value


class _Mould:
    """What most chunks of an answer share: everything but the text. Who knows it need not decode the chunk to read the text."""

    TRIES = 4
    LONGEST = 4096
    _TEXT = re.compile(rb'"content": ?("[^"\\]*(?:\\.[^"\\]*)*")')
    _DELTA = frozenset({"content", "role"})

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self._tries = self.TRIES

    def text(self, data: bytes) -> str | None:
        """The text of a chunk that differs from the last one in nothing else; None when it may differ."""
        head = self._head
        if not head or not data.startswith(head) or not data.endswith(self._tail):
            return None
        try:
            return _decode_text(data[len(head) : -len(self._tail)])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def learn(self, data: bytes, chunk: dict[str, Any]) -> None:
        """Another chunk that was decoded; one that holds text and nothing that ends or adds anything is a mould."""
        self._head = b""
        if not self._tries or len(data) > self.LONGEST:
            return
        choices = chunk.get("choices")
        if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
            return
        delta = choices[0].get("delta")
        if choices[0].get("finish_reason") or not isinstance(delta, dict) or not delta.get("content"):
            return
        if any(value is not None and name not in self._DELTA for name, value in delta.items()):
            return
        found = self._TEXT.findall(data)
        if len(found) == 1 and _decode_text(found[0]) == delta["content"]:
            self._head, _, self._tail = data.partition(found[0])
            self._tries -= 1  # streams whose chunks differ in more than the text are not tried for ever


def _in_order(message: Any) -> Any:
    """A whole message with its reasoning first, as it was said."""
    if not isinstance(message, dict):
        return None
    first = {name: message[name] for name in ("reasoning_text", "reasoning_opaque") if name in message}
    return {**first, **message}
