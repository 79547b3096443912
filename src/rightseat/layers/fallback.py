"""Fallbacks: when a model cannot answer, ask the next one of a list; when a function fails, call another one.

Stands outside `Retry` and `Breaker`: what is left after them is worth another model. For an answer from before, see `Cache` with
`stale_seconds`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from rightseat.errors import CircuitOpenError, InvalidOptionError, OverloadedError
from rightseat.layers.functions import ANY, CallLayer, On, P, R, check_function, counting, is_request
from rightseat.layers.transient import is_transient


def is_worth_another(error: BaseException) -> bool:
    """Another model may help: this one failed, or its circuit is open or its queue full."""
    return is_transient(error) or isinstance(error, (CircuitOpenError, OverloadedError))


class Fallback(CallLayer):
    """The layer.

        Fallback(fallbacks={"gpt-5": ["gpt-4.1"]})     # around a handler: other models
        Fallback(from_a_file, lambda url: nothing())   # around a function: others, with the same arguments

    Args:
        *functions: called instead, in order, after the models.
        fallbacks: model -> the models to ask instead, in order. Those of a fallback are not asked in turn.
        models: the models that exist, where they are known; a name outside is refused.
        on: for which errors another may help: types, or a function; by default what passes (OSError, TimeoutError, ours), and an open
            circuit or a full queue.
        on_fallback: told of each: (what failed, what is asked next, error).

    Raises:
        InvalidOptionError: a fallback that is no known model, is the model itself, or leads back to it; or no function.
    """

    def __init__(
        self,
        *functions: Callable[..., Awaitable[Any]],
        fallbacks: Mapping[str, Sequence[str]] | None = None,
        models: Collection[str] | None = None,
        on: On = is_worth_another,
        on_fallback: Callable[[str, str, Exception], None] | None = None,
    ) -> None:
        for function in functions:
            check_function(function)
        self.functions = functions
        self.fallbacks = dict(fallbacks or {})
        self._on = counting(on)
        self._on_fallback = on_fallback
        self._check(models)

    def _check(self, models: Collection[str] | None) -> None:
        for model, instead in self.fallbacks.items():
            if isinstance(instead, str):
                raise InvalidOptionError(f"fallbacks[{model!r}]: must be a list of models, not one name")
            for name in (model, *instead):
                if models is not None and name not in models:
                    raise InvalidOptionError(f"fallbacks[{model!r}]: there is no model {name!r}")
            if len({model, *instead}) != len(instead) + 1:
                raise InvalidOptionError(f"fallbacks[{model!r}]: names a model twice: {', '.join((model, *instead))}")
            for name in instead:
                if model in self._reached(name):
                    raise InvalidOptionError(f"fallbacks[{model!r}]: {name!r} leads back to {model!r}")

    async def call(self, func: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See CallLayer. What is raised is what the last one raised."""
        choices = self._choices(func, args)
        name, function, given = next(choices)
        while True:
            try:
                result: R = await function(*given, **kwargs)
            except Exception as e:
                following = next(choices, None) if self._on(e) else None
                if following is None:
                    raise
                if self._on_fallback is not None:
                    self._on_fallback(name, following[0], e)
                name, function, given = following
            else:
                return result

    def _choices(self, func: Any, args: Any) -> Iterator[tuple[str, Callable[..., Awaitable[Any]], Any]]:
        """What is asked, in order: (name, function, arguments)."""
        if is_request(args):
            request = args[0]
            yield str(request.model), func, args
            for model in self.fallbacks.get(request.model, ()):
                yield model, func, (msgspec.structs.replace(request, model=model), *args[1:])
        else:
            yield getattr(func, "__name__", ANY), func, args
        for function in self.functions:
            yield getattr(function, "__name__", ANY), function, args

    def _reached(self, model: str) -> set[str]:
        found: set[str] = set()
        ahead = [model]
        while ahead:
            for name in self.fallbacks.get(ahead.pop(), ()):
                if name not in found:
                    found.add(name)
                    ahead.append(name)
        return found
