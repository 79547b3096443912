"""`/v1/models`: the account's models, with their limits, in OpenAI's form."""

from __future__ import annotations

from typing import Any

import msgspec

from rightseat.errors import UpstreamError
from rightseat.upstream.models import Model, Registry


def list_body(registry: Registry) -> bytes:
    """The list."""
    return msgspec.json.encode({"object": "list", "data": [_entry(model) for model in registry.models.values()]})


def one_body(registry: Registry, name: str) -> bytes:
    """One model.

    Raises:
        UpstreamError: there is none of that name (404).
    """
    model = registry.resolve(name)
    if model is None:
        raise UpstreamError(404, f"the model {name!r} does not exist", code="model_not_found")
    return msgspec.json.encode(_entry(model))


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
