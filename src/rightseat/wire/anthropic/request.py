"""Requests of Anthropic's Messages API (versions 2023-06-01 and 2026-10-21), in and out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import msgspec

from rightseat.chat import ChatRequest, Image, Message, ToolCall, ToolSpec
from rightseat.chat.plain import plain_name
from rightseat.chat.repair import merged, repaired
from rightseat.json_types import Json, JsonObject
from rightseat.wire.anthropic.blocks import document, found_by_provider, image, tool_result
from rightseat.wire.body import BadRequestError, items, mapping
from rightseat.wire.opaque import MESSAGES, own, seal, taken

DEFAULT_MAX_TOKENS = 16_384  # the dialect demands a limit; clients of others may not say one
REDACTED = "redacted"  # the id under which encrypted reasoning without text is kept
BILLING = "x-anthropic-billing-header"
_SAME = {"temperature": "temperature", "top_p": "top_p", "max_tokens": "max_tokens", "stop_sequences": "stop"}
_CHOICES = {"required": "any"}
_BETAS = ("interleaved-thinking-", "context-management-", "advanced-tool-use-")
_ROLES = ("user", "assistant", "system")
_encode = msgspec.json.Encoder().encode


def decode_request(body: JsonObject) -> ChatRequest:
    """A request.

    Raises:
        BadRequestError: naming the field that is wrong, or the kind of tool that cannot be expressed.
    """
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise BadRequestError.at("messages", "must be a list with at least one message")
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


def _system(value: object) -> Iterable[Message]:
    if value is None:
        return
    blocks = [{"type": "text", "text": value}] if isinstance(value, str) else value
    if not isinstance(blocks, list):
        raise BadRequestError.at("system", "must be a string or a list of text blocks")
    texts = [str(block.get("text") or "") for block in blocks if isinstance(block, dict)]
    text = "\n\n".join(text for text in texts if text.strip() and not text.startswith(BILLING))
    if text:
        yield Message("system", text)


def _messages(value: object, where: str) -> list[Message]:
    """One message of theirs as the messages of ours: tool results come apart, in front of what else the user said."""
    role, blocks = _blocks(value, where)
    turn = _TurnReader(role)
    for i, block in enumerate(blocks):
        turn.take(block, f"{where}.content[{i}]")
    turn.settle()
    return [*turn.results, *turn.said]


def _blocks(value: Json, where: str) -> tuple[str, list[JsonObject]]:
    role = value.get("role") if isinstance(value, dict) else None
    if role not in _ROLES:
        raise BadRequestError.at(f"{where}.role", "must be user, assistant or system")
    content = value.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise BadRequestError.at(f"{where}.content", "must be a string or a list of blocks")
    return str(role), blocks


class _TurnReader:
    """The blocks of one message on their way into messages.

    Attributes:
        results: tool results.
        said: the rest: one message, more where the assistant thinks in between.
    """

    def __init__(self, role: str) -> None:
        self.results: list[Message] = []
        self.said: list[Message] = []
        self._role = role
        self._parts: list[Json] = []
        self._calls: list[ToolCall] = []
        self._reasoning = self._opaque = ""

    def settle(self) -> None:
        """What was taken since the last time is a message."""
        if self._parts or self._calls or self._reasoning or self._opaque:
            self.said.append(_message(self._role, self._parts, self._calls, self._reasoning, self._opaque))
        self._parts, self._calls = [], []
        self._reasoning = self._opaque = ""

    def take(self, block: JsonObject, where: str) -> None:
        """The next block. Raises BadRequestError."""
        match block.get("type"):
            case "text":
                self._parts += [text for text in [str(block.get("text") or "")] if text.strip()]
            case "image":
                self._parts.append(image(block, where))
            case "tool_result":
                result, images = tool_result(block, where)
                self.results.append(result)
                self._parts += images
            case "tool_use":
                self._calls.append(_call(block))
            case "thinking" | "redacted_thinking":
                self.settle()
                self._think(block)
            case "server_tool_use" | "container_upload":
                pass  # what its provider did by itself; what came of it follows
            case kind if str(kind).endswith("_tool_result"):
                self._parts += [text for text in [found_by_provider(block)] if text]
            case "document" | "search_result":
                self._parts.append(document(block, where))
            case kind:
                raise BadRequestError.at(where, f"a block of kind {kind!r} cannot be sent to this model")

    def _think(self, block: JsonObject) -> None:
        if block["type"] == "redacted_thinking":
            self._opaque = seal(MESSAGES, str(block.get("data") or ""), REDACTED)
        elif signature := str(block.get("signature") or ""):  # without one it is refused
            self._reasoning, self._opaque = str(block.get("thinking") or ""), taken(signature, MESSAGES)


def _call(block: JsonObject) -> ToolCall:
    return ToolCall(str(block.get("id")), str(block.get("name")), json.dumps(block.get("input") or {}))


def _message(role: str, parts: list[Json], calls: list[ToolCall], reasoning: str, opaque: str) -> Message:
    texts = all(isinstance(part, str) for part in parts)
    return Message(
        role,
        "\n\n".join(part for part in parts if isinstance(part, str)),
        tuple(calls),
        parts=() if texts else tuple(parts),
        reasoning=reasoning,
        reasoning_opaque=opaque,
    )


def _tools(values: list[Json]) -> Iterable[ToolSpec]:
    for i, tool in enumerate(values):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            raise BadRequestError.at(f"tools[{i}].name", "must be a string")
        if tool.get("type") not in (None, "custom", "function") and "input_schema" not in tool:
            raise BadRequestError.at(f"tools[{i}]", f"a tool of kind {tool['type']!r} cannot be sent to this model")
        yield ToolSpec(
            tool["name"],
            str(tool.get("description") or ""),
            mapping(tool.get("input_schema"), f"tools[{i}].input_schema"),
        )


def _extra(body: JsonObject) -> JsonObject:
    for name in ("max_tokens", "temperature", "top_p"):
        if isinstance(body.get(name), bool) or not isinstance(body.get(name), (int, float, type(None))):
            raise BadRequestError.at(name, "must be a number")
    extra = {ours: body[theirs] for theirs, ours in _SAME.items() if body.get(theirs) is not None}
    thinking = body.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") == "enabled" and thinking.get("budget_tokens"):
        extra["thinking_budget"] = thinking["budget_tokens"]
    return {**extra, **_tool_choice(body), **_output_config(body.get("output_config"))}


def _tool_choice(body: JsonObject) -> JsonObject:
    choice = body.get("tool_choice")
    if not isinstance(choice, dict) or not body.get("tools"):
        return {}
    kind = choice.get("type")
    named = {"type": "function", "function": {"name": choice.get("name")}}
    parallel = {"parallel_tool_calls": False} if choice.get("disable_parallel_tool_use") else {}
    return {"tool_choice": named if kind == "tool" else {"any": "required"}.get(str(kind), kind), **parallel}


def _output_config(config: object) -> JsonObject:
    if not isinstance(config, dict):
        return {}
    extra: JsonObject = {}
    if isinstance(config.get("effort"), str):
        extra["reasoning_effort"] = config["effort"]
    form = config.get("format")
    if isinstance(form, dict) and form.get("type") == "json_schema":
        schema = {"name": "answer", "schema": form.get("schema")}
        extra["response_format"] = {"type": "json_schema", "json_schema": schema}
    return extra


def encode_request(request: ChatRequest) -> bytes:
    """A request for an upstream that speaks this dialect.

    Raises:
        BadRequestError: it has tools that this dialect has no form for.
    """
    system = [m.content for m in request.messages if m.role in ("system", "developer") and m.content]
    messages: list[JsonObject] = []
    for message in merged(m for m in request.messages if m.role not in ("system", "developer")):
        role, blocks = _sent(message)
        if not blocks:
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})
    body: JsonObject = {"model": request.model, "messages": messages, "stream": request.stream}
    if system:
        body["system"] = "\n\n".join(system)
    tools = request.tools or _stubs(request.messages)
    if tools:
        body["tools"] = [_sent_tool(tool) for tool in tools]
    if tools or len(messages) > 1:  # it goes on, and what was read can be kept
        _mark(body)
    return _encode({**body, **_sent_extra(request)})


def _stubs(messages: Iterable[Message]) -> tuple[ToolSpec, ...]:
    """Tools that were called before and are not there any more: a history with calls is refused without."""
    return tuple(
        ToolSpec(name) for name in dict.fromkeys(call.name for message in messages for call in message.tool_calls)
    )


def _mark(body: JsonObject) -> None:
    """Say where what was read can be kept: behind the tools, the system's words and the last two turns of the user's. Others' dialects have no such marks."""
    mark = {"type": "ephemeral"}
    if isinstance(system := body.get("system"), str):
        body["system"] = [{"type": "text", "text": system, "cache_control": mark}]
    if tools := body.get("tools"):
        tools[-1] = {**tools[-1], "cache_control": mark}
    for message in [message for message in body["messages"] if message["role"] == "user"][-2:]:
        message["content"][-1] = {**message["content"][-1], "cache_control": mark}


