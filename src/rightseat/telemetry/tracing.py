"""Traces of calls for OpenTelemetry, by its semantic conventions for generative AI (semconv 1.37, "gen_ai").

A call is one span: `chat gpt-5`, with the model, the tokens and why it ended; never prompts or answers. The gateway's spans are of kind SERVER and
continue the trace of the client's `traceparent` (W3C Trace Context), a program's own are of kind CLIENT. Exporters, sampling and
resource come from OpenTelemetry's standard environment variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from rightseat import __version__
from rightseat.errors import ConfigError
from rightseat.layers.observe import Call
from rightseat.log import logger

PROVIDER = "github.copilot"  # gen_ai.provider.name; there is no well-known value for it yet


class Tracing:
    """An observer that makes spans.

    Args:
        provider: a TracerProvider; the global one otherwise.
        server: the spans are of kind SERVER, for requests that came from outside.

    Raises:
        ConfigError: OpenTelemetry is not installed.
    """

    def __init__(self, provider: Any = None, *, server: bool = False) -> None:
        try:
            from opentelemetry import trace
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ModuleNotFoundError as e:
            raise ConfigError("tracing needs OpenTelemetry: pip install 'rightseat[otel]'") from e
        self._tracer = trace.get_tracer("rightseat", __version__, provider)
        self._kind = trace.SpanKind.SERVER if server else trace.SpanKind.CLIENT
        self._propagator = TraceContextTextMapPropagator()
        self._failed = trace.Status(trace.StatusCode.ERROR)

    def began(self, call: Call) -> None:
        """See Observer."""
        if not call.operation:
            return  # a request of the gateway that asks no model
        parent = self._propagator.extract(call.trace) if call.trace else None
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": call.operation,
            "gen_ai.provider.name": PROVIDER,
            "rightseat.request_id": call.request_id,
        }
        if call.model:
            attributes["gen_ai.request.model"] = call.model
        call.span = self._tracer.start_span(_name(call), parent, self._kind, attributes)
        call.trace_id = f"{call.span.get_span_context().trace_id:032x}"

    def ended(self, call: Call) -> None:
        """See Observer."""
        span = call.span
        if span is None or not span.is_recording():
            return
        # The gateway learns from the body which model is asked, and by the key who asks.
        span.update_name(_name(call))
        attributes: dict[str, Any] = {"http.response.status_code": call.status or 0}
        if call.model:
            attributes["gen_ai.request.model"] = call.model
        if call.key:
            attributes["rightseat.key"] = call.key
        if call.retries:
            attributes["rightseat.retries"] = call.retries
        if call.account:
            attributes["rightseat.account"] = call.account
        if (first := call.seconds(call.first_at)) is not None:
            attributes["rightseat.first_chunk_seconds"] = round(first, 6)
        if call.finish:
            attributes["gen_ai.response.finish_reasons"] = (call.finish,)
        if (usage := call.usage) is not None:
            attributes["gen_ai.usage.input_tokens"] = usage.input_tokens
            attributes["gen_ai.usage.output_tokens"] = usage.output_tokens
            if usage.cached_tokens:
                attributes["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens
        if call.error:
            attributes["error.type"] = call.error
            span.set_status(self._failed)
        span.set_attributes(attributes)
        span.end()


def _name(call: Call) -> str:
    return f"{call.operation} {call.model}".strip()


def is_wanted(environment: Mapping[str, str] | None = None) -> bool:
    """OpenTelemetry's variables ask for traces."""
    environment = os.environ if environment is None else environment
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
    return any(environment.get(name) for name in names)


def provider_of_environment() -> Any:
    """A TracerProvider as OpenTelemetry's variables want it. Shut it down at the end, so that the last spans are sent.

    They are OTEL_TRACES_EXPORTER (otlp, console), OTEL_EXPORTER_OTLP_*, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and
    OTEL_BSP_*.

    Raises:
        ConfigError: a package is missing, or an exporter is named that is not known here.
    """
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    except ModuleNotFoundError as e:
        raise ConfigError("tracing needs OpenTelemetry: pip install 'rightseat[otel]'") from e
    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME") or "rightseat"})
    provider = TracerProvider(resource=resource)
    for name in (os.environ.get("OTEL_TRACES_EXPORTER") or "otlp").split(","):
        match name.strip():
            case "otlp":
                provider.add_span_processor(BatchSpanProcessor(_otlp()))
            case "console":
                provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
            case other:
                raise ConfigError(f"OTEL_TRACES_EXPORTER: {other!r} is not known here; otlp, console and none are")
    logger.info("traces go to %s", os.environ.get("OTEL_TRACES_EXPORTER") or "otlp")
    return provider


def _otlp() -> Any:
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in (None, "", "http/protobuf"):
        raise ConfigError(f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol!r} is not known here; http/protobuf is")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as e:
        raise ConfigError("tracing needs OpenTelemetry's OTLP exporter: pip install 'rightseat[otel]'") from e
    return OTLPSpanExporter()
