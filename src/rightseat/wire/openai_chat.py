"""OpenAI chat completions, the dialect of Copilot's `/chat/completions`: requests in, answers out.

Request fields that have no place in `ChatRequest` are kept in `extra`. This module knows one dialect and no other.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from rightseat.chat import (
    ChatRequest,
    Completion,
    Finish,
    Image,
    Message,
    ModelEvent,
    ReasoningDelta,
    ReasoningOpaque,
    TextDelta,
    ToolCall,
    ToolCallEvent,
    ToolSpec,
    Usage,
)
from rightseat.chat.repair import merged
from rightseat.wire.body import BadRequestError, items, json_object, mapping
from rightseat.wire.opaque import CHAT, MARK, own, shown
from rightseat.wire.sse import DONE, encode_sse

_KNOWN = frozenset({"model", "messages", "tools", "stream"})
_encode = msgspec.json.Encoder().encode


def decode_request(body: bytes) -> ChatRequest:
    """A request body.

    Raises:
        BadRequestError: naming the field that is wrong.
    """
    return request_of(json_object(body))


def request_of(value: dict[str, Any]) -> ChatRequest:
    """A request whose body is read already. Raises as `decode_request` does."""
    messages = value.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("messages: must be a list with at least one message")
    if not isinstance(model := value.get("model", ""), str):
        raise BadRequestError("model: must be text")
    return ChatRequest(
        model=model,
        messages=tuple(_message(message, f"messages[{i}]") for i, message in enumerate(messages)),
        tools=tuple(_tools(items(value.get("tools"), "tools"))),
        stream=bool(value.get("stream")),
        extra={name: item for name, item in value.items() if name not in _KNOWN},
    )


def _message(value: Any, where: str) -> Message:
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        raise BadRequestError(f"{where}: must be an object with a role")
    content, parts = value.get("content"), []
    if isinstance(content, list):
        parts = [_part(part) for part in content]
        content = "".join(part for part in parts if isinstance(part, str))
        if all(isinstance(part, str) for part in parts):
            parts = []
    elif content is not None and not isinstance(content, str):
        raise BadRequestError(f"{where}.content: must be text, a list of parts, or null")
    return Message(
        role=value["role"],
        content=content or "",
        tool_calls=tuple(
            _tool_call(call, f"{where}.tool_calls[{i}]")
            for i, call in enumerate(items(value.get("tool_calls"), f"{where}.tool_calls"))
        ),
        tool_call_id=value.get("tool_call_id"),
        parts=tuple(parts),
        reasoning=str(value.get("reasoning_text") or ""),
        reasoning_opaque=str(value.get("reasoning_opaque") or ""),
    )


def _part(part: Any) -> Any:
    if isinstance(part, dict) and part.get("type") == "text":
        return str(part.get("text", ""))
    image = part.get("image_url") if isinstance(part, dict) else None
    url = image.get("url") if isinstance(image, dict) else image
    return Image(url) if isinstance(url, str) else part


def encode_request(request: ChatRequest) -> bytes:
    """A request body.

    Raises:
        BadRequestError: it has tools that this dialect has no form for.
    """
    messages = [
        _sent(m) for m in merged(request.messages) if m.role != "assistant" or m.content or m.parts or m.tool_calls
    ]
    body: dict[str, Any] = {"model": request.model, "messages": messages}
    if request.tools:
        body["tools"] = [_sent_tool(tool) for tool in request.tools]
    return _encode({**body, "stream": request.stream, **request.extra})


def cleaned(body: dict[str, Any]) -> dict[str, Any]:
    """A request for a model that speaks this dialect, without reasoning that was encrypted in another."""

    def kept(message: Any) -> Any:
        if not isinstance(message, dict) or not str(message.get("reasoning_opaque")).startswith(MARK):
            return message
        return {name: value for name, value in message.items() if name not in ("reasoning_opaque", "reasoning_text")}

    return {**body, "messages": [kept(message) for message in body["messages"]]}


def _sent(message: Message) -> dict[str, Any]:
    content: Any = message.content
    if message.parts:
        content = [_sent_part(part) for part in message.parts]
    sent: dict[str, Any] = {"role": message.role, "content": content}
    if message.tool_calls:
        sent["tool_calls"] = [_written(call) for call in message.tool_calls]
        sent["content"] = content or None
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    mine = own(message.reasoning_opaque, CHAT)  # None: it was made elsewhere, and its text goes with it
    if mine is not None and message.reasoning:
        sent["reasoning_text"] = message.reasoning
    if mine is not None and mine[1]:
        sent["reasoning_opaque"] = mine[1]
    return sent


def _sent_part(part: Any) -> Any:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image_url", "image_url": {"url": part.url}} if isinstance(part, Image) else part


def _sent_tool(tool: ToolSpec) -> dict[str, Any]:
    if tool.namespace:
        raise BadRequestError(
            f"tools: {tool.name!r} is in the namespace {tool.namespace!r}, which this model cannot take"
        )
    if tool.kind == "custom":
        form = {"format": tool.format} if tool.format else {}
        return {"type": "custom", "custom": {"name": tool.name, "description": tool.description, **form}}
    # Some models break on a tool without parameters.
    parameters = tool.parameters or {"type": "object", "properties": {}}
    strict = {"strict": tool.strict} if tool.strict is not None else {}
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters, **strict},
    }


def _tool_call(value: Any, where: str) -> ToolCall:
    kind, body = _kind(value)
    if body is None:
        raise BadRequestError(f"{where}: must have a function with a name")
    text = body.get("input") if kind == "custom" else body.get("arguments") or "{}"
    return ToolCall(str(value.get("id", "")), body["name"], str(text or ""), kind)


def _tools(values: Iterable[Any]) -> Iterator[ToolSpec]:
    for value in values:
        kind, body = _kind(value)
        if body is not None:
            yield ToolSpec(
                body["name"],
                str(body.get("description") or ""),
                mapping(body.get("parameters"), f"parameters of tool {body['name']}"),
                kind,
                strict=body["strict"] if isinstance(body.get("strict"), bool) else None,
                format=body["format"] if isinstance(body.get("format"), dict) else None,
            )


def _kind(value: Any) -> tuple[str, Mapping[str, Any] | None]:
    """Which kind of tool or call an entry is, and its body if that has a name."""
    for kind in ("function", "custom"):
        body = value.get(kind) if isinstance(value, dict) else None
        if isinstance(body, Mapping) and isinstance(body.get("name"), str):
            return kind, body
    return "function", None


def _written(call: ToolCall) -> dict[str, Any]:
    body = {"name": call.name, "input" if call.kind == "custom" else "arguments": call.arguments}
    return {"id": call.id, "type": call.kind, call.kind: body}


class ChunkEncoder:
    """Events of one answer -> server-sent chunks. The constant part of a chunk is made once a stream."""

    def __init__(self, model: str) -> None:
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex[:24]}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
        }
        self._model = model
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
                return self._delta({"tool_calls": [{"index": index, **_written(event.call)}]})
            case Finish():
                return self._chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": event.reason}]})
            case Usage():
                return self._chunk({"choices": [], "usage": _usage(event)})
        return b""

    def end(self) -> bytes:
        """The bytes after the last event."""
        return DONE

    def _delta(self, delta: dict[str, Any]) -> bytes:
        if not self._begun:
            self._begun = True
            delta = {"role": "assistant", **delta}
        return self._chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def _chunk(self, rest: dict[str, Any]) -> bytes:
        return encode_sse(_encode({**self._head, "model": self._model, **rest}))


def encode_completion(done: Completion, model: str) -> bytes:
    """A whole answer as one body."""
    message: dict[str, Any] = {"role": "assistant", "content": done.text or None}
    if done.reasoning:
        message["reasoning_text"] = done.reasoning
    if done.reasoning_opaque:
        message["reasoning_opaque"] = shown(done.reasoning_opaque, CHAT)
    if done.tool_calls:
        message["tool_calls"] = [_written(call) for call in done.tool_calls]
    body: dict[str, Any] = {
        "id": f"chatcmpl-{uuid.uuid4().hex[:24]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": done.finish_reason}],
    }
    if done.usage is not None:
        body["usage"] = _usage(done.usage)
    return _encode(body)


def encode_error(message: str, kind: str, code: str | None = None) -> bytes:
    """An error body."""
    return _encode({"error": {"message": message, "type": kind, "code": code}})


def _usage(usage: Usage) -> dict[str, Any]:
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
