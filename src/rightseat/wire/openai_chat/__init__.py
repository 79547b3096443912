"""OpenAI chat completions, the dialect of Copilot's `/chat/completions`."""

from __future__ import annotations

from rightseat.wire.dialect import Dialect, Endpoint
from rightseat.wire.errors import error_headers
from rightseat.wire.facts import listed
from rightseat.wire.openai_chat import encode, errors, fit, read, relay, request, sanitize

DIALECT = Dialect(
    name="chat",
    path="/chat/completions",
    endpoint=Endpoint(
        "/v1/chat/completions",
        "OpenAI chat completions",
        "openai",
        {
            "model": ("string", True),
            "messages": ("array", True),
            "stream": ("boolean", False),
            "tools": ("array", False),
        },
    ),
    check=request.check,
    sanitize=sanitize.sanitize,
    fit=fit.fit,
    own_reasoning=sanitize.own_reasoning,
    without_reasoning=sanitize.without_reasoning,
    turns=lambda body: listed(body.get("messages")),
    decode=request.decode_request,
    encode=request.encode_for_upstream,
    limit_fields=("max_tokens", "max_completion_tokens"),
    limit_field=request.limit_field,
    parameters=frozenset(
        {
            "frequency_penalty",
            "max_tool_calls",
            "presence_penalty",
            "seed",
            "stop",
            "temperature",
            "top_p",
            "verbosity",
        }
    ),
    unsupported=frozenset(
        {
            "audio",
            "logit_bias",
            "logprobs",
            "modalities",
            "n",
            "service_tier",
            "store",
            "top_logprobs",
            "web_search_options",
        }
    ),
    has_text_tools=True,
    stream_fields={"stream_options": {"include_usage": True}},
    encoder=encode.ChunkEncoder,
    encode_whole=encode.encode_whole,
    reader=read.ChunkReader,
    fold=read.ChunkFold,
    relay=relay.ChunkRelay,
    read_whole=read.read_whole,
    check_whole=read.check_whole,
    is_foreign=read.is_foreign,
    error_body=errors.error_body,
    error_event=errors.error_event,
    error_headers=error_headers,
    id_header=b"x-request-id",
    ping=b": ping\n\n",
)
