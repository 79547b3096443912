"""The three dialects, each as one value: how clients are read and answered in it, and how upstream is asked and read in it.

Whoever adds a dialect writes its codecs in `wire` and one value here. Nothing in this module does I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from rightseat.backends.fitting import api_for
from rightseat.backends.registry import Model
from rightseat.chat import ChatRequest, Completion, ModelEvent, Usage
from rightseat.errors import RightseatError
from rightseat.gateway.errors import anthropic_body, error_body, response_error
from rightseat.wire import anthropic, anthropic_stream, apis, openai_chat, openai_responses, openai_responses_stream
from rightseat.wire.apis import Api
from rightseat.wire.body import BadRequestError
from rightseat.wire.mend import mended_chat, mended_messages
from rightseat.wire.openai_stream import ChunkFold, StreamWatch
from rightseat.wire.sse import encode_sse

Body = dict[str, Any]


class Encoder(Protocol):
    """Chat events -> an answer for the client."""

    def start(self) -> bytes:
        """The bytes before the first event."""

    def encode(self, event: ModelEvent) -> bytes:
        """The bytes of one event."""

    def end(self) -> bytes:
        """The bytes after the last event."""


class Watch(Protocol):
    """A stream that passes through."""

    @property
    def whole(self) -> bool:
        """The answer is complete."""

    @property
    def usage(self) -> Usage | None:
        """Tokens, where they were told so far."""

    def see(self, chunk: bytes) -> bytes:
        """The next bytes, as they may pass on."""

    def eof(self) -> bytes:
        """What is to be said after the last of them."""


class Fold(Protocol):
    """A stream -> the body that would have come without streaming."""

    @property
    def whole(self) -> bool:
        """The answer is complete."""

    def feed(self, data: bytes) -> object:
        """The next bytes. Raises ChunkError."""

    def feed_eof(self) -> object:
        """The end. Raises ChunkError."""

    def completion(self) -> Any:
        """The body."""


class Dialect(Struct, frozen=True):
    """A dialect.

    Attributes:
        api: the endpoint of the Copilot API that speaks it.
        check: raises BadRequestError for a body that is certainly wrong.
        mend: a body that may pass -> the same without what is known to be refused.
        limit: the field that limits the output.
        unsupported: fields that Copilot does not take.
        clean: a body that may pass -> the same without encrypted reasoning of other dialects.
        without_reasoning: a body -> the same without any encrypted reasoning.
        decode: a body -> a request.
        encoder: (name of the model, the client's body, the request) -> an encoder of streams.
        whole: (an answer, name of the model, the client's body) -> a body.
        broken: an error -> the event that tells it inside a stream.
        error: (an error, the request's id) -> a body.
        id_header: where clients look for the request's id.
        ping: what may be said at any time.
        watch, fold: for streams in this dialect that go to a client in this dialect.
    """

    api: Api
    check: Callable[[Body], None]
    mend: Callable[[Body], Body]
    limit: str
    unsupported: frozenset[str]
    clean: Callable[[Body], Body]
    without_reasoning: Callable[[Body], Body]
    decode: Callable[[Body], ChatRequest]
    encoder: Callable[[str, Body, ChatRequest], Encoder]
    whole: Callable[[Completion, str, Body], bytes]
    broken: Callable[[RightseatError], bytes]
    error: Callable[[RightseatError, str], bytes]
    id_header: bytes
    ping: bytes
    watch: Callable[[], Watch]
    fold: Callable[[], Fold]

    @property
    def name(self) -> str:
        """For logs."""
        return self.api.name


def _check_chat(body: Body) -> None:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("messages: must be a list with at least one message")
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequestError(f"messages[{i}]: must be an object with a role")


def _check_messages(body: Body) -> None:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("messages: must be a list with at least one message")
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant", "system"):
            raise BadRequestError(f"messages[{i}].role: must be user, assistant or system")


def _check_responses(body: Body) -> None:
    given = body.get("input")
    if not given or not isinstance(given, (str, list)):
        raise BadRequestError("input: must be text or a list with at least one item")
    for i, item in enumerate(given if isinstance(given, list) else ()):
        if not isinstance(item, dict):
            raise BadRequestError(f"input[{i}]: must be an object")


def _chat_without_reasoning(body: Body) -> Body:
    secret = ("reasoning_opaque", "reasoning_text")
    messages = [
        {name: value for name, value in m.items() if name not in secret} if isinstance(m, dict) else m
        for m in body["messages"]
    ]
    return {**body, "messages": messages}


def _responses_without_reasoning(body: Body) -> Body:
    given = body.get("input")
    if not isinstance(given, list):
        return body
    return {**body, "input": [i for i in given if not (isinstance(i, dict) and i.get("type") == "reasoning")]}


def _messages_without_reasoning(body: Body) -> Body:
    thinking = ("thinking", "redacted_thinking")
    messages = [
        {**m, "content": [b for b in m["content"] if not (isinstance(b, dict) and b.get("type") in thinking)]}
        if isinstance(m, dict) and isinstance(m.get("content"), list)
        else m
        for m in body["messages"]
    ]
    return {**body, "messages": [m for m in messages if not (isinstance(m, dict) and m.get("content") == [])]}


CHAT = Dialect(
    api=apis.CHAT,
    check=_check_chat,
    mend=mended_chat,
    limit="max_tokens",
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
    clean=openai_chat.cleaned,
    without_reasoning=_chat_without_reasoning,
    decode=openai_chat.request_of,
    encoder=lambda model, _, __: openai_chat.ChunkEncoder(model),
    whole=lambda done, model, _: openai_chat.encode_completion(done, model),
    broken=lambda error: encode_sse(error_body(error)),
    error=lambda error, _: error_body(error),
    id_header=b"x-request-id",
    ping=b": ping\n\n",
    watch=StreamWatch,
    fold=ChunkFold,
)

RESPONSES = Dialect(
    api=apis.RESPONSES,
    check=_check_responses,
    mend=lambda body: body,
    limit="max_output_tokens",
    unsupported=frozenset({"top_logprobs", "service_tier"}),
    clean=openai_responses.cleaned,
    without_reasoning=_responses_without_reasoning,
    decode=openai_responses.decode_request,
    encoder=lambda model, body, _: openai_responses.ResponseEncoder(model, body),
    whole=openai_responses.encode_completion,
    broken=lambda error: encode_sse(response_error(error), b"error"),
    error=lambda error, _: error_body(error),
    id_header=b"x-request-id",
    ping=b": ping\n\n",
    watch=openai_responses_stream.SameIds,
    fold=openai_responses_stream.ResponseFold,
)

MESSAGES = Dialect(
    api=apis.MESSAGES,
    check=_check_messages,
    mend=mended_messages,
    limit="max_tokens",
    unsupported=frozenset({"service_tier"}),
    clean=anthropic.cleaned,
    without_reasoning=_messages_without_reasoning,
    decode=anthropic.decode_request,
    encoder=lambda model, _, request: anthropic.EventEncoder(model, anthropic.estimate_tokens(request)),
    whole=lambda done, model, _: anthropic.encode_completion(done, model),
    broken=lambda error: encode_sse(anthropic_body(error), b"error"),
    error=anthropic_body,
    id_header=b"request-id",
    ping=anthropic.PING,
    watch=anthropic_stream.MessageWatch,
    fold=anthropic_stream.MessageFold,
)

ALL = (CHAT, RESPONSES, MESSAGES)


def route(client: Dialect, model: Model | None) -> Dialect:
    """The dialect to ask a model in: the client's own where the model speaks it, so that nothing is translated.

    Raises:
        BadRequestError: the model speaks none of them.
    """
    api = api_for(model, client.api)
    return next(dialect for dialect in ALL if dialect.api is api)
