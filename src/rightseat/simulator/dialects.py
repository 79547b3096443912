"""How each endpoint of the simulated API reads and writes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct

from rightseat.chat import ChatRequest, Completion, ModelEvent, Reasoning, ReasoningOpaque
from rightseat.json_types import JsonObject
from rightseat.wire import dialects
from rightseat.wire.anthropic.errors import encode_error as anthropic_error
from rightseat.wire.body import json_object, object_with_model
from rightseat.wire.dialect import Encoder, Envelope
from rightseat.wire.opaque import MARK, MESSAGES, RESPONSES, seal
from rightseat.wire.openai_chat.errors import encode_error as openai_error


class SimulatedApi(Struct, frozen=True):
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
    encoder: Callable[[ChatRequest, bytes], Encoder]
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


CHAT = SimulatedApi(
    "chat",
    dialects.CHAT.path,
    lambda body: dialects.CHAT.decode(json_object(body)),
    lambda done, model, _: dialects.CHAT.encode_whole(done, Envelope(model)),
    lambda request, _: dialects.CHAT.encoder(Envelope(request.model)),
    openai_error,
)
MESSAGES_API = SimulatedApi(
    MESSAGES,
    dialects.MESSAGES.path,
    lambda body: dialects.MESSAGES.decode(object_with_model(body)),
    lambda done, model, _: dialects.MESSAGES.encode_whole(done, Envelope(model)),
    lambda request, _: dialects.MESSAGES.encoder(Envelope(request.model, request=request)),
    lambda message, kind, _: anthropic_error(kind, message),
)
RESPONSES_API = SimulatedApi(
    RESPONSES,
    dialects.RESPONSES.path,
    lambda body: dialects.RESPONSES.decode(_lenient(object_with_model(body))),
    lambda done, model, body: dialects.RESPONSES.encode_whole(done, Envelope(model, json_object(body))),
    lambda request, body: dialects.RESPONSES.encoder(Envelope(request.model, json_object(body))),
    openai_error,
)

_UNKNOWN_TOOLS = frozenset({"tool_search", "web_search", "web_search_preview", "local_shell", "image_generation"})


def _lenient(body: JsonObject) -> JsonObject:
    """The tools that only the real service can run are taken and never called."""
    tools = body.get("tools")
    if not isinstance(tools, list):
        return body
    return {**body, "tools": [t for t in tools if not (isinstance(t, dict) and t.get("type") in _UNKNOWN_TOOLS)]}
