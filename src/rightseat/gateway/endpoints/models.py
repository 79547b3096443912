"""`/v1/models`: the models that a key may use, with their limits, in OpenAI's form, Anthropic's or Codex's."""

from __future__ import annotations

from typing import Self
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from rightseat.backends.registry import PROVIDER, Model, Registry
from rightseat.errors import UpstreamError
from rightseat.gateway.access.authorize import Authorizer
from rightseat.gateway.endpoints import codex_models
from rightseat.gateway.pipeline.upstream import Upstream
from rightseat.gateway.request import Request
from rightseat.wire.body import BadRequestError

_MOST = 1000  # of one page


class ModelsEndpoint:
    """The list, and one model of it."""

    def __init__(self, upstream: Upstream, authorize: Authorizer) -> None:
        self._upstream = upstream
        self._authorize = authorize

    async def all(self, request: Request) -> None:
        """All models that the caller may use."""
        registry = await self._upstream.models()
        allowed = [model for model in registry.models.values() if self._authorize.allows(request.caller, model.id)]
        head = request.exchange.head
        if codex_models.is_asked(head.query, head.headers):
            body = codex_models.catalogue(allowed)
        else:
            body = _anthropic_list(allowed, Page.of(head.query)) if _is_anthropic(request) else _list(allowed)
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


class Page(Struct, frozen=True):
    """Which part of a list is asked for, as Anthropic's lists have it.

    Attributes:
        limit: how many at most.
        after, before: the ids that it comes after or before; "": from the start.
    """

    limit: int = _MOST
    after: str = ""
    before: str = ""

    @classmethod
    def of(cls, query: str) -> Self:
        """The page of a query. Raises BadRequestError."""
        given = {name: values[-1] for name, values in parse_qs(query).items()}
        limit = given.get("limit", str(_MOST))
        if not (limit.isascii() and limit.isdigit() and len(limit) < 5 and 1 <= int(limit) <= _MOST):
            raise BadRequestError.at("limit", f"must be a whole number from 1 to {_MOST}")
        if "after_id" in given and "before_id" in given:
            raise BadRequestError.at("before_id", "must not be given together with after_id")
        return cls(int(limit), given.get("after_id", ""), given.get("before_id", ""))

    def cut(self, models: list[Model]) -> tuple[list[Model], bool]:
        """The models of the page, and whether there are more of them in its direction. Raises BadRequestError: there is no such id."""
        ids = [model.id for model in models]
        for name, value in (("after_id", self.after), ("before_id", self.before)):
            if value and value not in ids:
                raise BadRequestError.at(name, "must be the id of a model in the list")
        if self.before:
            end = ids.index(self.before)
            start = max(0, end - self.limit)
            return models[start:end], start > 0
        start = ids.index(self.after) + 1 if self.after else 0
        return models[start : start + self.limit], start + self.limit < len(models)


def _anthropic_list(models: list[Model], page: Page) -> dict[str, object]:
    shown, more = page.cut(models)
    data = [_anthropic_entry(model) for model in shown]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return {"data": data, "has_more": more, **ends}


def _anthropic_entry(model: Model) -> dict[str, object]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": "1970-01-01T00:00:00Z",
        "max_input_tokens": model.max_prompt_tokens,
        "max_tokens": model.max_output_tokens,
        "capabilities": None,
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
