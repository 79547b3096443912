"""`/v1/models`: the account's models, with their limits, in OpenAI's form or Anthropic's."""

from __future__ import annotations

from typing import Any

import msgspec

from rightseat.backends.registry import Model, Registry
from rightseat.errors import UpstreamError
from rightseat.state.keys import Key


def list_body(registry: Registry, key: Key | None = None) -> bytes:
    """The list: of all models, or of those that a key may use."""
    return msgspec.json.encode({"object": "list", "data": [_entry(model) for model in _allowed(registry, key)]})


def one_body(registry: Registry, name: str) -> bytes:
    """One model.

    Raises:
        UpstreamError: there is none of that name (404).
    """
    return msgspec.json.encode(_entry(_one(registry, name)))


def anthropic_list(registry: Registry, key: Key | None = None) -> bytes:
    """The list, in Anthropic's form."""
    data = [_anthropic_entry(model) for model in _allowed(registry, key)]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return msgspec.json.encode({"data": data, "has_more": False, **ends})


def anthropic_one(registry: Registry, name: str) -> bytes:
    """One model, in Anthropic's form. Raises as `one_body` does."""
    return msgspec.json.encode(_anthropic_entry(_one(registry, name)))


def _allowed(registry: Registry, key: Key | None) -> list[Model]:
    return [model for model in registry.models.values() if key is None or key.allows(model.id)]


def _one(registry: Registry, name: str) -> Model:
    model = registry.resolve(name)
    if model is None:
        raise UpstreamError(404, f"the model {name!r} does not exist", code="model_not_found")
    return model


def _anthropic_entry(model: Model) -> dict[str, Any]:
    limits = {"max_input_tokens": model.max_prompt_tokens, "max_tokens": model.max_output_tokens}
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": "1970-01-01T00:00:00Z",
        **{name: value for name, value in limits.items() if value is not None},
    }


def _entry(model: Model) -> dict[str, Any]:
    limits = {
        "max_input_tokens": model.max_prompt_tokens,
        "max_output_tokens": model.max_output_tokens,
        "context_window": model.context_window,
    }
    return {
        "id": model.id,
        "object": "model",
        "created": 0,
        "owned_by": model.vendor,
        "name": model.name,
        **{name: value for name, value in limits.items() if value is not None},
    }
