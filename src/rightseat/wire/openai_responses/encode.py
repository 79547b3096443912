"""Answers in OpenAI responses, as events and whole."""

from __future__ import annotations

import msgspec

from rightseat.chat import Block, Completion, Reasoning, ToolCall
from rightseat.chat.event import Finish, ModelEvent, ReasoningDelta, ReasoningOpaque, TextDelta, ToolCallEvent, Usage
from rightseat.clock import Clock
from rightseat.errors import AnswerTooLongError
from rightseat.ids import Ids
from rightseat.json_types import Json, JsonObject
from rightseat.wire.dialect import Envelope
from rightseat.wire.opaque import RESPONSES, own, shown
from rightseat.wire.openai_responses import collaboration
from rightseat.wire.openai_responses.request import written_call
from rightseat.wire.reading import MAX_FOLD_BYTES, Text
from rightseat.wire.sse import encode_sse

# What the published schema demands of every response, with the values that hold where a request says nothing.
_RESPONSE: JsonObject = {
    "object": "response",
    "completed_at": None,
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "output": [],
    "usage": None,
    "store": False,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "text": {"format": {"type": "text"}},
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1,
    "truncation": "disabled",
    "background": False,
    "frequency_penalty": 0,
    "max_tool_calls": None,
    "presence_penalty": 0,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "service_tier": "default",
    "top_logprobs": 0,
}
_FUNCTION: JsonObject = {"description": None, "parameters": None, "strict": False}
_MEMBERS: JsonObject = {"reasoning": _RESPONSE["reasoning"], "text": _RESPONSE["text"]}
# Told back from the request, where it says them.
_ECHOED = (
    "frequency_penalty",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
)
_ARGUMENTS = ("arguments", "function_call_arguments")
_encode = msgspec.json.Encoder().encode


class ResponseEncoder:
    """Events of one answer -> the API's stream. Each item is added once and done once, whatever comes.

    Attributes:
        response: the response so far. Some fields of the request are repeated in it, as the API does.
    """

    def __init__(self, envelope: Envelope) -> None:
        self._ids = envelope.ids
        self._number = 0
        self._output: list[JsonObject] = []
        self._item: JsonObject | None = None  # the one that is being said
        self._pieces = Text()
        self._size = 0
        self._usage: Usage | None = None
        self._finish = "stop"
        self._clock = envelope.clock
        self.response = _response(envelope)

    def start(self) -> bytes:
        """The bytes before the first event."""
        said = {"response": self.response}
        return self._event("response.created", said) + self._event("response.in_progress", said)

    def encode(self, event: ModelEvent) -> bytes:
        """The bytes of one event; b"" for one that is said at the end.

        Raises:
            AnswerTooLongError: this dialect says everything once more at the end, and that is more than is held.
        """
        match event:
            case TextDelta():
                begun = self._into("message")
                self._hold(event.text)
                return begun + self._at("response.output_text.delta", content_index=0, delta=event.text, logprobs=[])
            case ReasoningDelta():
                begun = self._into("reasoning")
                self._hold(event.text)
                return begun + self._at("response.reasoning_summary_text.delta", summary_index=0, delta=event.text)
            case ReasoningOpaque():
                return self._opaque(event.data)
            case ToolCallEvent():
                return self._close() + self._block(event.call)
            case Usage():
                self._usage = event
            case Finish():
                self._finish = event.reason
        return b""

    def end(self) -> bytes:
        """The bytes after the last event."""
        closed = self._close()
        ending = _ending(self._finish, self._usage, self._clock)
        self.response |= {"output": self._output, **ending}
        return closed + self._event(f"response.{self.response['status']}", {"response": self.response})

    def item(self, item: JsonObject) -> bytes:
        """The bytes of an item of any kind that is there as a whole."""
        closed = self._close()
        self._count(len(_encode(item)))
        return closed + self._added(item) + self._done(item)

    def prepare(self) -> bytes:
        """The whole answer to a request that only prepares (`generate: false`): nothing is said in it."""
        return self._event("response.created", {"response": self.response}) + self.end()

    def _hold(self, text: str) -> None:
        self._count(len(text))
        self._pieces.add(text)

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MAX_FOLD_BYTES:
            raise AnswerTooLongError(MAX_FOLD_BYTES)

    def _opaque(self, data: str) -> bytes:
        if self._item is None or self._item["type"] != "reasoning":
            return self._close() + self._block(Reasoning("", data))
        return self._close(data)

    def _into(self, kind: str) -> bytes:
        if self._item is not None and self._item["type"] == kind:
            return b""
        closed = self._close()
        self._item = _item("" if kind == "message" else Reasoning(), "in_progress", self._ids)
        added = self._added({**self._item, "content": []} if kind == "message" else self._item)
        if kind == "message":
            return closed + added + self._at("response.content_part.added", content_index=0, part=_text(""))
        return closed + added + self._at("response.reasoning_summary_part.added", summary_index=0, part=_summary(""))

    def _close(self, opaque: str = "") -> bytes:
        if self._item is None:
            return b""
        text, self._pieces = str(self._pieces), Text()
        if self._item["type"] == "message":
            said = self._at("response.output_text.done", content_index=0, text=text, logprobs=[])
            said += self._at("response.content_part.done", content_index=0, part=_text(text))
            whole = _item(text, "completed", self._ids)
        else:
            said = self._at("response.reasoning_summary_text.done", summary_index=0, text=text)
            said += self._at("response.reasoning_summary_part.done", summary_index=0, part=_summary(text))
            whole = _item(Reasoning(text, opaque), "completed", self._ids)
        return said + self._done({**whole, "id": self._item["id"]})

    def _block(self, block: ToolCall | Reasoning) -> bytes:
        """An item that is said at once."""
        self._hold(block.opaque if isinstance(block, Reasoning) else block.arguments)
        self._pieces = Text()
        whole = self._item = _item(block, "completed", self._ids)
        if isinstance(block, Reasoning):
            return self._added(whole) + self._done(whole)
        field, kind = ("input", "custom_tool_call_input") if block.kind == "custom" else _ARGUMENTS
        added = self._added({**whole, field: "", "status": "in_progress"})
        delta = self._at(f"response.{kind}.delta", delta=block.arguments)
        done = self._at(f"response.{kind}.done", name=block.name, **{field: block.arguments})
        return added + delta + done + self._done(whole)

    def _added(self, item: JsonObject) -> bytes:
        return self._event("response.output_item.added", {"output_index": len(self._output), "item": item})

    def _done(self, item: JsonObject) -> bytes:
        said = self._event("response.output_item.done", {"output_index": len(self._output), "item": item})
        self._output.append(item)
        self._item = None
        return said

    def _at(self, kind: str, **fields: object) -> bytes:
        """An event about the item that is being said."""
        assert self._item is not None
        return self._event(kind, {"item_id": self._item["id"], "output_index": len(self._output), **fields})

    def _event(self, kind: str, fields: JsonObject) -> bytes:
        number, self._number = self._number, self._number + 1
        return encode_sse(_encode({"type": kind, "sequence_number": number, **fields}), kind.encode())


