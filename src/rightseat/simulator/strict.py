"""Refuses what the real API is known to refuse.

Facts from public clients of the API and from bug reports about its gateways; the texts are our own. Only requests with a Copilot
token are judged: others play a provider of their own (BYOK).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from rightseat.json_types import JsonObject
from rightseat.simulator.segments import compaction_problems
from rightseat.wire.abilities import Abilities, abilities_of

_NAME = re.compile(r"^[a-zA-Z0-9_-]+$")
_NEWER = ("gpt-5", "gpt-6", "o1", "o3", "o4")


class Rejection(Struct, frozen=True):
    """An error answer. `code` None: plain text."""

    status: int
    message: str
    code: str | None = None


def refusal(path: str, headers: Mapping[str, str], body: bytes, models: Mapping[str, JsonObject]) -> Rejection | None:
    """Why a request is refused, or None.

    Args:
        path: "/chat/completions", "/responses", "/v1/messages", "/embeddings" or "/models".
        headers: by lower-case name.
        body: as it came.
        models: the entries of the model list.
    """
    for name in ("editor-version", "copilot-integration-id", "user-agent"):
        if not headers.get(name):
            return Rejection(400, f"bad request: missing {name.title()} header for IDE auth")
    if path == "/models":
        return None
    try:
        value = json.loads(body)
    except ValueError:
        return Rejection(400, "the body is not JSON", "invalid_request_body")
    if not isinstance(value, dict):
        return Rejection(400, "the body is no object", "invalid_request_body")
    model = models.get(str(value.get("model")))
    if model is None:
        return Rejection(400, "The requested model is not supported.", "model_not_supported")
    if path not in model.get("supported_endpoints", ["/chat/completions"]):
        return Rejection(
            400, f"model {value['model']} is not accessible via the {path} endpoint", "unsupported_api_for_model"
        )
    if path == "/embeddings":
        return None
    if headers.get("x-initiator") not in ("user", "agent"):
        return Rejection(400, "missing X-Initiator header", "invalid_request_body")
    for said in (_vision(headers, value), _limits(value, model), _reasoning(path, value, model), _body(path, value)):
        if said is not None:
            return said
    return None


def _vision(headers: Mapping[str, str], value: JsonObject) -> Rejection | None:
    images = any(
        part.get("type") in ("image", "image_url", "input_image")
        for part in _objects(value.get("messages") or value.get("input"))
    )
    if images and headers.get("copilot-vision-request") != "true":
        return Rejection(
            400, "missing required Copilot-Vision-Request header for vision requests", "invalid_request_body"
        )
    return None


def _limits(value: JsonObject, model: JsonObject) -> Rejection | None:
    limits = model.get("capabilities", {}).get("limits", {})
    most = limits.get("max_output_tokens")
    for name in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
        if most and isinstance(value.get(name), int) and value[name] > most:
            return Rejection(
                400, f"{name}: {value[name]} > {most}, which is the most for {model['id']}", "invalid_request_body"
            )
    size, most = len(json.dumps(value)) // 4, limits.get("max_prompt_tokens")
    if most and size > most:
        return Rejection(
            400, f"prompt token count of {size} exceeds the limit of {most}", "model_max_prompt_tokens_exceeded"
        )
    return None


def _reasoning(path: str, value: JsonObject, model: JsonObject) -> Rejection | None:
    """Efforts and thinking that the model's entry does not have."""
    supports = model.get("capabilities", {}).get("supports", {})
    abilities = abilities_of(str(model["id"]), supports, supports.get("reasoning_effort"))
    config = value.get({"/responses": "reasoning", "/v1/messages": "output_config"}.get(path, ""))
    effort = value.get("reasoning_effort") if path == "/chat/completions" else (config or {}).get("effort")
    if effort is not None and effort not in (abilities.efforts or ()):
        offered = ", ".join(abilities.efforts or ())
        told = (
            f"supported values: [{offered}]"
            if offered
            else f"but model {model['id']} does not support reasoning effort"
        )
        return Rejection(
            400,
            f'output_config.effort "{effort}" is not supported by model {model["id"]}; {told}',
            "invalid_reasoning_effort",
        )
    thinking = value.get("thinking") if path == "/v1/messages" else None
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if kind == "enabled" and abilities.adaptive_thinking:
        return Rejection(
            400,
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive"',
            "invalid_request_body",
        )
    if kind == "adaptive" and not abilities.adaptive_thinking:
        return Rejection(400, "adaptive thinking is not supported on this model", "invalid_request_body")
    return None


