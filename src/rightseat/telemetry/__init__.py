"""What others see of calls: metrics for Prometheus and traces for OpenTelemetry, as observers (see `rightseat.layers.observe`)."""
