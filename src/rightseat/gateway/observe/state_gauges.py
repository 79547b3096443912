"""The state of the gateway as gauges: breakers, queue, accounts with their tokens, cooldowns and quotas.

It asks for values when they are to be written, and knows nothing of requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Gauge

from rightseat.accounts.selection import Candidate
from rightseat.accounts.store import Account
from rightseat.clock import Clock

_STATES = {"closed": 0, "half_open": 1, "open": 2}
_QUOTAS = 16  # kinds of quota of an account that become labels; their names are GitHub's


class Accounts(Protocol):
    """The accounts of a backend."""

    async def look(self) -> None:
        """Read the accounts now."""

    def accounts(self) -> Iterable[tuple[Account, Candidate]]:
        """Each account, and what is known of its health."""


class LayerStates(Protocol):
    """The state of the layers around each call."""

    def shown(self) -> Mapping[str, Any]:
        """`circuits`: model -> state; `running` and `waiting`: answers under way, requests in the queue."""


class StateGauges:
    """Gauges, written by `refresh`.

    Args:
        registry: where they go.
        accounts, layers: whose state.
        model_label: the label of a model.
        clock: time.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        accounts: Accounts,
        layers: LayerStates,
        model_label: Callable[[str], str],
        clock: Clock,
    ) -> None:
        self._accounts, self._layers, self._model_label, self._clock = accounts, layers, model_label, clock
        self._quotas: dict[tuple[str, str], float] = {}

        def gauge(name: str, text: str, labels: tuple[str, ...] = (), mode: str = "livemax") -> Gauge:
            made: dict[str, Any] = {"namespace": "rightseat", "registry": registry, "multiprocess_mode": mode}
            return Gauge(name, text, labels, **made)

        account = ("account",)
        self._breaker = gauge("breaker_state", "State of a model's breaker: 0 closed, 1 half open, 2 open.", ("model",))
        self._running = gauge("queue_running", "Answers under way, where `concurrency` limits them.", mode="livesum")
        self._waiting = gauge("queue_waiting", "Requests waiting in the queue.", mode="livesum")
        self._age = gauge("token_age_seconds", "Age of an account's Copilot token.", account)
        self._left = gauge("token_left_seconds", "Remaining validity of an account's Copilot token.", account)
        self._cooldown = gauge("account_cooldown", "1 while an account is cooling down.", account)
        self._cooling = gauge("account_models_in_cooldown", "Models of an account that are cooling down.", account)
        self._load = gauge("account_open_requests", "Requests of an account in progress.", account, "livesum")
        self._quota = gauge(
            "quota_remaining_ratio",
            "Remaining share of an account's quota, 0 to 1.",
            ("account", "quota"),
            "mostrecent",
        )

    def refresh(self) -> None:
        """Write the state of now."""
        state = self._layers.shown()
        for model, name in state["circuits"].items():
            self._breaker.labels(self._model_label(model)).set(_STATES[name])
        self._running.set(state["running"] or 0)
        self._waiting.set(state["waiting"] or 0)
        for account, candidate in self._accounts.accounts():
            self._write(account, candidate)

    def _write(self, account: Account, candidate: Candidate) -> None:
        name, now = account.name, self._clock.wall()
        if account.access_token:
            self._age.labels(name).set(max(0.0, now - account.last_refresh))
            self._left.labels(name).set(max(0.0, account.expires_at - now))
        cooling = candidate.cooling_models(self._clock.now())
        self._cooldown.labels(name).set("*" in cooling)
        self._cooling.labels(name).set(len(cooling) - ("*" in cooling))
        self._load.labels(name).set(candidate.load)
        for quota, ratio in [*candidate.quota.items()][:_QUOTAS]:
            # Written when it has changed only: of several workers' values the latest counts.
            if self._quotas.get((name, quota)) != ratio:
                self._quotas[name, quota] = ratio
                self._quota.labels(name, quota[:40]).set(ratio)