def _sent(message: Message) -> tuple[str, list[JsonObject]]:
    parts = message.parts or ((message.content,) if message.content.strip() else ())
    blocks = [_sent_part(part) for part in parts if part != ""]
    if message.role == "tool":
        return "user", [
            {"type": "tool_result", "tool_use_id": plain_name(message.tool_call_id or "call"), "content": blocks}
        ]
    if message.role != "assistant":
        return "user", blocks
    mine = own(message.reasoning_opaque, MESSAGES) if message.reasoning_opaque else None
    if mine is not None:
        item_id, data = mine
        thinking = {"type": "thinking", "thinking": message.reasoning, "signature": data}
        blocks.insert(0, {"type": "redacted_thinking", "data": data} if item_id == REDACTED else thinking)
    calls = [
        {"type": "tool_use", "id": plain_name(c.id or "call"), "name": c.name, "input": input_of(c)}
        for c in message.tool_calls
    ]
    return "assistant", [*blocks, *calls]


def _sent_part(part: object) -> JsonObject:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, Image):
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        raise BadRequestError.at("messages", f"a part of kind {kind!r} cannot be sent to this model")
    head, comma, data = part.url.partition(",")
    if comma and head.startswith("data:"):
        kind = head.removeprefix("data:").partition(";")[0]
        return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}
    return {"type": "image", "source": {"type": "url", "url": part.url}}


