"""The small open endpoints: whether the gateway is up, whether it can serve, what it serves, and its metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from rightseat import __version__
from rightseat.errors import CallerError
from rightseat.gateway.pipeline.upstream import Upstream
from rightseat.gateway.request import Request
from rightseat.gateway.routes import openapi
from rightseat.telemetry.metrics import CONTENT_TYPE


async def health(request: Request) -> None:
    """The gateway is up: it answers."""
    body = {"status": "ok", "name": "rightseat", "version": __version__}
    await request.exchange.respond(200, msgspec.json.encode(body))


class MetricsOffError(CallerError):
    """Metrics were asked for, and are switched off."""

    status_hint = 404


class ReadyEndpoint:
    """Whether requests can be served now: 200, or 503 with reasons that name no account.

    Args:
        upstream: who answers.
        problems: what else is wrong although requests are served.
    """

    def __init__(self, upstream: Upstream, problems: Callable[[], Sequence[str]]) -> None:
        self._upstream = upstream
        self._problems = problems

    async def __call__(self, request: Request) -> None:
        """Answer a request."""
        found = await self._upstream.readiness()
        reasons = found.public
        body = {
            "status": "not ready" if reasons else "ready",
            "reasons": reasons,
            "problems": (*found.public_problems, *self._problems()),
        }
        await request.exchange.respond(503 if reasons else 200, msgspec.json.encode(body))


class MetricsEndpoint:
    """The page that Prometheus reads."""

    def __init__(self, page: Callable[[], Awaitable[bytes]] | None) -> None:
        self._page = page

    async def __call__(self, request: Request) -> None:
        """Answer a request. Raises MetricsOffError."""
        if self._page is None:
            raise MetricsOffError("metrics are switched off; set metrics to use them")
        await request.exchange.respond(200, await self._page(), kind=CONTENT_TYPE)


async def document(request: Request) -> None:
    """The OpenAPI document."""
    await request.exchange.respond(200, msgspec.json.encode(openapi()))
