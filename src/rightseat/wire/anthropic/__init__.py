"""Anthropic's Messages API, the dialect of Copilot's `/v1/messages`."""

from __future__ import annotations

from rightseat.wire.anthropic import encode, errors, fit, read, relay, request, sanitize
from rightseat.wire.dialect import Dialect, Endpoint
from rightseat.wire.facts import listed
from rightseat.wire.sse import encode_sse

DIALECT = Dialect(
    name="messages",
    path="/v1/messages",
    endpoint=Endpoint(
        "/v1/messages",
        "Anthropic messages",
        "anthropic",
        {
            "model": ("string", True),
            "messages": ("array", True),
            "stream": ("boolean", False),
            "tools": ("array", False),
            "max_tokens": ("integer", False),
        },
    ),
    headers={"anthropic-version": "2023-06-01"},
    passed_headers=request.passed_headers,
    check=request.check,
    sanitize=sanitize.sanitize,
    fit=fit.fit,
    own_reasoning=sanitize.own_reasoning,
    without_reasoning=sanitize.without_reasoning,
    turns=lambda body: listed(body.get("messages")),
    decode=request.decode_request,
    encode=request.encode_request,
    limit_fields=("max_tokens",),
    limit_field=lambda _: "max_tokens",
    default_output=request.DEFAULT_MAX_TOKENS,
    parameters=frozenset({"temperature", "top_p", "stop"}),
    unsupported=frozenset({"service_tier", "speed", "mcp_servers", "container", "diagnostics"}),
    has_thinking_budget=lambda _: True,
    encoder=encode.EventEncoder,
    encode_whole=encode.encode_whole,
    reader=read.EventReader,
    fold=read.MessageFold,
    relay=relay.MessageRelay,
    read_whole=read.read_whole,
    check_whole=read.check_whole,
    error_body=errors.error_body,
    error_event=errors.error_event,
    error_headers=errors.error_headers,
    id_header=b"request-id",
    ping=encode_sse(b'{"type":"ping"}', b"ping"),
)