def _sent_tool(tool: ToolSpec) -> JsonObject:
    if tool.namespace or tool.kind != "function":
        raise BadRequestError.at("tools", f"{tool.name!r} is of a kind that this model cannot take")
    schema = tool.parameters or {"type": "object", "properties": {}}
    return {"name": tool.name, "description": tool.description, "input_schema": schema}


def _sent_extra(request: ChatRequest) -> JsonObject:
    extra = request.extra
    limit = extra.get("max_completion_tokens") or extra.get("max_tokens") or DEFAULT_MAX_TOKENS
    sent: JsonObject = {"max_tokens": limit}
    sent |= {name: extra[name] for name in ("temperature", "top_p") if extra.get(name) is not None}
    if extra.get("stop"):
        sent["stop_sequences"] = [extra["stop"]] if isinstance(extra["stop"], str) else extra["stop"]
    if extra.get("thinking_budget"):
        sent["thinking"] = {"type": "enabled", "budget_tokens": extra["thinking_budget"]}
    return {**sent, **(_sent_choice(extra) if request.tools else {}), **_sent_config(extra)}


def _sent_choice(extra: Mapping[str, Json]) -> JsonObject:
    choice = extra.get("tool_choice")
    sent: JsonObject = {}
    if choice is not None:
        named = choice.get("function") or choice.get("custom") or {} if isinstance(choice, dict) else {}
        sent = {"type": "tool", "name": named.get("name")} if named else {"type": _CHOICES.get(choice, choice)}
    if extra.get("parallel_tool_calls") is False:
        sent = {**(sent or {"type": "auto"}), "disable_parallel_tool_use": True}
    return {"tool_choice": sent} if sent else {}


def _sent_config(extra: Mapping[str, object]) -> JsonObject:
    config: JsonObject = {}
    effort = extra.get("reasoning_effort")
    if effort in ("low", "medium", "high", "xhigh", "max"):
        config["effort"] = effort
    return {"output_config": config} if config else {}


def check(body: JsonObject) -> None:
    """Raises BadRequestError for a body that is certainly wrong."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError.at("messages", "must be a list with at least one message")
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise BadRequestError.at(f"messages[{i}].role", "must be user, assistant or system")


def passed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Of the betas that a client asks for, those that editors ask Copilot for.

    Raises:
        BadRequestError: the header holds what no header may.
    """
    given = headers.get("anthropic-beta", "")
    if not given.isprintable() or not given.isascii():
        raise BadRequestError.at("anthropic-beta", "must be printable text")
    kept = [beta for beta in (one.strip() for one in given.split(",")) if beta.startswith(_BETAS)]
    return {"anthropic-beta": ",".join(kept)} if kept else {}


def estimate_tokens(request: ChatRequest) -> int:
    """Tokens of a request, estimated high: three characters a token, and what the form around it costs.

    Clients compact their history by this number; too low makes them do it too late.
    """
    text = sum(len(m.content) + sum(len(c.name) + len(c.arguments) for c in m.tool_calls) for m in request.messages)
    tools = sum(len(t.name) + len(t.description) + len(json.dumps(t.parameters)) for t in request.tools)
    images = sum(1 for m in request.messages for p in m.parts if isinstance(p, Image))
    return (text + tools) // 3 + 8 * len(request.messages) + 1500 * images + 1


def input_of(call: ToolCall) -> Json:
    """What a tool is called with: always an object in this dialect."""
    try:
        value = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return {"input": call.arguments}
    return value if isinstance(value, dict) else {"input": value}
