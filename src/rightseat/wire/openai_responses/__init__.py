"""OpenAI responses, the dialect of Copilot's `/responses` (as its public clients speak it in 2026)."""

from __future__ import annotations

from rightseat.wire.dialect import Dialect, Endpoint
from rightseat.wire.errors import error_headers
from rightseat.wire.facts import listed
from rightseat.wire.openai_responses import collaboration, encode, errors, fit, read, relay, request, sanitize

DIALECT = Dialect(
    name="responses",
    path="/responses",
    endpoint=Endpoint(
        "/v1/responses",
        "OpenAI responses; with an Upgrade, over a WebSocket",
        "openai",
        {"model": ("string", True), "input": ("", True), "stream": ("boolean", False), "tools": ("array", False)},
    ),
    has_text_tools=True,
    unsupported=frozenset({"top_logprobs", "service_tier"}),
    restored=collaboration.restored,
    check=request.check,
    sanitize=sanitize.sanitize,
    fit=fit.fit,
    own_reasoning=sanitize.own_reasoning,
    without_reasoning=sanitize.without_reasoning,
    turns=lambda body: listed(body.get("input")),
    decode=request.decode_request,
    encode=request.encode_request,
    limit_fields=("max_output_tokens",),
    least_output=request.LEAST_OUTPUT,
    limit_field=lambda _: "max_output_tokens",
    parameters=frozenset({"temperature", "top_p", "verbosity"}),
    id_header=b"x-request-id",
    ping=b": ping\n\n",
    error_headers=error_headers,
    error_body=errors.error_body,
    error_event=errors.error_event,
    encoder=encode.ResponseEncoder,
    prepared=encode.prepared,
    encode_whole=encode.encode_whole,
    reader=read.ResponseReader,
    fold=read.ResponseFold,
    relay=relay.ResponseRelay,
    read_whole=read.read_whole,
    check_whole=read.check_whole,
)
