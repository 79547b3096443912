"""Answers in OpenAI responses, read as chat events or folded into a whole response."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from rightseat.chat import ToolCall
from rightseat.chat.event import Finish, ModelEvent, ReasoningDelta, ReasoningOpaque, TextDelta, ToolCallEvent, Usage
from rightseat.errors import UpstreamError
from rightseat.json_types import Json, JsonObject
from rightseat.wire.body import dig, list_of
from rightseat.wire.opaque import MARK, RESPONSES, seal
from rightseat.wire.openai_responses import collaboration
from rightseat.wire.reading import MAX_FOLD_BYTES, ChunkError, StreamReader, checked, decoded, error_in
from rightseat.wire.sse import MAX_EVENT_BYTES
from rightseat.wire.usage import usage_of, with_cost

_FAILURES = ("response.failed", "response.cancelled")
ENDINGS = frozenset({"response.completed", "response.incomplete", "error", *_FAILURES})


class _Kind(Struct):
    """The kind of an event."""

    type: str = ""


_kind = msgspec.json.Decoder(_Kind).decode


def is_ending(data: bytes) -> bool:
    """Whether an event is the last of an answer."""
    try:
        return _kind(data).type in ENDINGS
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


class ResponseReader(StreamReader):
    """The API's events -> chat events. A tool call is given when it is whole; usage and the finish come at the very end."""

    _INDEX = 128  # bytes that an output item counts as

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES, max_held_bytes: int = MAX_FOLD_BYTES) -> None:
        super().__init__(max_event_bytes, max_held_bytes)
        self._begun: set[str] = set()  # output indices of which text was said already
        self._finished: set[str] = set()  # and of which the item was given
        self._end: list[ModelEvent] = []
        self._called = False

    @property
    def usage(self) -> Usage | None:
        """See AnswerReader."""
        return next((event for event in self._end if isinstance(event, Usage)), None)

    def _ending(self) -> list[ModelEvent]:
        return self._end or [Finish("tool_calls" if self._called else "stop")]

    def _take(self, data: bytes) -> None:
        if data.strip() == b"[DONE]":
            return
        value = decoded(data)
        if not isinstance(value, dict):
            return
        index, delta = repr(value.get("output_index")), value.get("delta")
        match value.get("type"):
            case "response.output_text.delta" | "response.refusal.delta" if isinstance(delta, str):
                self._say(index, TextDelta(delta))
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" if isinstance(delta, str):
                self._say(index, ReasoningDelta(delta))
            case "response.reasoning_summary_part.added" if index in self._begun:
                self._said.append(ReasoningDelta("\n\n"))
            case "response.output_item.done":
                self._item(value.get("item"), index)
            case "response.failed" | "response.cancelled":
                raise _failure(value.get("response"))
            case "response.completed" | "response.incomplete":
                self._complete(_priced(value))
            case "error":
                raise error_in(value)

    def _say(self, index: str, event: ModelEvent) -> None:
        if index not in self._begun:
            self._hold(self._INDEX)
            self._begun.add(index)
        self._said.append(event)

    def _item(self, item: object, index: str) -> None:
        if index in self._finished:
            return
        self._hold(self._INDEX)
        self._finished.add(index)
        events = item_events(item)
        if index in self._begun:  # word by word already
            events = [e for e in events if not isinstance(e, (TextDelta, ReasoningDelta))]
        self._called = self._called or any(isinstance(e, ToolCallEvent) for e in events)
        self._said += events

    def _complete(self, response: object) -> None:
        for i, item in enumerate(list_of(dig(response, "output"))):
            self._item(item, repr(i))
        self._end, self.complete = ending(response, called=self._called), True
        self._told()


