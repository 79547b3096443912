"""OpenAI responses: requests in and out, answers out, whole and streamed (Responses API, as its public clients speak it in 2026).

A request becomes a ChatRequest, chat events become the API's events. Kinds of tools and items that chat values have no place for are
refused by name. This module knows one dialect and no other; reading answers is for `openai_responses_stream`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
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
from rightseat.chat.repair import repaired
from rightseat.wire.body import BadRequestError, items, mapping
from rightseat.wire.opaque import MARK, RESPONSES, own, seal, shown, taken
from rightseat.wire.sse import encode_sse

_SAME = ("temperature", "top_p", "parallel_tool_calls", "prompt_cache_key", "user")
_ECHOED = ("instructions", "metadata", "parallel_tool_calls", "temperature", "tool_choice", "tools", "top_p")
_encode = msgspec.json.Encoder().encode


# Requests.


def decode_request(body: dict[str, Any]) -> ChatRequest:
    """A request.

    Raises:
        BadRequestError: naming the field that is wrong, or the kind of tool or item that cannot be expressed.
    """
    if body.get("previous_response_id"):
        raise BadRequestError("previous_response_id: answers are kept on a WebSocket only; send the whole input")
    if body.get("background"):
        raise BadRequestError("background: answers are not kept, so they cannot be fetched later")
    given = body.get("input")
    given = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(given, list) or not given:
        raise BadRequestError("input: must be text or a list with at least one item")
    messages: list[Message] = []
    if isinstance(body.get("instructions"), str) and body["instructions"].strip():
        messages.append(Message("system", body["instructions"]))
    tools = list(_tools(items(body.get("tools"), "tools"), "tools"))
    for i, item in enumerate(given):
        where = f"input[{i}]"
        if isinstance(item, dict) and item.get("type") == "additional_tools":
            tools += _tools(items(item.get("tools"), f"{where}.tools"), f"{where}.tools")
        else:
            _take(item, where, messages)
    return ChatRequest(
        model=str(body.get("model", "")),
        messages=repaired(messages),
        tools=tuple(tools),
        stream=bool(body.get("stream")),
        extra=_extra(body),
    )


def _take(item: Any, where: str, messages: list[Message]) -> None:
    """One item. What one answer holds becomes one message, unless the model thought in between."""
    if not isinstance(item, dict):
        raise BadRequestError(f"{where}: must be an object")
    match item.get("type", "message"):
        case "message":
            role = {"developer": "system"}.get(str(item.get("role")), item.get("role"))
            if role not in ("user", "assistant", "system"):
                raise BadRequestError(f"{where}.role: must be user, assistant, system or developer")
            text, parts = _content(item.get("content"), f"{where}.content")
            before = messages[-1] if messages else None
            if role == "assistant" and before is not None and _only_thought(before):
                messages[-1] = msgspec.structs.replace(before, content=text, parts=parts)
            else:
                messages.append(Message(role, text, parts=parts))
        case "reasoning":
            summary = items(item.get("summary"), f"{where}.summary")
            text = "\n\n".join(str(part.get("text") or "") for part in summary if isinstance(part, dict))
            opaque = str(item.get("encrypted_content") or "")
            if opaque.startswith(MARK):
                opaque = taken(opaque, RESPONSES)
            elif opaque:
                opaque = seal(RESPONSES, opaque, str(item.get("id") or ""))
            messages.append(Message("assistant", reasoning=text, reasoning_opaque=opaque))
        case "function_call" | "custom_tool_call" as kind:
            custom = kind == "custom_tool_call"
            text = str(item.get("input" if custom else "arguments") or ("" if custom else "{}"))
            call_id, name = item.get("call_id") or item.get("id"), item.get("name")
            if not isinstance(call_id, str) or not isinstance(name, str):
                raise BadRequestError(f"{where}: a call must have a call_id and a name")
            call = ToolCall(call_id, name, text, "custom" if custom else "function", str(item.get("namespace") or ""))
            before = messages[-1] if messages else None
            if before is not None and before.role == "assistant":
                messages[-1] = msgspec.structs.replace(before, tool_calls=(*before.tool_calls, call))
            else:
                messages.append(Message("assistant", tool_calls=(call,)))
        case "function_call_output" | "custom_tool_call_output":
            text, parts = _content(item.get("output"), f"{where}.output")
            messages.append(Message("tool", text or "(empty)", tool_call_id=str(item.get("call_id")), parts=parts))
        case kind:
            raise BadRequestError(f"{where}: an item of kind {kind!r} cannot be sent to this model")


def _only_thought(message: Message) -> bool:
    return message.role == "assistant" and not (message.content or message.parts or message.tool_calls)


def _content(value: Any, where: str) -> tuple[str, tuple[Any, ...]]:
    if value is None or isinstance(value, str):
        return value or "", ()
    parts: list[Any] = []
    for i, part in enumerate(items(value, where)):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("input_text", "output_text", "text", "summary_text", "refusal"):
            parts.append(str(part.get("text") or part.get("refusal") or ""))
        elif kind == "input_image" and isinstance(part.get("image_url"), str):
            parts.append(Image(part["image_url"]))
        else:
            raise BadRequestError(f"{where}[{i}]: a part of kind {kind!r} cannot be sent to this model")
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts), () if len(texts) == len(parts) else tuple(parts)


def _tools(values: Iterable[Any], where: str, namespace: str = "") -> Iterable[ToolSpec]:
    for i, tool in enumerate(values):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind == "namespace":
            yield from _tools(items(tool.get("tools"), f"{where}[{i}].tools"), f"{where}[{i}]", str(tool.get("name")))
            continue
        if kind not in ("function", "custom"):
            raise BadRequestError(f"{where}[{i}]: a tool of kind {kind!r} cannot be sent to this model")
        if not isinstance(tool.get("name"), str):
            raise BadRequestError(f"{where}[{i}].name: must be text")
        yield ToolSpec(
            tool["name"],
            str(tool.get("description") or ""),
            mapping(tool.get("parameters"), f"{where}[{i}].parameters"),
            kind,
            namespace,
            tool["strict"] if isinstance(tool.get("strict"), bool) else None,
            tool["format"] if isinstance(tool.get("format"), dict) else None,
        )


def _extra(body: dict[str, Any]) -> dict[str, Any]:
    limit = body.get("max_output_tokens")
    if isinstance(limit, bool) or not isinstance(limit, (int, type(None))):
        raise BadRequestError("max_output_tokens: must be a whole number")
    extra: dict[str, Any] = {name: body[name] for name in _SAME if body.get(name) is not None}
    if limit is not None:
        extra["max_tokens"] = limit
    reasoning = mapping(body.get("reasoning"), "reasoning")
    if isinstance(reasoning.get("effort"), str):
        extra["reasoning_effort"] = reasoning["effort"]
    text = mapping(body.get("text"), "text")
    form = text.get("format")
    if isinstance(form, dict) and form.get("type") == "json_schema":
        named = {name: form[name] for name in ("name", "schema", "strict", "description") if form.get(name) is not None}
        extra["response_format"] = {"type": "json_schema", "json_schema": named}
    elif isinstance(form, dict) and form.get("type") == "json_object":
        extra["response_format"] = {"type": "json_object"}
    if isinstance(text.get("verbosity"), str):
        extra["verbosity"] = text["verbosity"]
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in ("function", "custom"):
        extra["tool_choice"] = {"type": choice["type"], choice["type"]: {"name": choice.get("name")}}
    elif isinstance(choice, str) and body.get("tools"):
        extra["tool_choice"] = choice
    return extra


def encode_request(request: ChatRequest) -> bytes:
    """A request for somebody who speaks this dialect. Nothing is kept there: encrypted reasoning comes back instead."""
    body: dict[str, Any] = {
        "model": request.model,
        "input": [item for message in request.messages for item in _sent(message)],
        "stream": request.stream,
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    if request.tools:
        body["tools"] = list(_sent_tools(request.tools))
    return _encode({**body, **_sent_extra(request.extra)})


def _sent(message: Message) -> Iterable[dict[str, Any]]:
    if message.role == "tool":
        output: Any = [_sent_part(part, "input_text") for part in message.parts] if message.parts else message.content
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": output}
        return
    mine = own(message.reasoning_opaque, RESPONSES) if message.reasoning_opaque else None
    if mine is not None:
        summary = [{"type": "summary_text", "text": message.reasoning}] if message.reasoning else []
        item_id = {"id": mine[0]} if mine[0] else {}
        yield {"type": "reasoning", **item_id, "summary": summary, "encrypted_content": mine[1]}
    parts = message.parts or ((message.content,) if message.content else ())
    if parts:
        kind = "output_text" if message.role == "assistant" else "input_text"
        yield {"type": "message", "role": message.role, "content": [_sent_part(part, kind) for part in parts]}
    for call in message.tool_calls:
        yield _sent_call(call)


def _sent_part(part: Any, kind: str) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": kind, "text": part}
    if isinstance(part, Image):
        return {"type": "input_image", "image_url": part.url, "detail": "auto"}
    found = part.get("type") if isinstance(part, dict) else type(part).__name__
    raise BadRequestError(f"messages: a part of kind {found!r} cannot be sent to this model")


def _sent_call(call: ToolCall) -> dict[str, Any]:
    group = {"namespace": call.namespace} if call.namespace else {}
    if call.kind == "custom":
        return {"type": "custom_tool_call", "call_id": call.id, "name": call.name, **group, "input": call.arguments}
    return {"type": "function_call", "call_id": call.id, "name": call.name, **group, "arguments": call.arguments}


def _sent_tools(tools: Iterable[ToolSpec]) -> Iterable[dict[str, Any]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for tool in tools:
        sent: dict[str, Any] = {"type": tool.kind, "name": tool.name, "description": tool.description}
        if tool.kind == "custom":
            sent |= {"format": tool.format} if tool.format else {}
        else:
            schema = tool.parameters or {"type": "object", "properties": {}}
            sent |= {"parameters": schema, "strict": bool(tool.strict)}
        if tool.namespace:
            groups.setdefault(tool.namespace, []).append(sent)
        else:
            yield sent
    for name, inner in groups.items():
        yield {"type": "namespace", "name": name, "tools": inner}


def _sent_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    sent: dict[str, Any] = {name: extra[name] for name in _SAME if extra.get(name) is not None}
    limit = extra.get("max_completion_tokens") or extra.get("max_tokens")
    if limit:
        sent["max_output_tokens"] = max(16, limit)  # the API's own lower bound
    effort = extra.get("reasoning_effort")
    sent["reasoning"] = {"summary": "auto", **({"effort": effort} if effort else {})}
    choice = extra.get("tool_choice")
    if isinstance(choice, dict):
        kind = choice.get("type")
        sent["tool_choice"] = {"type": kind, **mapping(choice.get(str(kind)), "tool_choice")}
    elif choice is not None:
        sent["tool_choice"] = choice
    text: dict[str, Any] = {"verbosity": extra["verbosity"]} if extra.get("verbosity") else {}
    form = extra.get("response_format")
    if isinstance(form, dict):
        text["format"] = {"type": form.get("type"), **mapping(form.get("json_schema"), "response_format.json_schema")}
    return {**sent, "text": text} if text else sent


# Answers.


class ResponseEncoder:
    """Events of one answer -> the API's stream. Each item is added once and done once, whatever comes.

    Args:
        model: the name that the client used.
        request: its body; some of its fields are told back, as the API does.
    """

    def __init__(self, model: str, request: Mapping[str, Any]) -> None:
        self._number = 0
        self._output: list[dict[str, Any]] = []
        self._item: dict[str, Any] | None = None  # the one that is being said
        self._pieces: list[str] = []
        self._usage: Usage | None = None
        self._finish = "stop"
        self.response = {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": model,
            "output": [],
            "usage": None,
            "store": False,
            "previous_response_id": request.get("previous_response_id"),
            "reasoning": request.get("reasoning") or {"effort": None, "summary": None},
            "text": request.get("text") or {"format": {"type": "text"}},
            **_DEFAULTS,
            **{name: request[name] for name in _ECHOED if request.get(name) is not None},
        }

    def start(self) -> bytes:
        """The bytes before the first event."""
        said = {"response": self.response}
        return self._event("response.created", said) + self._event("response.in_progress", said)

    def encode(self, event: ModelEvent) -> bytes:
        """The bytes of one event; b"" for one that is said at the end."""
        match event:
            case TextDelta():
                begun = self._into("message")
                self._pieces.append(event.text)
                return begun + self._at("response.output_text.delta", content_index=0, delta=event.text, logprobs=[])
            case ReasoningDelta():
                begun = self._into("reasoning")
                self._pieces.append(event.text)
                return begun + self._at("response.reasoning_summary_text.delta", summary_index=0, delta=event.text)
            case ReasoningOpaque():
                if self._item is None or self._item["type"] != "reasoning":
                    return self._close() + self._block(Reasoning("", event.data))
                return self._close(event.data)
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
        self.response |= {"output": self._output, **_status(self._finish), "usage": _usage(self._usage)}
        return closed + self._event(f"response.{self.response['status']}", {"response": self.response})

    def _into(self, kind: str) -> bytes:
        if self._item is not None and self._item["type"] == kind:
            return b""
        closed = self._close()
        self._item = _item("" if kind == "message" else Reasoning(), "in_progress")
        added = self._added({**self._item, "content": []} if kind == "message" else self._item)
        if kind == "message":
            return closed + added + self._at("response.content_part.added", content_index=0, part=_text(""))
        return closed + added + self._at("response.reasoning_summary_part.added", summary_index=0, part=_summary(""))

    def _close(self, opaque: str = "") -> bytes:
        if self._item is None:
            return b""
        text, self._pieces = "".join(self._pieces), []
        if self._item["type"] == "message":
            said = self._at("response.output_text.done", content_index=0, text=text, logprobs=[])
            said += self._at("response.content_part.done", content_index=0, part=_text(text))
            whole = _item(text, "completed")
        else:
            said = self._at("response.reasoning_summary_text.done", summary_index=0, text=text)
            said += self._at("response.reasoning_summary_part.done", summary_index=0, part=_summary(text))
            whole = _item(Reasoning(text, opaque), "completed")
        return said + self._done({**whole, "id": self._item["id"]})

    def _block(self, block: ToolCall | Reasoning) -> bytes:
        """An item that is said at once."""
        whole = self._item = _item(block, "completed")
        if isinstance(block, Reasoning):
            return self._added(whole) + self._done(whole)
        field, kind = ("input", "custom_tool_call_input") if block.kind == "custom" else _ARGUMENTS
        added = self._added({**whole, field: "", "status": "in_progress"})
        delta = self._at(f"response.{kind}.delta", delta=block.arguments)
        done = self._at(f"response.{kind}.done", name=block.name, **{field: block.arguments})
        return added + delta + done + self._done(whole)

    def _added(self, item: dict[str, Any]) -> bytes:
        return self._event("response.output_item.added", {"output_index": len(self._output), "item": item})

    def _done(self, item: dict[str, Any]) -> bytes:
        said = self._event("response.output_item.done", {"output_index": len(self._output), "item": item})
        self._output.append(item)
        self._item = None
        return said

    def _at(self, kind: str, **fields: Any) -> bytes:
        """An event about the item that is being said."""
        assert self._item is not None
        return self._event(kind, {"item_id": self._item["id"], "output_index": len(self._output), **fields})

    def _event(self, kind: str, fields: dict[str, Any]) -> bytes:
        number, self._number = self._number, self._number + 1
        return encode_sse(_encode({"type": kind, "sequence_number": number, **fields}), kind.encode())


_ARGUMENTS = ("arguments", "function_call_arguments")
_DEFAULTS: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
}


def encode_completion(done: Completion, model: str, request: Mapping[str, Any]) -> bytes:
    """A whole answer as one body."""
    response = ResponseEncoder(model, request).response
    output = [_item(block, "completed") for block in done.blocks]
    return _encode({**response, "output": output, **_status(done.finish_reason), "usage": _usage(done.usage)})


def _item(block: Block, status: str) -> dict[str, Any]:
    if isinstance(block, str):
        content = [_text(block)]
        return {"type": "message", "id": _id("msg"), "role": "assistant", "status": status, "content": content}
    if isinstance(block, Reasoning):
        summary = [_summary(block.text)] if block.text else []
        item = {"type": "reasoning", "id": _id("rs"), "summary": summary}
        return {**item, "encrypted_content": _encrypted(block.opaque)} if block.opaque else item
    custom = block.kind == "custom"
    call = {"id": _id("ctc" if custom else "fc"), **_sent_call(block), "status": status}
    return {"type": call.pop("type"), **call}


def _encrypted(opaque: str) -> str:
    """What upstream has encrypted together with an id keeps its mark, because the item has another id by now."""
    mine = own(opaque, RESPONSES)
    return opaque if mine is not None and mine[0] else shown(opaque, RESPONSES)


def cleaned(body: dict[str, Any]) -> dict[str, Any]:
    """A request for a model that speaks this dialect: encrypted reasoning under its first id, and without that of others."""

    def kept(item: Any) -> Any:
        sealed = item.get("encrypted_content") if isinstance(item, dict) else None
        if not isinstance(sealed, str) or not sealed.startswith(MARK):
            return item
        mine = own(sealed, RESPONSES)
        return {**item, "id": mine[0], "encrypted_content": mine[1]} if mine is not None else None

    given = body.get("input")
    if not isinstance(given, list):
        return body
    return {**body, "input": [item for item in map(kept, given) if item is not None]}


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _summary(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}


def _status(finish: str) -> dict[str, Any]:
    reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(finish)
    if reason is None:
        return {"status": "completed"}
    return {"status": "incomplete", "incomplete_details": {"reason": reason}}


def _usage(usage: Usage | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex}"
