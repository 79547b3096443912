"""Answers in OpenAI chat completions, read as chat events or folded into a whole body.

Copilot's streams have habits that others' lack: an empty first chunk, a turn split over several choices, tool calls without an
index, usage after the finish, an end without `[DONE]`, errors inside a 200. This module knows these and does not know HTTP.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from rightseat.chat import Finish, ModelEvent, ReasoningDelta, ReasoningOpaque, TextDelta, ToolCallEvent, Usage
from rightseat.errors import UpstreamError
from rightseat.json_types import Json, JsonObject
from rightseat.wire import anthropic
from rightseat.wire.body import list_of
from rightseat.wire.openai_chat.calls import Calls
from rightseat.wire.openai_chat.template import Template
from rightseat.wire.reading import MAX_FOLD_BYTES, StreamReader, Text, checked, decoded, error_in, size_of
from rightseat.wire.sse import MAX_EVENT_BYTES, encode_sse
from rightseat.wire.usage import usage_of, with_cost


class _Chunks(StreamReader):
    """Chunks of one answer, taken apart. What becomes of the parts is for subclasses."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES, max_held_bytes: int = MAX_FOLD_BYTES) -> None:
        super().__init__(max_event_bytes, max_held_bytes)
        self._calls = Calls(self._hold)
        self._finish: str | None = None
        self._template = Template()
        self._done = False

    @property
    def _reason(self) -> str:
        # With tool calls, "stop" means that they shall be run.
        called = self._calls.found and self._finish in (None, "stop")
        return "tool_calls" if called else self._finish or "stop"

    def _take(self, data: bytes) -> None:
        text = self._template.text(data)
        if text is not None:
            self.complete = self._done
            self._text("content", text)
            return
        if data.strip() == b"[DONE]":
            self.complete = self._done = True
            return
        chunk = decoded(data)
        if not isinstance(chunk, dict):
            return
        if chunk.get("error"):
            raise error_in(chunk)
        self._top(chunk)
        for choice in list_of(chunk.get("choices")):
            if isinstance(choice, dict):
                self._choice(choice)
        self._template.learn(data, chunk)

    def _choice(self, choice: JsonObject) -> None:
        delta = choice.get("delta") or _in_order(choice.get("message"))
        if choice.get("finish_reason"):
            self._finish, self.complete = str(choice["finish_reason"]), True
        elif delta:
            self.complete = self._done  # a turn may be split over several choices, each with an end of its own
        for name, value in delta.items() if isinstance(delta, dict) else ():
            if name == "tool_calls":
                for call in list_of(value):
                    if isinstance(call, dict):
                        self._calls.take(repr(choice.get("index")), call)
            elif name == "role" or value is None:
                continue
            elif isinstance(value, str) and name != "reasoning_opaque":
                self._text(name, value)
            else:
                self._member(name, value)

    def _top(self, chunk: JsonObject) -> None:
        """The members of a chunk."""

    def _text(self, name: str, text: str) -> None:
        """A piece of a text."""

    def _member(self, name: str, value: object) -> None:
        """A member of the message that is not put together of pieces."""


