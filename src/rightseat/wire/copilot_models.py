"""An entry of Copilot's `GET /models`, written (fields as public clients read them)."""

from __future__ import annotations

from rightseat.json_types import JsonObject


def model_entry(
    model: str,
    *,
    name: str | None = None,
    vendor: str = "Rightseat",
    max_prompt_tokens: int = 128_000,
    max_output_tokens: int = 16_384,
    default: bool = False,
    endpoints: tuple[str, ...] = ("/chat/completions",),
    kind: str = "chat",
    supports: JsonObject | None = None,
) -> JsonObject:
    """One model that streams, calls tools and is enabled; `supports` says what else it can do."""
    return {
        "id": model,
        "name": name or model,
        "vendor": vendor,
        "version": model,
        "object": "model",
        "preview": False,
        "model_picker_enabled": True,
        "is_chat_default": default,
        "is_chat_fallback": default,
        "policy": {"state": "enabled", "terms": ""},
        "supported_endpoints": list(endpoints),
        "billing": {"is_premium": False, "multiplier": 0},
        "capabilities": {
            "type": kind,
            "family": model,
            "object": "model_capabilities",
            "tokenizer": "o200k_base",
            "limits": {
                "max_context_window_tokens": max_prompt_tokens + max_output_tokens,
                "max_prompt_tokens": max_prompt_tokens,
                "max_output_tokens": max_output_tokens,
            },
            "supports": {
                "streaming": True,
                "tool_calls": True,
                "parallel_tool_calls": True,
                "vision": False,
                **(supports or {}),
            },
        },
    }


def model_list(entries: list[JsonObject]) -> JsonObject:
    """The whole body."""
    return {"object": "list", "data": entries}
