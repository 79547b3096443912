"""The layers between the faces and the Copilot API, by the settings, and their state for people."""

from __future__ import annotations

from typing import Any

from rightseat.errors import UpstreamError
from rightseat.gateway.config import Settings
from rightseat.handler import Layer
from rightseat.layers import Backoff, Breaker, Circuits, Deadline, Places, Queue, QueuePolicy, Retry
from rightseat.layers.faults import is_passing
from rightseat.layers.observe import retried

_PATIENCE_SECONDS = 2.0  # a client learns of longer waits and decides by itself
_CLIENTS_OWN = frozenset({408, 425, 429})


def is_worth_a_try(error: BaseException) -> bool:
    """Another try may help, and is not better left to the client, who knows what it is for."""
    return is_passing(error) and not (isinstance(error, UpstreamError) and error.status in _CLIENTS_OWN)


class Resilience:
    """What stands around each call.

    Attributes:
        layers: from the outermost in.
    """

    def __init__(self, settings: Settings) -> None:
        self._circuits = Circuits() if settings.breaker else None
        self._places = None
        if settings.concurrency:
            policy = QueuePolicy(
                concurrency=settings.concurrency, length=settings.queue, wait_seconds=settings.queue_seconds
            )
            self._places = Places(policy)
        layers: list[Any] = [Deadline(settings.answer_seconds)]
        if self._places is not None:
            layers.append(Queue(places=self._places))
        if settings.attempts > 1:
            backoff = Backoff(attempts=settings.attempts, base=0.2, cap=1.0, patience=_PATIENCE_SECONDS)
            layers.append(Retry(backoff=backoff, on=is_worth_a_try, on_retry=retried))
        if self._circuits is not None:
            layers.append(Breaker(circuits=self._circuits))
        self.layers: tuple[Layer, ...] = tuple(layers)

    def shown(self) -> dict[str, Any]:
        """The state, for people."""
        line = self._places.line if self._places is not None else None
        return {
            "circuits": self._circuits.states() if self._circuits is not None else {},
            "running": line.running if line is not None else None,
            "waiting": line.waiting if line is not None else None,
        }
