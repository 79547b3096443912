"""Fallback models: when a model cannot answer, ask the next one of a list.

Stands outside `Retry` and `Breaker`: what is left after them is worth another model. For an answer from before, see `Cache` with
`stale_seconds`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from rightseat.errors import CircuitOpenError, InvalidOptionError, OverloadedError, RightseatError
from rightseat.handler import A, Q, Service
from rightseat.layers.transient import is_transient


def is_worth_another(error: BaseException) -> bool:
    """Another model may help: this one failed, or its circuit is open or its queue full."""
    return is_transient(error) or isinstance(error, (CircuitOpenError, OverloadedError))


class Fallback(Struct, frozen=True, kw_only=True):
    """The layer.

    Attributes:
        fallbacks: model -> the models to ask instead, in order. Those of a fallback are not asked in turn.
        models: the models that exist, where they are known; a name outside is refused.
        on: whether another model may help with an error.
        on_fallback: told of each: (model that failed, model that is asked next, error).

    Raises:
        InvalidOptionError: a fallback that is no known model, is the model itself, or leads back to it.
    """

    fallbacks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    models: Collection[str] | None = None
    on: Callable[[BaseException], bool] = is_worth_another
    on_fallback: Callable[[str, str, RightseatError], None] | None = None

    def __post_init__(self) -> None:
        for model, instead in self.fallbacks.items():
            if isinstance(instead, str):
                raise InvalidOptionError(f"fallbacks[{model!r}]: must be a list of models, not one name")
            for name in (model, *instead):
                if self.models is not None and name not in self.models:
                    raise InvalidOptionError(f"fallbacks[{model!r}]: there is no model {name!r}")
            if len({model, *instead}) != len(instead) + 1:
                raise InvalidOptionError(f"fallbacks[{model!r}]: names a model twice: {', '.join((model, *instead))}")
            for name in instead:
                if model in self._reached(name):
                    raise InvalidOptionError(f"fallbacks[{model!r}]: {name!r} leads back to {model!r}")

    def __call__(self, inner: Service[Q, A]) -> Service[Q, A]:
        """See Layer."""

        async def handler(request: Q) -> A:
            models = (request.model, *self.fallbacks.get(request.model, ()))
            for i, model in enumerate(models):
                asked: Any = request
                if i:
                    asked = msgspec.structs.replace(asked, model=model)
                try:
                    return await inner(asked)
                except RightseatError as e:
                    if i + 1 == len(models) or not self.on(e):
                        raise
                    if self.on_fallback is not None:
                        self.on_fallback(model, models[i + 1], e)
            raise AssertionError("unreachable")

        return handler

    def _reached(self, model: str) -> set[str]:
        found: set[str] = set()
        ahead = [model]
        while ahead:
            for name in self.fallbacks.get(ahead.pop(), ()):
                if name not in found:
                    found.add(name)
                    ahead.append(name)
        return found
