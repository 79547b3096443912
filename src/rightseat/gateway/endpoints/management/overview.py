"""The gateway at a glance: health, models, the last minutes, the settings in force, the last requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from rightseat import __version__
from rightseat.backends.base import Backend
from rightseat.backends.registry import PROVIDER
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.gateway.config import Settings
from rightseat.gateway.endpoints.management.accounts import AccountOperations
from rightseat.gateway.endpoints.management.endpoint import Operation, Result
from rightseat.gateway.observe.request_log import KEEP, RequestLog
from rightseat.gateway.observe.timeseries import TimeSeries
from rightseat.gateway.request import Request
from rightseat.layers.presets import Layers
from rightseat.wire.body import BadRequestError


class Sources(Struct, frozen=True):
    """Where the facts come from.

    Attributes:
        settings: those in force.
        backend: who answers.
        layers: the state of the layers around each call.
        log, timeseries: what was noted of requests.
        problems: what keeps the gateway from working well.
    """

    settings: Callable[[], Settings]
    backend: Backend
    layers: Layers
    log: RequestLog
    timeseries: TimeSeries
    problems: Callable[[], Sequence[str]]


class OverviewOperations:
    """Operations that only look."""

    def __init__(self, sources: Sources, accounts: AccountOperations, clock: Clock = SYSTEM_CLOCK) -> None:
        self._from = sources
        self._accounts = accounts
        self._clock = clock
        self._started = clock.now()

    @property
    def operations(self) -> dict[str, Operation]:
        """By the names in `routes`."""
        return {
            "management_health": self._health,
            "management_models": self._models,
            "overview": self._overview,
            "config": self._config,
            "requests": self._requests,
        }

    async def _health(self, _: Request) -> Result:
        registry = await self._from.backend.models()
        accounts = await self._accounts.shown()
        problems = self._from.problems()
        state = "no account" if not accounts else "degraded" if problems else "ok"
        return {
            "status": state,
            "problems": problems,
            **self._up(),
            "accounts": len(accounts),
            "resilience": self._from.layers.shown(),
            "models": len(registry.models),
            "placeholder_models": registry.seed,
            "under_way": self._accounts.under_way(),
        }

    async def _overview(self, _: Request) -> Result:
        accounts = await self._accounts.shown()
        return {
            **self._up(),
            "history": self._from.timeseries.shown(),
            "resilience": self._from.layers.shown(),
            "problems": self._from.problems(),
            "accounts": accounts,
            "quotas": self._accounts.quotas(),
            "requests": self._from.log.shown(50),
        }

    async def _models(self, request: Request) -> Result:
        registry = await self._from.backend.models()
        wanted = parse_qs(request.exchange.head.query).get("provider", [PROVIDER])
        shown = [{"provider": PROVIDER, **msgspec.to_builtins(model)} for model in registry.models.values()]
        providers = {PROVIDER: shown} if PROVIDER in wanted else {}
        return {"providers": providers, "placeholder": registry.seed, "aliases": registry.aliases}

    async def _config(self, _: Request) -> Result:
        return self._from.settings().shown()

    async def _requests(self, request: Request) -> Result:
        return {"requests": self._from.log.shown(_limit(request.exchange.head.query))}

    def _up(self) -> dict[str, object]:
        return {"version": __version__, "uptime_seconds": round(self._clock.now() - self._started, 1)}


def _limit(query: str) -> int:
    given = parse_qs(query).get("limit", ["100"])[-1]
    if not given.isascii() or not given.isdigit() or not 1 <= int(given[:9]) <= KEEP:
        raise BadRequestError.at("limit", f"must be a number from 1 to {KEEP}")
    return int(given)
