"""The backend with the layers around it: what endpoints ask. Both ways of asking share the state of the layers."""

from __future__ import annotations

from rightseat.backends.base import Backend, Readiness, RelayAnswer, UpstreamRequest
from rightseat.backends.registry import Model, Registry
from rightseat.chat import ChatRequest, Reply
from rightseat.errors import UpstreamError
from rightseat.handler import Service, stack
from rightseat.layers.presets import Layers


class Upstream:
    """Who answers, as endpoints see it.

    Args:
        backend: who answers.
        layers: the layers around each call.

    Attributes:
        relay, handle: see Backend.
    """

    def __init__(self, backend: Backend, layers: Layers) -> None:
        self._backend = backend
        around = stack(*layers.layers)
        self.relay: Service[UpstreamRequest, RelayAnswer] = around(backend.relay)
        self.handle: Service[ChatRequest, Reply] = around(backend.handle)

    async def models(self) -> Registry:
        """See Backend."""
        return await self._backend.models()

    async def readiness(self) -> Readiness:
        """See Backend."""
        return await self._backend.readiness()

    async def model(self, name: str) -> Model | None:
        """The model that a name means; None while only the seed list is known.

        Raises:
            UpstreamError: there is no such model (404).
        """
        registry = await self._backend.models()
        model = registry.resolve(name)
        if model is None and not registry.seed:
            message = f"the model {name[:200]!r} does not exist or is not enabled for this account"
            raise UpstreamError(404, message, code="model_not_found")
        return model
