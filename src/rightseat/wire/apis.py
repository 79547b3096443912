"""The three endpoints of the Copilot API that converse, each as one value: how it is asked, and how its answers are read.

Nothing here does I/O. What a client sees of a dialect is the gateway's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from msgspec import Struct, field

from rightseat.chat import ChatRequest, ModelEvent
from rightseat.wire import anthropic, anthropic_stream, openai_chat, openai_responses, openai_responses_stream
from rightseat.wire.openai_stream import ChunkReader
from rightseat.wire.sse import encode_sse


class Reader(Protocol):
    """A streamed answer -> chat events."""

    @property
    def whole(self) -> bool:
        """The answer is complete."""

    def feed(self, data: bytes) -> list[ModelEvent]:
        """The next bytes. Raises ChunkError."""

    def feed_eof(self) -> list[ModelEvent]:
        """The end. Raises ChunkError."""


class Api(Struct, frozen=True):
    """An endpoint.

    Attributes:
        name: for logs.
        path: below the API's address, as `supported_endpoints` names it.
        encode: a request -> a body.
        reader: makes a reader of a streamed answer.
        read_whole: a body -> chat events. Raises ChunkError.
        text_tools: it has tools that take text.
        headers: sent with each request.
    """

    name: str
    path: str
    encode: Callable[[ChatRequest], bytes]
    reader: Callable[[], Reader]
    read_whole: Callable[[Any], list[ModelEvent]]
    text_tools: bool
    headers: dict[str, str] = field(default_factory=dict)


def _read_chat(body: Any) -> list[ModelEvent]:
    if isinstance(body, dict) and not body.get("choices") and isinstance(body.get("content"), list):
        return anthropic_stream.read_whole(body)  # newer Claude models have answered so on the chat endpoint
    reader = ChunkReader()
    return [*reader.feed(encode_sse(msgspec.json.encode(body))), *reader.feed_eof()]


CHAT = Api("chat", "/chat/completions", openai_chat.encode_request, ChunkReader, _read_chat, text_tools=True)
RESPONSES = Api(
    "responses",
    "/responses",
    openai_responses.encode_request,
    openai_responses_stream.ResponseReader,
    openai_responses_stream.read_whole,
    text_tools=True,
)
MESSAGES = Api(
    "messages",
    "/v1/messages",
    anthropic.encode_request,
    anthropic_stream.EventReader,
    anthropic_stream.read_whole,
    text_tools=False,
    headers={"anthropic-version": "2023-06-01"},
)
