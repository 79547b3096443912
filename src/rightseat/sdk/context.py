"""The trace that a program is in, for the CLI to continue. Does not know how traces are exported."""

from __future__ import annotations

import sys


def current_context() -> dict[str, str]:
    """`traceparent` and `tracestate` (W3C Trace Context) of the current span of OpenTelemetry; empty where there is none.

    OpenTelemetry is not imported here: a program that has not done so is in no trace.
    """
    if "opentelemetry.trace" not in sys.modules:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier
