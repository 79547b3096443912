"""`/v1/models`: the models that a key may use, with their limits, in OpenAI's form or Anthropic's."""

from __future__ import annotations

import msgspec

from rightseat.backends.registry import PROVIDER, Model, Registry
from rightseat.errors import UpstreamError
from rightseat.gateway.access.authorize import Authorizer
from rightseat.gateway.pipeline.upstream import Upstream
from rightseat.gateway.request import Request


class ModelsEndpoint:
    """The list, and one model of it."""

    def __init__(self, upstream: Upstream, authorize: Authorizer) -> None:
        self._upstream = upstream
        self._authorize = authorize

    async def all(self, request: Request) -> None:
        """All models that the caller may use."""
        registry = await self._upstream.models()
        allowed = [model for model in registry.models.values() if self._authorize.allows(request.caller, model.id)]
        body = _anthropic_list(allowed) if _is_anthropic(request) else _list(allowed)
        await request.exchange.respond(200, msgspec.json.encode(body))

    async def one(self, request: Request) -> None:
        """One model. Raises UpstreamError: there is none of that name (404). ScopeError: the key may not use it."""
        model = _named(await self._upstream.models(), request.value)
        self._authorize.check_model(request.caller, model.id)
        body = _anthropic_entry(model) if _is_anthropic(request) else _entry(model)
        await request.exchange.respond(200, msgspec.json.encode(body))


def _is_anthropic(request: Request) -> bool:
    return "anthropic-version" in request.headers


def _named(registry: Registry, name: str) -> Model:
    model = registry.resolve(name)
    if model is None:
        raise UpstreamError(404, f"the model {name[:200]!r} does not exist", code="model_not_found")
    return model


def _list(models: list[Model]) -> dict[str, object]:
    return {"object": "list", "data": [_entry(model) for model in models]}


def _anthropic_list(models: list[Model]) -> dict[str, object]:
    data = [_anthropic_entry(model) for model in models]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return {"data": data, "has_more": False, **ends}


def _anthropic_entry(model: Model) -> dict[str, object]:
    limits = {"max_input_tokens": model.max_prompt_tokens, "max_tokens": model.max_output_tokens}
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": "1970-01-01T00:00:00Z",
        **{name: value for name, value in limits.items() if value is not None},
    }


def _entry(model: Model) -> dict[str, object]:
    limits = {
        "max_input_tokens": model.max_prompt_tokens,
        "max_output_tokens": model.max_output_tokens,
        "context_window": model.context_window,
    }
    return {
        "id": model.id,
        "object": "model",
        "created": 0,
        "owned_by": PROVIDER,
        "name": model.name,
        **({"vendor": model.vendor} if model.vendor else {}),
        **{name: value for name, value in limits.items() if value is not None},
    }
