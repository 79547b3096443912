"""Anthropic messages: requests in, answers out, whole and streamed (Messages API, versions 2023-06-01 and 2026-10-21).

A request becomes a ChatRequest, chat events become Anthropic's. This module knows one dialect and no other.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any

import msgspec

from rightseat.chat import (
    Block,
    ChatRequest,
    Completion,
    Finish,
    Image,
    Message,
    ModelEvent,
    Reasoning,
    ReasoningDelta,
    ReasoningOpaque,
    TextDelta,
    ToolCall,
    ToolCallEvent,
    ToolSpec,
    Usage,
)
from rightseat.chat.repair import merged, repaired
from rightseat.wire.body import BadRequestError, items, mapping
from rightseat.wire.opaque import MARK, MESSAGES, own, seal, shown, taken
from rightseat.wire.sse import encode_sse

PING = encode_sse(b'{"type":"ping"}', b"ping")

DEFAULT_MAX_TOKENS = 16_384  # the dialect demands a limit; clients of others may not say one
REDACTED = "redacted"  # the id under which encrypted reasoning without text is kept
BILLING = "x-anthropic-billing-header"
_STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_SAME = {"temperature": "temperature", "top_p": "top_p", "max_tokens": "max_tokens", "stop_sequences": "stop"}
_encode = msgspec.json.Encoder().encode


# Requests.


def decode_request(body: dict[str, Any]) -> ChatRequest:
    """A request.

    Raises:
        BadRequestError: naming the field that is wrong, or the kind of tool that cannot be expressed.
    """
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise BadRequestError("messages: must be a list with at least one message")
    messages = list(_system(body.get("system")))
    for i, message in enumerate(given):
        messages += _messages(message, f"messages[{i}]")
    return ChatRequest(
        model=body["model"],
        messages=repaired(messages),
        tools=tuple(_tools(items(body.get("tools"), "tools"))),
        stream=bool(body.get("stream")),
        extra=_extra(body),
    )


def _system(value: Any) -> Iterable[Message]:
    if value is None:
        return
    blocks = [{"type": "text", "text": value}] if isinstance(value, str) else value
    if not isinstance(blocks, list):
        raise BadRequestError("system: must be text or a list of text blocks")
    texts = [str(block.get("text") or "") for block in blocks if isinstance(block, dict)]
    text = "\n\n".join(text for text in texts if text.strip() and not text.startswith(BILLING))
    if text:
        yield Message("system", text)


def _messages(value: Any, where: str) -> list[Message]:
    """One message of theirs as the messages of ours: tool results come apart, in front of what else the user said."""
    role = value.get("role") if isinstance(value, dict) else None
    if role not in ("user", "assistant", "system"):
        raise BadRequestError(f"{where}.role: must be user, assistant or system")
    content = value.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise BadRequestError(f"{where}.content: must be text or a list of blocks")
    results: list[Message] = []
    said: list[Message] = []  # what is no result: one message, more where the assistant thinks in between
    parts: list[Any] = []
    calls: list[ToolCall] = []
    reasoning = opaque = ""

    def settle() -> None:
        nonlocal reasoning, opaque
        if parts or calls or reasoning or opaque:
            said.append(_message(role, parts, calls, reasoning, opaque))
        parts.clear()
        calls.clear()
        reasoning = opaque = ""

    for i, block in enumerate(blocks):
        match block.get("type"):
            case "text":
                if str(block.get("text") or "").strip():
                    parts.append(str(block["text"]))
            case "image":
                parts.append(_image(block, f"{where}.content[{i}]"))
            case "tool_result":
                result, pictures = _tool_result(block, f"{where}.content[{i}]")
                results.append(result)
                parts += pictures
            case "tool_use":
                calls.append(
                    ToolCall(str(block.get("id")), str(block.get("name")), json.dumps(block.get("input") or {}))
                )
            case "thinking":
                settle()
                if signature := str(block.get("signature") or ""):  # without one nobody takes it back
                    reasoning, opaque = str(block.get("thinking") or ""), taken(signature, MESSAGES)
            case "redacted_thinking":
                settle()
                opaque = seal(MESSAGES, str(block.get("data") or ""), REDACTED)
            case kind:
                raise BadRequestError(f"{where}.content[{i}]: a block of kind {kind!r} cannot be sent to this model")
    settle()
    return [*results, *said]


def _message(role: str, parts: list[Any], calls: list[ToolCall], reasoning: str, opaque: str) -> Message:
    texts = all(isinstance(part, str) for part in parts)
    return Message(
        role,
        "\n\n".join(part for part in parts if isinstance(part, str)),
        tuple(calls),
        parts=() if texts else tuple(parts),
        reasoning=reasoning,
        reasoning_opaque=opaque,
    )


def _tool_result(block: dict[str, Any], where: str) -> tuple[Message, list[Image]]:
    content = block.get("content")
    inner = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    if not isinstance(inner, list):
        raise BadRequestError(f"{where}.content: must be text or a list of blocks")
    text = "\n".join(
        str(part.get("text") or "") for part in inner if isinstance(part, dict) and part.get("type") == "text"
    )
    images = [_image(part, where) for part in inner if isinstance(part, dict) and part.get("type") == "image"]
    if block.get("is_error"):
        text = f"Error: {text}"
    return Message(
        "tool", text or ("(see the image)" if images else "(empty)"), tool_call_id=str(block.get("tool_use_id"))
    ), images


def _image(block: dict[str, Any], where: str) -> Image:
    source = block.get("source")
    if isinstance(source, dict):
        if source.get("type") == "base64":
            return Image(f"data:{source.get('media_type')};base64,{source.get('data')}")
        if source.get("type") == "url" and isinstance(source.get("url"), str):
            return Image(source["url"])
    raise BadRequestError(f"{where}.source: must be of type base64 or url")


def _tools(values: list[Any]) -> Iterable[ToolSpec]:
    for i, tool in enumerate(values):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            raise BadRequestError(f"tools[{i}].name: must be text")
        if tool.get("type") not in (None, "custom", "function") and "input_schema" not in tool:
            raise BadRequestError(f"tools[{i}]: a tool of kind {tool['type']!r} cannot be sent to this model")
        yield ToolSpec(
            tool["name"],
            str(tool.get("description") or ""),
            mapping(tool.get("input_schema"), f"tools[{i}].input_schema"),
        )


def _extra(body: dict[str, Any]) -> dict[str, Any]:
    for name in ("max_tokens", "temperature", "top_p"):
        if isinstance(body.get(name), bool) or not isinstance(body.get(name), (int, float, type(None))):
            raise BadRequestError(f"{name}: must be a number")
    extra = {ours: body[theirs] for theirs, ours in _SAME.items() if body.get(theirs) is not None}
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and body.get("tools"):
        kind = choice.get("type")
        named = {"type": "function", "function": {"name": choice.get("name")}}
        extra["tool_choice"] = named if kind == "tool" else {"any": "required"}.get(str(kind), kind)
        if choice.get("disable_parallel_tool_use"):
            extra["parallel_tool_calls"] = False
    thinking = body.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") == "enabled" and thinking.get("budget_tokens"):
        extra["thinking_budget"] = thinking["budget_tokens"]
    config = body.get("output_config")
    if isinstance(config, dict) and isinstance(config.get("effort"), str):
        extra["reasoning_effort"] = config["effort"]
    if (
        isinstance(config, dict)
        and isinstance(form := config.get("format"), dict)
        and form.get("type") == "json_schema"
    ):
        extra["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": form.get("schema")},
        }
    return extra


def encode_request(request: ChatRequest) -> bytes:
    """A request for somebody who speaks this dialect.

    Raises:
        BadRequestError: it has tools that this dialect has no form for.
    """
    system = [m.content for m in request.messages if m.role in ("system", "developer") and m.content]
    messages: list[dict[str, Any]] = []
    for message in merged(m for m in request.messages if m.role not in ("system", "developer")):
        role, blocks = _sent(message)
        if not blocks:
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})
    body: dict[str, Any] = {"model": request.model, "messages": messages, "stream": request.stream}
    if system:
        body["system"] = "\n\n".join(system)
    if request.tools:
        body["tools"] = [_sent_tool(tool) for tool in request.tools]
    return _encode({**body, **_sent_extra(request)})


def _sent(message: Message) -> tuple[str, list[dict[str, Any]]]:
    parts = message.parts or ((message.content,) if message.content.strip() else ())
    blocks = [_sent_part(part) for part in parts if part != ""]
    if message.role == "tool":
        return "user", [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": blocks}]
    if message.role != "assistant":
        return "user", blocks
    mine = own(message.reasoning_opaque, MESSAGES) if message.reasoning_opaque else None
    if mine is not None:
        item_id, data = mine
        thinking = {"type": "thinking", "thinking": message.reasoning, "signature": data}
        blocks.insert(0, {"type": "redacted_thinking", "data": data} if item_id == REDACTED else thinking)
    calls = [{"type": "tool_use", "id": c.id, "name": c.name, "input": _input(c)} for c in message.tool_calls]
    return "assistant", [*blocks, *calls]


def _sent_part(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, Image):
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        raise BadRequestError(f"messages: a part of kind {kind!r} cannot be sent to this model")
    head, comma, data = part.url.partition(",")
    if comma and head.startswith("data:"):
        kind = head.removeprefix("data:").partition(";")[0]
        return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}
    return {"type": "image", "source": {"type": "url", "url": part.url}}


def _sent_tool(tool: ToolSpec) -> dict[str, Any]:
    if tool.namespace or tool.kind != "function":
        raise BadRequestError(f"tools: {tool.name!r} is of a kind that this model cannot take")
    schema = tool.parameters or {"type": "object", "properties": {}}
    return {"name": tool.name, "description": tool.description, "input_schema": schema}


def _sent_extra(request: ChatRequest) -> dict[str, Any]:
    extra = request.extra
    sent: dict[str, Any] = {
        "max_tokens": extra.get("max_completion_tokens") or extra.get("max_tokens") or DEFAULT_MAX_TOKENS
    }
    sent |= {name: extra[name] for name in ("temperature", "top_p") if extra.get(name) is not None}
    if extra.get("stop"):
        sent["stop_sequences"] = [extra["stop"]] if isinstance(extra["stop"], str) else extra["stop"]
    choice = extra.get("tool_choice")
    if request.tools and choice is not None:
        named = choice.get("function") or choice.get("custom") or {} if isinstance(choice, dict) else {}
        sent["tool_choice"] = (
            {"type": "tool", "name": named.get("name")} if named else {"type": {"required": "any"}.get(choice, choice)}
        )
    if request.tools and extra.get("parallel_tool_calls") is False:
        sent["tool_choice"] = {**sent.get("tool_choice", {"type": "auto"}), "disable_parallel_tool_use": True}
    if extra.get("thinking_budget"):
        sent["thinking"] = {"type": "enabled", "budget_tokens": extra["thinking_budget"]}
    config = {}
    if extra.get("reasoning_effort") in ("low", "medium", "high", "max"):
        config["effort"] = extra["reasoning_effort"]
    form = extra.get("response_format")
    if isinstance(form, dict) and form.get("type") == "json_schema" and isinstance(form.get("json_schema"), dict):
        config["format"] = {"type": "json_schema", "schema": form["json_schema"].get("schema")}
    return {**sent, "output_config": config} if config else sent


def cleaned(body: dict[str, Any]) -> dict[str, Any]:
    """A request without thinking that was encrypted elsewhere, for a model that speaks this dialect and would refuse it."""

    def kept(block: Any) -> bool:
        return not (
            isinstance(block, dict) and block.get("type") == "thinking" and str(block.get("signature")).startswith(MARK)
        )

    return {
        **body,
        "messages": [
            {**message, "content": [block for block in message["content"] if kept(block)]}
            if isinstance(message, dict) and isinstance(message.get("content"), list)
            else message
            for message in body["messages"]
        ],
    }


# Answers.


def _usage(usage: Usage | None, estimate: int = 0) -> dict[str, Any]:
    """Their fields are disjoint: input is what was neither read from a cache nor written to it."""
    if usage is None:
        return {
            "input_tokens": estimate,
            "output_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation_input_tokens": 0,
        }
    return {
        "input_tokens": max(0, usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens),
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
    }


def _head(model: str, usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{uuid.uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def encode_completion(done: Completion, model: str) -> bytes:
    """A whole answer as one body."""
    content = [_written(block) for block in done.blocks]
    head = _head(model, _usage(done.usage))
    return _encode({**head, "content": content, "stop_reason": _STOP.get(done.finish_reason, "end_turn")})


def _written(block: Block) -> dict[str, Any]:
    if isinstance(block, Reasoning):
        mine = own(block.opaque, MESSAGES)
        if mine is not None and mine[0] == REDACTED:
            return {"type": "redacted_thinking", "data": mine[1]}
        return {"type": "thinking", "thinking": block.text, "signature": shown(block.opaque, MESSAGES)}
    if isinstance(block, ToolCall):
        return {"type": "tool_use", "id": block.id, "name": block.name, "input": _input(block)}
    return {"type": "text", "text": block}


def _input(call: ToolCall) -> Any:
    try:
        value = json.loads(call.arguments)
    except ValueError:
        return {"input": call.arguments}
    return value if isinstance(value, dict) else {"input": value}


class EventEncoder:
    """Events of one answer -> Anthropic's stream. One start and one stop for each block, whatever comes.

    Args:
        model: the name that the client used.
        input_estimate: tokens of the request, as good as they are known before the answer.
    """

    def __init__(self, model: str, input_estimate: int) -> None:
        self._model = model
        self._estimate = input_estimate
        self._index = -1
        self._open: str | None = None
        self._usage: Usage | None = None
        self._stop = "end_turn"

    def start(self) -> bytes:
        """The bytes before the first event."""
        message = _head(self._model, _usage(None, self._estimate))
        return _event("message_start", {"message": message})

    def encode(self, event: ModelEvent) -> bytes:
        """The bytes of one event; b"" for one that is said at the end."""
        match event:
            case TextDelta():
                return self._into("text", {"text": ""}) + self._delta({"type": "text_delta", "text": event.text})
            case ReasoningDelta():
                block = {"thinking": "", "signature": ""}
                return self._into("thinking", block) + self._delta({"type": "thinking_delta", "thinking": event.text})
            case ReasoningOpaque():
                mine = own(event.data, MESSAGES)
                if mine is not None and mine[0] == REDACTED:
                    return self._close() + self._into("redacted_thinking", {"data": mine[1]}) + self._close()
                block = {"thinking": "", "signature": ""}
                return self._into("thinking", block) + self._close(shown(event.data, MESSAGES))
            case ToolCallEvent():
                call = event.call
                begun = self._close() + self._into("tool_use", {"id": call.id, "name": call.name, "input": {}})
                return (
                    begun
                    + self._delta({"type": "input_json_delta", "partial_json": json.dumps(_input(call))})
                    + self._close()
                )
            case Usage():
                self._usage = event
            case Finish():
                self._stop = _STOP.get(event.reason, "end_turn")
        return b""

    def end(self) -> bytes:
        """The bytes after the last event."""
        usage = _usage(self._usage, self._estimate)
        delta = {"delta": {"stop_reason": self._stop, "stop_sequence": None}, "usage": usage}
        return self._close() + _event("message_delta", delta) + _event("message_stop", {})

    def _into(self, kind: str, block: dict[str, Any]) -> bytes:
        if self._open == kind:
            return b""
        closed = self._close()
        self._open, self._index = kind, self._index + 1
        return closed + _event("content_block_start", {"index": self._index, "content_block": {"type": kind, **block}})

    def _delta(self, delta: dict[str, Any]) -> bytes:
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


def _event(kind: str, fields: dict[str, Any]) -> bytes:
    return encode_sse(_encode({"type": kind, **fields}), kind.encode())


def encode_error(kind: str, message: str, request_id: str | None = None) -> bytes:
    """An error body."""
    return _encode({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id})


def estimate_tokens(request: ChatRequest) -> int:
    """Tokens of a request, estimated high: three characters a token, and what the form around it costs.

    Clients compact their history by this number; too low makes them do it too late.
    """
    text = sum(len(m.content) + sum(len(c.name) + len(c.arguments) for c in m.tool_calls) for m in request.messages)
    tools = sum(len(t.name) + len(t.description) + len(json.dumps(t.parameters)) for t in request.tools)
    images = sum(1 for m in request.messages for p in m.parts if isinstance(p, Image))
    return (text + tools) // 3 + 8 * len(request.messages) + 1500 * images + 1