class ResponseFold(StreamReader):
    """Events of one answer -> the response that its last event holds."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES, max_held_bytes: int = MAX_FOLD_BYTES) -> None:
        super().__init__(max_event_bytes, max_held_bytes)
        self._response: JsonObject = {}

    @property
    def usage(self) -> Usage | None:
        """See Fold."""
        return usage_of_response(self._response)

    def completion(self) -> JsonObject:
        """The response."""
        return self._response

    def _take(self, data: bytes) -> None:
        self._hold(len(data))  # nothing is kept but the last one; a stream without one must end all the same
        self._reckon(data)
        if not is_ending(data):
            return  # the last event says it all
        value = decoded(collaboration.restored(data))
        kind, response = dig(value, "type"), dig(value, "response")
        if kind == "error":
            raise error_in(value)
        if kind in _FAILURES:
            raise _failure(response)
        if isinstance(response, dict):
            self._response, self.complete = response, True
            self._told()


def read_whole(body: Json) -> list[ModelEvent]:
    """The events of an answer that came whole.

    Raises:
        ChunkError: it is an error, or no answer.
    """
    if not isinstance(dig(body, "output"), list) or body.get("status") in ("failed", "cancelled"):
        raise _failure(body)
    events = [event for item in body["output"] for event in item_events(item)]
    return [*events, *ending(body, called=any(isinstance(e, ToolCallEvent) for e in events))]


def item_events(item: Json) -> list[ModelEvent]:
    """What one output item says."""
    match dig(item, "type"):
        case "message":
            texts = [dig(part, "text") or dig(part, "refusal") for part in list_of(item.get("content"))]
            return [TextDelta(text) for text in texts if isinstance(text, str)]
        case "reasoning":
            return _reasoning(item)
        case "function_call" | "custom_tool_call" as kind:
            custom = kind == "custom_tool_call"
            text = str(item.get("input" if custom else "arguments") or ("" if custom else "{}"))
            name, call_id = str(item.get("name") or ""), str(item.get("call_id") or item.get("id") or "")
            group = str(item.get("namespace") or "")
            return [ToolCallEvent(ToolCall(call_id, name, text, "custom" if custom else "function", group))]
    return []


def _reasoning(item: JsonObject) -> list[ModelEvent]:
    parts = [*list_of(item.get("summary")), *list_of(item.get("content"))]
    text = "\n\n".join(str(dig(part, "text") or "") for part in parts)
    events: list[ModelEvent] = [ReasoningDelta(text)] if text else []
    if isinstance(opaque := item.get("encrypted_content"), str) and opaque:
        marked = opaque.startswith(MARK)  # it came through another gateway
        events.append(ReasoningOpaque(opaque if marked else seal(RESPONSES, opaque, str(item.get("id") or ""))))
    return events


def ending(response: object, *, called: bool) -> list[ModelEvent]:
    """Usage and the finish of a response."""
    reason = dig(response, "incomplete_details", "reason") if dig(response, "status") == "incomplete" else None
    finish = Finish(
        "content_filter" if reason == "content_filter" else "length" if reason else "tool_calls" if called else "stop"
    )
    usage = usage_of_response(response)
    return [finish] if usage is None else [usage, finish]


def usage_of_response(response: object) -> Usage | None:
    """What a response tells of usage and cost."""
    usage = dig(response, "usage")
    if not isinstance(response, dict) or not isinstance(usage, dict):
        return None
    return usage_of(with_cost({"input_tokens_details": None, **usage}, response))


def _priced(event: JsonObject) -> object:
    """The response of the last event, with the cost that stands beside it."""
    response = event.get("response")
    return {"copilot_usage": event.get("copilot_usage"), **response} if isinstance(response, dict) else response


class _ResponseBody(Struct):
    output: list[dict[str, msgspec.Raw]]
    status: Json = None
    error: Json = None
    usage: Json = None


_whole = msgspec.json.Decoder(_ResponseBody).decode


def check_whole(data: bytes) -> Usage | None:
    """What a whole answer tells of usage. Raises UpstreamError: it is none, or an error."""
    body = checked(data, _whole, "a response")
    if body.status in ("failed", "cancelled"):
        failure = _failure({"error": body.error, "status": body.status})
        raise UpstreamError(502, str(failure), code=failure.code)
    return usage_of_response({"usage": body.usage})


def _failure(response: object) -> ChunkError:
    if isinstance(response, dict) and isinstance(response.get("error"), dict):
        return error_in(response)
    status = dig(response, "status")
    return ChunkError(f"the answer ended as {status!r}" if status else "Copilot gave no answer", None)
