"""The list of models as Codex reads it from a provider that it takes for OpenAI: `GET /models?client_version=...`.

The form is that of `ModelInfo` in openai/codex (codex-rs/protocol/src/openai_models.rs, as of version 0.169). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs

from rightseat.backends.registry import Model
from rightseat.json_types import JsonObject
from rightseat.wire.dialects import RESPONSES

_EFFORTS = {
    "none": "No reasoning",
    "minimal": "Hardly any reasoning",
    "low": "Fast answers with light reasoning",
    "medium": "Balance between speed and depth",
    "high": "More depth for complex problems",
    "xhigh": "Extra depth for complex problems",
    "max": "All the depth there is",
}
_INSTRUCTIONS = (
    "You are a coding agent in the Codex CLI, a tool that runs in the user's terminal. You and the user share one workspace: read files and run "
    "commands with the tools that you have, and change files with apply_patch where it is among them. Look before you change something, keep "
    "changes small and in the style of what is there, and check your work by running it where that is possible. Go on until the task is "
    "done, then say in a few words what you did and what is left. Never undo changes that are not yours."
)
_WINDOW = 128_000  # where Copilot tells none


def is_asked(query: str, headers: Mapping[str, str]) -> bool:
    """Whether it is Codex that asks (caozhiyuan/copilot-api, codex-models.ts)."""
    return "client_version" in parse_qs(query) or headers.get("user-agent", "").startswith("codex")


def catalogue(models: Iterable[Model]) -> JsonObject:
    """The whole body: the models that hold conversations."""
    return {"models": [_entry(model, place) for place, model in enumerate(m for m in models if m.kind == "chat")]}


def _entry(model: Model, place: int) -> JsonObject:
    window = model.prompt_limit or _WINDOW
    levels = [{"effort": effort, "description": _EFFORTS.get(effort, effort)} for effort in model.efforts]
    usual = "medium" if "medium" in model.efforts else next(iter(model.efforts), None)
    native = RESPONSES.path in model.endpoints
    return {
        "slug": model.id,
        "display_name": model.name or model.id,
        "description": f"{model.name or model.id}, through GitHub Copilot",
        **({"default_reasoning_level": usual} if usual else {}),
        "supported_reasoning_levels": levels,
        "shell_type": "unified_exec",
        "visibility": "list",
        "supported_in_api": True,
        "priority": place,
        "additional_speed_tiers": [],
        "service_tiers": [],
        "availability_nux": None,
        "upgrade": None,
        "base_instructions": _INSTRUCTIONS,
        "supports_reasoning_summaries": bool(levels),
        "default_reasoning_summary": "auto" if levels else "none",
        "support_verbosity": native,
        "default_verbosity": "low" if native else None,
        "apply_patch_tool_type": "freeform",
        "web_search_tool_type": "text",
        "truncation_policy": {"mode": "tokens", "limit": 10_000},
        "supports_parallel_tool_calls": True,
        "supports_image_detail_original": False,
        "context_window": window,
        "max_context_window": window,
        "auto_compact_token_limit": None,
        "effective_context_window_percent": 95,
        "experimental_supported_tools": [],
        "input_modalities": ["text", "image"] if model.vision else ["text"],
        "supports_search_tool": False,
        "use_responses_lite": False,
        "prefer_websockets": False,
    }
