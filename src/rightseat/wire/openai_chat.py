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
from rightseat.wire.body import BadRequestError, items, json_object, mapping
from rightseat.wire.sse import DONE, encode_sse

_KNOWN = frozenset({"model", "messages", "tools", "stream"})
_encode = msgspec.json.Encoder().encode


def decode_request(body: bytes) -> ChatRequest:
    """A request body.

    Raises:
        BadRequestError: naming the field that is wrong.
    """
    value = json_object(body)
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
        parts = [_part(part) for part in content if not isinstance(part, dict) or part.get("type") != "text"]
        content = "".join(
            str(part.get("text", "")) for part in content if isinstance(part, dict) and part.get("type") == "text"
        )
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
    image = part.get("image_url") if isinstance(part, dict) else None
    url = image.get("url") if isinstance(image, dict) else image
    return Image(url) if isinstance(url, str) else part


def encode_request(request: ChatRequest) -> bytes:
    """A request body."""
    body: dict[str, Any] = {"model": request.model, "messages": [_sent(message) for message in request.messages]}
    if request.tools:
        body["tools"] = [_sent_tool(tool) for tool in request.tools]
    return _encode({**body, "stream": request.stream, **request.extra})


def _sent(message: Message) -> dict[str, Any]:
    content: Any = message.content
    if message.parts:
        parts = [
            {"type": "image_url", "image_url": {"url": p.url}} if isinstance(p, Image) else p for p in message.parts
        ]
        content = [*([{"type": "text", "text": message.content}] if message.content else []), *parts]
    sent: dict[str, Any] = {"role": message.role, "content": content}
    if message.tool_calls:
        sent["tool_calls"] = [_written(call) for call in message.tool_calls]
        sent["content"] = content or None
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    if message.reasoning:
        sent["reasoning_text"] = message.reasoning
    if message.reasoning_opaque:
        sent["reasoning_opaque"] = message.reasoning_opaque
    return sent


def _sent_tool(tool: ToolSpec) -> dict[str, Any]:
    if tool.kind == "custom":
        return {"type": "custom", "custom": {"name": tool.name, "description": tool.description}}
    # Some models break on a tool without parameters.
    parameters = tool.parameters or {"type": "object", "properties": {}}
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters},
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
                return self._delta({"reasoning_opaque": event.data})
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
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