def _extras(value: JsonObject) -> Iterator[str]:
    """Members that clients of Anthropic's own API send, and that are refused here."""
    for name in ("service_tier", "speed", "mcp_servers", "container", "diagnostics", "output_format"):
        if value.get(name) is not None:
            yield f"{name}: Extra inputs are not permitted"
    if isinstance(value.get("output_config"), dict) and "format" in value["output_config"]:
        yield "output_config.format: Extra inputs are not permitted"
    tools = [tool for tool in value.get("tools") or () if isinstance(tool, dict)]
    searches = any(str(tool.get("type")).startswith("tool_search_tool_") for tool in tools)
    for i, tool in enumerate(tools):
        for name in ("eager_input_streaming", "strict", *(() if searches else ("defer_loading",))):
            if name in tool:
                yield f"tools.{i}.custom.{name}: Extra inputs are not permitted"
        if "$schema" in (tool.get("input_schema") or {}):
            yield f"tools.{i}.custom.input_schema.$schema: Extra inputs are not permitted"
    for where, holders in (("system", value.get("system")), ("messages", value.get("messages")), ("tools", tools)):
        for i, holder in enumerate(_objects(holders)):
            if "scope" in (holder.get("cache_control") or {}):
                yield f"{where}.{i}.cache_control.ephemeral.scope: Extra inputs are not permitted"
            if holder.get("type") == "tool_use" and "caller" in holder:
                yield f"{where}.{i}.tool_use.caller: Extra inputs are not permitted"
            if holder.get("type") == "tool_reference" and not searches:
                yield f"{where}.{i}: a tool_reference without a search for tools"
            if where == "messages" and holder.get("role") == "system":
                yield f"messages.{i}.role: Input should be 'user' or 'assistant'"


def _history(value: JsonObject) -> Iterator[str]:
    """Calls without tools, and ids of calls of another form."""
    calls = [block for block in _objects(value.get("messages")) if block.get("type") in ("tool_use", "tool_result")]
    if calls and not value.get("tools"):
        yield "Requests which include `tool_use` or `tool_result` blocks must define tools."
    for call in calls:
        named = str(call.get("id") or call.get("tool_use_id"))
        if not _NAME.match(named):
            yield f"messages: tool_use.id: String should match pattern '{_NAME.pattern}', not {named[:80]!r}"
    for tool in value.get("tools") or ():
        if isinstance(tool, dict) and not (_NAME.match(str(tool.get("name"))) and len(tool["name"]) <= 64):
            yield f"tools.custom.name: String should match pattern '{_NAME.pattern}' and have at most 64 characters"


def _sampling(value: JsonObject) -> Iterator[str]:
    temperature = value.get("temperature")
    if isinstance(temperature, (int, float)) and temperature > 1:
        yield "temperature: range: 0..1"
    if temperature is not None and value.get("top_p") is not None:
        yield "`temperature` and `top_p` cannot both be specified for this model. Please use only one."


def _body(path: str, value: JsonObject) -> Rejection | None:
    wrong = next(
        iter({"/chat/completions": _chat, "/v1/messages": _messages, "/responses": _responses}[path](value)), None
    )
    return Rejection(400, wrong, "invalid_request_body") if wrong is not None else None


def _chat(value: JsonObject) -> Iterator[str]:
    if "max_tokens" in value and str(value["model"]).startswith(_NEWER):
        yield "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    for name in ("logprobs", "top_logprobs", "logit_bias"):
        if value.get(name):
            yield f"Unsupported parameter: {name}"
    waiting: set[str] = set()
    messages = [m for m in value.get("messages") or () if isinstance(m, dict)]
    for i, message in enumerate(messages):
        content = message.get("content")
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in waiting:
                yield f"messages[{i}]: a tool result without the call it answers right before it"
            waiting.discard(message.get("tool_call_id", ""))
        elif waiting:
            yield f"messages[{i}]: these calls have no result: {', '.join(sorted(waiting))}"
        waiting |= {call.get("id", "") for call in message.get("tool_calls") or ()}
        if message.get("reasoning_opaque", "").startswith("rs1:"):
            yield f"messages[{i}].reasoning_opaque: not made here"
        if any(p.get("type") == "text" and not str(p.get("text", "")).strip() for p in _objects(content)):
            yield f"messages[{i}]: text content blocks must be non-empty"
        if message.get("role") == "assistant" and not content and not message.get("tool_calls"):
            yield f"messages[{i}]: an assistant message without content and calls"
    yield from _last(messages)
    if Abilities(str(value["model"])).claude is not None:
        yield from _sampling(value)
    if value.get("tools") == []:
        yield "Invalid 'tools': empty array. Expected an array with minimum length 1"
    for tool in value.get("tools") or ():
        function = tool.get("function")
        if function is not None and (function.get("parameters") or {}).get("type") != "object":
            yield f"tool {function.get('name')}: parameters must be an object schema"
        if function is not None and not (_NAME.match(str(function.get("name"))) and len(function["name"]) <= 64):
            yield f"tool {function.get('name')!r}: the name must match {_NAME.pattern}"


