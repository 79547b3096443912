"""What layers count, as metrics for Prometheus: a collector that looks when it is asked, so that no call pays for it."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from rightseat.layers.totals import Counted


class LayerMetrics(Collector):
    """Counts of layers: `rightseat_layer_total{layer="...", count="requests"}`.

        metrics = LayerMetrics(registry)
        metrics.watch("sdk", sdk.state)      # all layers of a CopilotSDK
        metrics.watch("pages", queue)        # or any layer that counts

    Args:
        registry: where the metrics go; one of its own otherwise.
        prefix: of the name.
    """

    def __init__(self, registry: CollectorRegistry | None = None, prefix: str = "rightseat") -> None:
        self._name = f"{prefix}_layer"
        self._watched: dict[str, Counted] = {}
        self.registry = registry if registry is not None else CollectorRegistry()
        self.registry.register(self)

    def watch(self, name: str, layer: Counted) -> None:
        """Show what a layer counts, under a name; in the place of what had that name."""
        self._watched[name] = layer

    def collect(self) -> Iterator[CounterMetricFamily]:
        """See prometheus_client."""
        family = CounterMetricFamily(self._name, "What layers counted, by layer and count.", labels=("layer", "count"))
        for name, layer in self._watched.items():
            for count, number in layer.counts.items():
                family.add_metric((name, count), number)
        yield family
