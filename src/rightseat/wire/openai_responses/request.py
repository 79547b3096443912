"""Requests of OpenAI responses, in and out. Kinds of tools and items that chat values have no place for are refused by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from rightseat.chat import ChatRequest, Image, Message, ToolCall, ToolSpec
from rightseat.chat.repair import repaired
from rightseat.json_types import Json, JsonObject
from rightseat.wire.body import BadRequestError, items, mapping
from rightseat.wire.opaque import MARK, RESPONSES, own, seal, taken
from rightseat.wire.openai_responses import items as items_of_others

_SAME = ("temperature", "top_p", "parallel_tool_calls", "prompt_cache_key", "user")
LEAST_OUTPUT = 16  # the API's own lower bound
# What would have Copilot go on from what it keeps of others: it is one account's, and a gateway's keys share that.
_KEPT_ELSEWHERE = ("conversation", "prompt")
_encode = msgspec.json.Encoder().encode


def check(body: JsonObject) -> None:
    """Raises BadRequestError for a body that is certainly wrong."""
    given = body.get("input")
    if not given or not isinstance(given, (str, list)):
        raise BadRequestError.at("input", "must be a string or a list with at least one item")
    for name in _KEPT_ELSEWHERE:
        if body.get(name):
            raise BadRequestError.at(
                name, "nothing is kept between requests, so there is nothing to go on from; send the whole input"
            )
    if body.get("background"):
        raise BadRequestError.at("background", "answers are not kept, so they cannot be fetched later")
    for i, item in enumerate(given if isinstance(given, list) else ()):
        if not isinstance(item, dict):
            raise BadRequestError.at(f"input[{i}]", "must be an object")


def decode_request(body: JsonObject) -> ChatRequest:
    """A request.

    Raises:
        BadRequestError: naming the field that is wrong, or the kind of tool or item that cannot be expressed.
    """
    if body.get("previous_response_id"):
        raise BadRequestError.at("previous_response_id", "answers are kept on a WebSocket only; send the whole input")
    check(body)
    given = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
    history = _History()
    if isinstance(body.get("instructions"), str) and body["instructions"].strip():
        history.add(Message("system", body["instructions"]))
    tools = list(_tools(items(body.get("tools"), "tools"), "tools"))
    for i, item in enumerate(given):
        where = f"input[{i}]"
        if item.get("type") in ("additional_tools", "tool_search_output"):
            tools += _tools(items(item.get("tools"), f"{where}.tools"), f"{where}.tools")
        else:
            history.take(item, where)
    return ChatRequest(
        model=str(body.get("model", "")),
        messages=repaired(history.messages()),
        tools=tuple(tools),
        stream=bool(body.get("stream")),
        extra=_extra(body),
    )


class _History:
    """Items on their way into messages: what one answer holds becomes one message, unless the model thought in between."""

    def __init__(self) -> None:
        self._done: list[Message] = []
        self._calls: list[ToolCall] = []  # of the last message, which is the assistant's

    def messages(self) -> list[Message]:
        """All messages."""
        self._settle()
        return self._done

    def add(self, message: Message) -> None:
        """Another message."""
        self._settle()
        self._done.append(message)

    def take(self, item: JsonObject, where: str) -> None:
        """The next item. Raises BadRequestError."""
        match item.get("type") or "message":
            case "message":
                self._message(item, where)
            case "reasoning":
                self.add(_reasoning(item, where))
            case "function_call" | "custom_tool_call" | "local_shell_call":
                call = _call(item, where)
                if not self._done or self._done[-1].role != "assistant":
                    self.add(Message("assistant"))
                self._calls.append(call)
            case "function_call_output" | "custom_tool_call_output" | "local_shell_call_output":
                text, parts = _content(item.get("output"), f"{where}.output")
                call_id = item.get("call_id") or item.get("id")
                self.add(Message("tool", text or "(empty)", tool_call_id=str(call_id), parts=parts))
            case kind:
                if told := items_of_others.told(item):
                    self.take(told, where)
                elif not isinstance(kind, str) or kind not in items_of_others.SILENT:
                    raise BadRequestError.at(where, f"an item of kind {str(kind)[:64]!r} cannot be sent to this model")

    def _message(self, item: JsonObject, where: str) -> None:
        role = {"developer": "system"}.get(str(item.get("role")), item.get("role"))
        if role not in ("user", "assistant", "system"):
            raise BadRequestError.at(f"{where}.role", "must be user, assistant, system or developer")
        text, parts = _content(item.get("content"), f"{where}.content")
        self._settle()
        if role == "assistant" and self._done and _only_thought(self._done[-1]):
            self._done[-1] = msgspec.structs.replace(self._done[-1], content=text, parts=parts)
        else:
            self._done.append(Message(role, text, parts=parts))

    def _settle(self) -> None:
        if self._calls:
            self._done[-1] = msgspec.structs.replace(self._done[-1], tool_calls=tuple(self._calls))
            self._calls = []


def _reasoning(item: JsonObject, where: str) -> Message:
    summary = items(item.get("summary"), f"{where}.summary")
    text = "\n\n".join(str(part.get("text") or "") for part in summary if isinstance(part, dict))
    opaque = str(item.get("encrypted_content") or "")
    if opaque.startswith(MARK):
        opaque = taken(opaque, RESPONSES)
    elif opaque:
        opaque = seal(RESPONSES, opaque, str(item.get("id") or ""))
    return Message("assistant", reasoning=text, reasoning_opaque=opaque)


def _call(item: JsonObject, where: str) -> ToolCall:
    custom = item["type"] == "custom_tool_call"
    call_id, name = item.get("call_id") or item.get("id"), item.get("name")
    if item["type"] == "local_shell_call":
        item, name = {"arguments": _encode(item.get("action") or {}).decode()}, "local_shell"
    text = str(item.get("input" if custom else "arguments") or ("" if custom else "{}"))
    if not isinstance(call_id, str) or not isinstance(name, str):
        raise BadRequestError.at(where, "a call must have a call_id and a name")
    return ToolCall(call_id, name, text, "custom" if custom else "function", str(item.get("namespace") or ""))


def _only_thought(message: Message) -> bool:
    return message.role == "assistant" and not (message.content or message.parts or message.tool_calls)


def _content(value: object, where: str) -> tuple[str, tuple[Json, ...]]:
    if value is None or isinstance(value, str):
        return value or "", ()
    parts: list[Json] = []
    for i, part in enumerate(items(value, where)):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("input_text", "output_text", "text", "summary_text", "refusal"):
            parts.append(str(part.get("text") or part.get("refusal") or ""))
        elif kind == "input_image" and isinstance(part.get("image_url"), str):
            parts.append(Image(part["image_url"]))
        elif kind == "encrypted_content":
            parts.append("[encrypted for another model]")
        else:
            raise BadRequestError.at(f"{where}[{i}]", f"a part of kind {kind!r} cannot be sent to this model")
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts), () if len(texts) == len(parts) else tuple(parts)


def _tools(values: Iterable[Json], where: str, namespace: str = "") -> Iterable[ToolSpec]:
    for i, tool in enumerate(values):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind == "namespace":
            yield from _tools(items(tool.get("tools"), f"{where}[{i}].tools"), f"{where}[{i}]", str(tool.get("name")))
            continue
        if kind not in ("function", "custom"):
            raise BadRequestError.at(f"{where}[{i}]", f"a tool of kind {kind!r} cannot be sent to this model")
        if not isinstance(tool.get("name"), str):
            raise BadRequestError.at(f"{where}[{i}].name", "must be a string")
        yield ToolSpec(
            tool["name"],
            str(tool.get("description") or ""),
            mapping(tool.get("parameters"), f"{where}[{i}].parameters"),
            kind,
            namespace,
            tool["strict"] if isinstance(tool.get("strict"), bool) else None,
            tool["format"] if isinstance(tool.get("format"), dict) else None,
        )


def _extra(body: JsonObject) -> JsonObject:
    limit = body.get("max_output_tokens")
    if isinstance(limit, bool) or not isinstance(limit, (int, type(None))):
        raise BadRequestError.at("max_output_tokens", "must be a whole number")
    extra: JsonObject = {name: body[name] for name in _SAME if body.get(name) is not None}
    if limit is not None:
        extra["max_tokens"] = limit
    reasoning = mapping(body.get("reasoning"), "reasoning")
    if isinstance(reasoning.get("effort"), str):
        extra["reasoning_effort"] = reasoning["effort"]
    return {**extra, **_text_options(mapping(body.get("text"), "text")), **_tool_choice(body)}


def _text_options(text: JsonObject) -> JsonObject:
    extra: JsonObject = {"verbosity": text["verbosity"]} if isinstance(text.get("verbosity"), str) else {}
    form = text.get("format")
    if isinstance(form, dict) and form.get("type") == "json_schema":
        named = {name: form[name] for name in ("name", "schema", "strict", "description") if form.get(name) is not None}
        extra["response_format"] = {"type": "json_schema", "json_schema": named}
    elif isinstance(form, dict) and form.get("type") == "json_object":
        extra["response_format"] = {"type": "json_object"}
    return extra


def _tool_choice(body: JsonObject) -> JsonObject:
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in ("function", "custom"):
        return {"tool_choice": {"type": choice["type"], choice["type"]: {"name": choice.get("name")}}}
    return {"tool_choice": choice} if isinstance(choice, str) and (body.get("tools") or choice == "none") else {}


def encode_request(request: ChatRequest) -> bytes:
    """A request for an upstream that speaks this dialect. Nothing is kept there: encrypted reasoning comes back instead."""
    body: JsonObject = {
        "model": request.model,
        "input": [item for message in request.messages for item in _sent(message)],
        "stream": request.stream,
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    if request.tools:
        body["tools"] = list(_sent_tools(request.tools))
    return _encode({**body, **_sent_extra(request.extra)})


def _sent(message: Message) -> Iterable[JsonObject]:
    if message.role == "tool":
        output: Json = [_sent_part(part, "input_text") for part in message.parts] if message.parts else message.content
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
        yield written_call(call)


def _sent_part(part: object, kind: str) -> JsonObject:
    if isinstance(part, str):
        return {"type": kind, "text": part}
    if isinstance(part, Image):
        return {"type": "input_image", "image_url": part.url, "detail": "auto"}
    found = part.get("type") if isinstance(part, dict) else type(part).__name__
    raise BadRequestError.at("messages", f"a part of kind {found!r} cannot be sent to this model")


def written_call(call: ToolCall) -> JsonObject:
    """A call as the dialect writes it, in requests and in answers."""
    group = {"namespace": call.namespace} if call.namespace else {}
    if call.kind == "custom":
        return {"type": "custom_tool_call", "call_id": call.id, "name": call.name, **group, "input": call.arguments}
    return {"type": "function_call", "call_id": call.id, "name": call.name, **group, "arguments": call.arguments}


def _sent_tools(tools: Iterable[ToolSpec]) -> Iterable[JsonObject]:
    groups: dict[str, list[JsonObject]] = {}
    for tool in tools:
        # An empty description is refused (caozhiyuan/copilot-api #356).
        described = {"description": tool.description} if tool.description else {}
        sent: JsonObject = {"type": tool.kind, "name": tool.name, **described}
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


def _sent_extra(extra: Mapping[str, Json]) -> JsonObject:
    sent: JsonObject = {name: extra[name] for name in _SAME if extra.get(name) is not None}
    limit = extra.get("max_completion_tokens") or extra.get("max_tokens")
    if limit:
        sent["max_output_tokens"] = max(LEAST_OUTPUT, limit)
    effort = extra.get("reasoning_effort")
    sent["reasoning"] = {"summary": "auto", **({"effort": effort} if effort else {})}
    choice = extra.get("tool_choice")
    if isinstance(choice, dict):
        kind = choice.get("type")
        sent["tool_choice"] = {"type": kind, **mapping(choice.get(str(kind)), "tool_choice")}
    elif choice is not None:
        sent["tool_choice"] = choice
    text: JsonObject = {"verbosity": extra["verbosity"]} if extra.get("verbosity") else {}
    form = extra.get("response_format")
    if isinstance(form, dict):
        text["format"] = {"type": form.get("type"), **mapping(form.get("json_schema"), "response_format.json_schema")}
    return {**sent, "text": text} if text else sent