def _messages(value: JsonObject) -> Iterator[str]:
    yield from _extras(value)
    yield from _history(value)
    yield from _sampling(value)
    if "x-anthropic-billing-header" in json.dumps(value.get("system", "")):
        yield "system: x-anthropic-billing-header is reserved"
    if not isinstance(value.get("max_tokens"), int):
        yield "max_tokens: Field required"
    messages = [m for m in value.get("messages") or () if isinstance(m, dict)]
    for i, message in enumerate(messages):
        for block in _objects(message.get("content")):
            if block.get("type") == "text" and not str(block.get("text", "")).strip():
                yield f"messages.{i}: text content blocks must be non-empty"
            if block.get("type") == "thinking" and (
                not block.get("signature") or str(block["signature"]).startswith("rs1:")
            ):
                yield f"messages.{i}: Invalid signature in thinking block"
        if not message.get("content"):
            yield f"messages.{i}: content must not be empty"
    version = Abilities(str(value["model"])).claude
    if version is not None and version > (4, 5) and messages and messages[-1].get("role") == "assistant":
        yield "This model does not support assistant message prefill. The conversation must end with a user message."
    yield from _last(messages)


def _responses(value: JsonObject) -> Iterator[str]:
    if value.get("previous_response_id"):
        yield "previous_response_not_found"
    yield from _codex(value)
    yield from compaction_problems(value)
    for item in _objects(value.get("input")):
        if str(item.get("encrypted_content")).startswith("rs1:"):
            yield "The encrypted content could not be verified"
        if len(str(item.get("id") or "")) > 64:
            yield f"Invalid 'input.id': string too long. Expected a string with maximum length 64, but got {len(item['id'])}"
        if "internal_chat_message_metadata_passthrough" in item:
            yield "Unknown parameter: 'internal_chat_message_metadata_passthrough'"
    if value.get("tools") == []:
        yield "Invalid 'tools': empty array. Expected an array with minimum length 1"
    calls = {item.get("call_id") for item in _objects(value.get("input")) if str(item.get("type")).endswith("_call")}
    for item in _objects(value.get("input")):
        if str(item.get("type")).endswith("_call_output") and item.get("call_id") not in calls:
            yield f"No tool call found for call_id {item.get('call_id')}"


def _codex(value: JsonObject) -> Iterator[str]:
    """What Codex sends and Copilot refuses (caozhiyuan/copilot-api #220, #339, #356 and its responses utilities; C2#342)."""
    for item in _objects(value.get("input")):
        if item.get("type") in ("context_compaction", "configuration_update"):
            yield f"Invalid value: '{item['type']}'. Supported values are: 'message', 'reasoning', 'function_call' and others."
        if "internal_chat_message_metadata_passthrough" in item:
            yield "Unknown parameter: 'internal_chat_message_metadata_passthrough'."
        if item.get("type") == "image_generation_call":
            yield f"Item with id '{item.get('id')}' not found."
        if item.get("type") == "web_search_call" and (item.get("action") or {}).get("type") == "other":
            yield "Invalid value: 'other'. Supported values are: 'search', 'open_page', 'find_in_page'."
    brought = [tool for item in _objects(value.get("input")) for tool in item.get("tools") or ()]
    for tool in _tools_in([*(value.get("tools") or ()), *brought]):
        if tool.get("type") == "image_generation":
            yield "The requested tool image_generation is not supported."
        if tool.get("description") == "":
            yield "Invalid 'tools[0].description': empty string. Expected a string with minimum length 1, but got an empty string instead."
        if tool.get("type") == "namespace" and tool.get("name") == "collaboration":
            yield "Function 'collaboration.spawn_agent' is reserved for use by this model and must match the configured schema"


def _tools_in(tools: list[JsonObject]) -> Iterator[JsonObject]:
    for tool in tools:
        if isinstance(tool, dict):
            yield tool
            yield from _tools_in(tool.get("tools") or [])


def _last(messages: list[JsonObject]) -> Iterator[str]:
    last = messages[-1] if messages else {}
    content = last.get("content")
    text = (
        content
        if isinstance(content, str)
        else next((p.get("text", "") for p in reversed(list(_objects(content)))), "")
    )
    if last.get("role") == "assistant" and isinstance(text, str) and text != text.rstrip():
        yield "messages: final assistant content cannot end with trailing whitespace"


def _objects(value: object) -> Iterator[JsonObject]:
    """All objects in a list and in the lists inside them that hold content."""
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item
            for name in ("content", "output"):
                yield from _objects(item.get(name))