class ChunkReader(_Chunks):
    """Chunks of one answer -> chat events. A tool call is given when it is whole, the finish at the very end, after usage."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES, max_held_bytes: int = MAX_FOLD_BYTES) -> None:
        super().__init__(max_event_bytes, max_held_bytes)
        self._usage: Usage | None = None
        self._called = 0  # tool calls that were given

    @property
    def usage(self) -> Usage | None:
        """See AnswerReader."""
        return self._usage

    def _take(self, data: bytes) -> None:
        super()._take(data)
        if len(self._calls.found) > self._called + 1:
            self._call(len(self._calls.found) - 1)  # the last one may still grow

    def _call(self, end: int) -> None:
        for at in range(self._called, end):
            self._said.append(ToolCallEvent(self._calls.found[at].value()))
        self._called = end

    def _ending(self) -> list[ModelEvent]:
        self._call(len(self._calls.found))
        usage = [self._usage] if self._usage is not None else []
        return [*self._said, *usage, Finish(self._reason)]

    def _top(self, chunk: JsonObject) -> None:
        if (usage := usage_of(with_cost(chunk.get("usage"), chunk))) is not None:
            self._usage = usage
            self._told()

    def _text(self, name: str, text: str) -> None:
        if name == "content" and text:
            self._said.append(TextDelta(text))
        elif name == "reasoning_text" and text:
            self._said.append(ReasoningDelta(text))

    def _member(self, name: str, value: object) -> None:
        if name == "reasoning_opaque" and isinstance(value, str) and value:
            self._said.append(ReasoningOpaque(value))


class ChunkFold(_Chunks):
    """Chunks of one answer -> the whole answer, with every field of the chunks that it does not know kept."""

    _FIELD = 256  # bytes that a field counts as, besides its text

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES, max_held_bytes: int = MAX_FOLD_BYTES) -> None:
        super().__init__(max_event_bytes, max_held_bytes)
        self._members: JsonObject = {}
        self._message: JsonObject = {"role": "assistant", "refusal": None}
        self._texts: dict[str, Text] = {}  # content, reasoning_text ...

    @property
    def usage(self) -> Usage | None:
        """See Fold."""
        return usage_of(self._members.get("usage"))

    def completion(self) -> JsonObject:
        """The answer, in the form of one that was not streamed."""
        texts = {name: str(text) for name, text in self._texts.items()}
        message = {**self._message, "content": texts.pop("content", "") or None, **texts}
        if self._calls.found:
            message["tool_calls"] = [call.body() for call in self._calls.found]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._reason}
        return {**self._members, "object": "chat.completion", "choices": [choice]}

    def _take(self, data: bytes) -> None:
        self._reckon(data)
        super()._take(data)

    def _top(self, chunk: JsonObject) -> None:
        if chunk.get("usage"):
            self._told()
        for name, value in chunk.items():
            if name != "choices" and (value or name not in self._members):
                self._keep(self._members, name, value)

    def _text(self, name: str, text: str) -> None:
        if (known := self._texts.get(name)) is None:
            known = self._texts[name] = Text()
            self._hold(self._FIELD)
        self._hold(size_of(text))
        self._heard(text)
        known.add(text)

    def _member(self, name: str, value: object) -> None:
        self._keep(self._message, name, value)

    def _keep(self, where: JsonObject, name: str, value: object) -> None:
        if name not in where:
            self._hold(self._FIELD)
        where[name] = value


def read_whole(body: object) -> list[ModelEvent]:
    """The events of an answer that came whole. Newer Claude models have answered in Anthropic's form here.

    Raises:
        ChunkError: it is an error, or no answer.
    """
    if isinstance(body, dict) and not body.get("choices") and isinstance(body.get("content"), list):
        return anthropic.DIALECT.read_whole(body)
    reader = ChunkReader()
    return [*reader.feed(encode_sse(msgspec.json.encode(body))), *reader.feed_eof()]


class _Choices(Struct):
    choices: list[dict[str, msgspec.Raw]]
    usage: Json = None


class _Content(Struct):
    content: list[dict[str, msgspec.Raw]]
    usage: Json = None


_whole = msgspec.json.Decoder(_Choices).decode
_foreign = msgspec.json.Decoder(_Content).decode
_A_COMPLETION = "a chat completion"


def is_foreign(data: bytes) -> bool:
    """A whole answer in Anthropic's form."""
    return b'"choices"' not in data


def check_whole(data: bytes) -> Usage | None:
    """What a whole answer tells of usage. Raises UpstreamError: it is none, or an error."""
    if is_foreign(data):
        return usage_of(checked(data, _foreign, _A_COMPLETION).usage)
    body = checked(data, _whole, _A_COMPLETION)
    if not body.choices:
        raise UpstreamError(502, f"Copilot sent {_A_COMPLETION} without choices", code="invalid_answer")
    return usage_of(body.usage)


def _in_order(message: object) -> Json:
    """A whole message with its reasoning first, as it was said."""
    if not isinstance(message, dict):
        return None
    first = {name: message[name] for name in ("reasoning_text", "reasoning_opaque") if name in message}
    return {**first, **message}
