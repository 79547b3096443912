"""Requests of OpenAI chat completions, in and out. Fields that have no place in `ChatRequest` are kept in `extra`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from rightseat.chat import ChatRequest, Image, Message, ToolCall, ToolSpec
from rightseat.chat.repair import merged
from rightseat.json_types import Json, JsonObject
from rightseat.wire.body import BadRequestError, items, json_object, mapping
from rightseat.wire.opaque import CHAT, own

_KNOWN = frozenset({"model", "messages", "tools", "stream"})
_encode = msgspec.json.Encoder().encode


def check(body: JsonObject) -> None:
    """Raises BadRequestError for a body that is certainly wrong."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError.at("messages", "must be a list with at least one message")
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequestError.at(f"messages[{i}]", "must be an object with a role")


# These refuse `max_tokens` on this endpoint and want `max_completion_tokens`.
_COMPLETION_LIMIT = ("gpt-5", "gpt-6", "o1", "o3", "o4")


def limit_field(model: str) -> str:
    """The field in which a model takes the limit of its output."""
    return "max_completion_tokens" if model.startswith(_COMPLETION_LIMIT) else "max_tokens"


def decode_body(body: bytes) -> ChatRequest:
    """A request body.

    Raises:
        BadRequestError: naming the field that is wrong.
    """
    return decode_request(json_object(body))


def decode_request(value: JsonObject) -> ChatRequest:
    """A request whose body is read already. Raises as `decode_body` does."""
    messages = value.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError.at("messages", "must be a list with at least one message")
    if not isinstance(model := value.get("model", ""), str):
        raise BadRequestError.at("model", "must be a string")
    return ChatRequest(
        model=model,
        messages=tuple(_message(message, f"messages[{i}]") for i, message in enumerate(messages)),
        tools=tuple(_tools(items(value.get("tools"), "tools"))),
        stream=bool(value.get("stream")),
        extra={name: item for name, item in value.items() if name not in _KNOWN},
    )


def _message(value: object, where: str) -> Message:
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        raise BadRequestError.at(where, "must be an object with a role")
    content, parts = value.get("content"), []
    if isinstance(content, list):
        parts = [_part(part) for part in content]
        content = "".join(part for part in parts if isinstance(part, str))
        if all(isinstance(part, str) for part in parts):
            parts = []
    elif content is not None and not isinstance(content, str):
        raise BadRequestError.at(f"{where}.content", "must be a string, a list of parts, or null")
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


def _part(part: object) -> Json:
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
    body: JsonObject = {"model": request.model, "messages": messages}
    if request.tools:
        body["tools"] = [_sent_tool(tool) for tool in request.tools]
    return _encode({**body, "stream": request.stream, **request.extra})


def encode_for_upstream(request: ChatRequest) -> bytes:
    """A request body that asks for usage in streams, which is off by default. Raises as `encode_request` does."""
    extra = {name: value for name, value in request.extra.items() if name != "stream_options"}
    if request.stream:
        options = request.extra.get("stream_options")
        extra["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return encode_request(msgspec.structs.replace(request, extra=extra))


def _sent(message: Message) -> JsonObject:
    content: Json = message.content
    if message.parts:
        content = [_sent_part(part) for part in message.parts]
    sent: JsonObject = {"role": message.role, "content": content}
    if message.tool_calls:
        sent["tool_calls"] = [written_call(call) for call in message.tool_calls]
        sent["content"] = content or None
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    mine = own(message.reasoning_opaque, CHAT)  # None: it was made elsewhere, and its text goes with it
    if mine is not None and message.reasoning:
        sent["reasoning_text"] = message.reasoning
    if mine is not None and mine[1]:
        sent["reasoning_opaque"] = mine[1]
    return sent


def _sent_part(part: object) -> Json:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image_url", "image_url": {"url": part.url}} if isinstance(part, Image) else part


def _sent_tool(tool: ToolSpec) -> JsonObject:
    if tool.namespace:
        problem = f"{tool.name!r} is in the namespace {tool.namespace!r}, which this model cannot take"
        raise BadRequestError.at("tools", problem)
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


def _tool_call(value: Json, where: str) -> ToolCall:
    kind, body = _kind(value)
    if body is None:
        raise BadRequestError.at(where, "must have a function with a name")
    text = body.get("input") if kind == "custom" else body.get("arguments") or "{}"
    return ToolCall(str(value.get("id", "")), body["name"], str(text or ""), kind)


def _tools(values: Iterable[object]) -> Iterator[ToolSpec]:
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


def _kind(value: object) -> tuple[str, Mapping[str, Json] | None]:
    """Which kind of tool or call an entry is, and its body if that has a name."""
    for kind in ("function", "custom"):
        body = value.get(kind) if isinstance(value, dict) else None
        if isinstance(body, Mapping) and isinstance(body.get("name"), str):
            return kind, body
    return "function", None


def written_call(call: ToolCall) -> JsonObject:
    """A call as the dialect writes it, in requests and in answers."""
    body = {"name": call.name, "input" if call.kind == "custom" else "arguments": call.arguments}
    return {"id": call.id, "type": call.kind, call.kind: body}
