"""How each endpoint of the simulated API reads and writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from rightseat.chat import ChatRequest, Completion, ModelEvent, Reasoning, ReasoningOpaque
from rightseat.wire import anthropic, openai_chat, openai_responses
from rightseat.wire.body import json_object, object_with_model
from rightseat.wire.opaque import MARK, MESSAGES, RESPONSES, seal


class Dialect(Struct, frozen=True):
    """One endpoint.

    Attributes:
        name: "chat", "responses" or "messages".
        endpoint: as model lists name it.
        decode: a body -> a request.
        whole: (an answer, the model, the request's body) -> a body.
        encoder: (the request, its body) -> an encoder of streams.
        error: (message, kind, code) -> a body.
    """

    name: str
    endpoint: str
    decode: Callable[[bytes], ChatRequest]
    whole: Callable[[Completion, str, bytes], bytes]
    encoder: Callable[[ChatRequest, bytes], Any]
    error: Callable[[str, str, str | None], bytes]

    def own(self, event: ModelEvent) -> ModelEvent:
        """An event with encrypted reasoning as this API would have made it."""
        if isinstance(event, ReasoningOpaque) and self.name != "chat" and not event.data.startswith(MARK):
            return ReasoningOpaque(seal(self.name, event.data))
        return event

    def own_whole(self, done: Completion) -> Completion:
        """The same for a whole answer."""
        if self.name == "chat":
            return done
        blocks = tuple(
            Reasoning(b.text, seal(self.name, b.opaque))
            if isinstance(b, Reasoning) and not b.opaque.startswith(MARK)
            else b
            for b in done.blocks
        )
        return msgspec.structs.replace(done, blocks=blocks)


CHAT = Dialect(
    "chat",
    "/chat/completions",
    openai_chat.decode_request,
    lambda done, model, _: openai_chat.encode_completion(done, model),
    lambda request, _: openai_chat.ChunkEncoder(request.model),
    openai_chat.encode_error,
)
MESSAGES_API = Dialect(
    MESSAGES,
    "/v1/messages",
    lambda body: anthropic.decode_request(object_with_model(body)),
    lambda done, model, _: anthropic.encode_completion(done, model),
    lambda request, _: anthropic.EventEncoder(request.model, anthropic.estimate_tokens(request)),
    lambda message, kind, _: anthropic.encode_error(kind, message),
)
RESPONSES_API = Dialect(
    RESPONSES,
    "/responses",
    lambda body: openai_responses.decode_request(_lenient(object_with_model(body))),
    lambda done, model, body: openai_responses.encode_completion(done, model, json_object(body)),
    lambda request, body: openai_responses.ResponseEncoder(request.model, json_object(body)),
    openai_chat.encode_error,
)

_UNKNOWN_TOOLS = frozenset({"tool_search", "web_search", "web_search_preview", "local_shell", "image_generation"})


def _lenient(body: dict[str, Any]) -> dict[str, Any]:
    """The tools that only the real service can run are taken and never called."""
    tools = body.get("tools")
    if not isinstance(tools, list):
        return body
    return {**body, "tools": [t for t in tools if not (isinstance(t, dict) and t.get("type") in _UNKNOWN_TOOLS)]}