def prepared(envelope: Envelope) -> bytes:
    """The stream that answers a request which only prepares."""
    return ResponseEncoder(envelope).prepare()


def _response(envelope: Envelope) -> JsonObject:
    request = envelope.body
    echoed = {name: request[name] for name in _ECHOED if request.get(name) not in (None, {})}
    for name, members in _MEMBERS.items():
        if isinstance(given := echoed.get(name), dict):
            echoed[name] = {**members, **given}
    if isinstance(tools := echoed.get("tools"), list):
        echoed["tools"] = [_tool(tool) for tool in tools]
    return {
        "id": f"resp_{envelope.ids.hex()}",
        "created_at": int(envelope.clock.wall()),
        "model": envelope.model,
        **_RESPONSE,
        **echoed,
    }


def _tool(tool: Json) -> Json:
    """A tool as it is told back: a function with all its members."""
    return {**_FUNCTION, **tool} if isinstance(tool, dict) and tool.get("type") == "function" else tool


def encode_whole(done: Completion, envelope: Envelope) -> bytes:
    """A whole answer as one body."""
    output = [_item(block, "completed", envelope.ids) for block in done.blocks]
    ending = _ending(done.finish_reason, done.usage, envelope.clock)
    return _encode({**_response(envelope), "output": output, **ending})


def _ending(finish: str, usage: Usage | None, clock: Clock) -> JsonObject:
    """What the end of an answer adds to it."""
    status = _status(finish)
    completed = {"completed_at": int(clock.wall())} if status["status"] == "completed" else {}
    return {**completed, **status, "usage": None if usage is None else written_usage(usage)}


def _item(block: Block, status: str, ids: Ids) -> JsonObject:
    if isinstance(block, str):
        content = [_text(block)]
        return {"type": "message", "id": f"msg_{ids.hex()}", "role": "assistant", "status": status, "content": content}
    if isinstance(block, Reasoning):
        summary = [_summary(block.text)] if block.text else []
        item = {"type": "reasoning", "id": f"rs_{ids.hex()}", "summary": summary}
        return {**item, "encrypted_content": _encrypted(block.opaque)} if block.opaque else item
    call = {"id": f"{'ctc' if block.kind == 'custom' else 'fc'}_{ids.hex()}", **written_call(block), "status": status}
    return collaboration.marked({"type": call.pop("type"), **call})


def _encrypted(opaque: str) -> str:
    """What upstream has encrypted together with an id keeps its mark, because the item has another id by now."""
    mine = own(opaque, RESPONSES)
    return opaque if mine is not None and mine[0] else shown(opaque, RESPONSES)


def _text(text: str) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _summary(text: str) -> JsonObject:
    return {"type": "summary_text", "text": text}


def _status(finish: str) -> JsonObject:
    reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(finish)
    if reason is None:
        return {"status": "completed"}
    return {"status": "incomplete", "incomplete_details": {"reason": reason}}


def written_usage(usage: Usage) -> JsonObject:
    """Usage as the dialect tells it."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
