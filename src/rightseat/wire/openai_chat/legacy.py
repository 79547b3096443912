"""OpenAI's legacy completions, `/v1/completions`, for models that chat: a prompt is what the user says.

Copilot serves them for no model of conversations, so they are always translated. What only models of completions can do (text before and
behind a gap, several answers, lists of tokens) is refused by name, or left out with a warning.
"""

from __future__ import annotations

import msgspec

from rightseat.chat import ChatRequest, Completion, Finish, Message, ModelEvent, TextDelta, Usage
from rightseat.json_types import Json, JsonObject
from rightseat.wire.body import BadRequestError
from rightseat.wire.dialect import Dialect, Endpoint, Envelope
from rightseat.wire.openai_chat import DIALECT as CHAT
from rightseat.wire.openai_chat.encode import written_usage
from rightseat.wire.sse import DONE, encode_sse

_encode = msgspec.json.Encoder().encode
_NO_PLACE = frozenset({"model", "prompt", "stream", "echo", "suffix", "best_of"})
_FINISH = {"length": "length", "content_filter": "content_filter"}


class TextEncoder:
    """Events of one answer -> a stream of text. Calls and reasoning have no place in it."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._head = _head(envelope)
        self._usage: Usage | None = None

    def start(self) -> bytes:
        """The bytes before the first event: the prompt, where it shall be told back."""
        told = _told_back(self._envelope)
        return self._chunk(told, None) if told else b""

    def encode(self, event: ModelEvent) -> bytes:
        """The bytes of one event; b"" for one that the dialect does not show."""
        match event:
            case TextDelta():
                return self._chunk(event.text, None)
            case Finish():
                return self._chunk("", _FINISH.get(event.reason, "stop"))
            case Usage():
                self._usage = event
        return b""

    def end(self) -> bytes:
        """The bytes after the last event."""
        if self._usage is None:
            return DONE
        return encode_sse(_encode({**self._head, "choices": [], "usage": written_usage(self._usage)})) + DONE

    def _chunk(self, text: str, finish: str | None) -> bytes:
        return encode_sse(_encode({**self._head, "choices": [_choice(text, finish)]}))


def encode_whole(done: Completion, envelope: Envelope) -> bytes:
    """A whole answer as one body."""
    choice = _choice(_told_back(envelope) + done.text, _FINISH.get(done.finish_reason, "stop"))
    body = {**_head(envelope), "choices": [choice]}
    return _encode(body if done.usage is None else {**body, "usage": written_usage(done.usage)})


def _head(envelope: Envelope) -> JsonObject:
    return {
        "id": f"cmpl-{envelope.ids.hex(24)}",
        "object": "text_completion",
        "created": int(envelope.clock.wall()),
        "model": envelope.model,
    }


def _choice(text: str, finish: str | None) -> JsonObject:
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}


def _told_back(envelope: Envelope) -> str:
    return _prompt(envelope.body) if envelope.body.get("echo") else ""


def _prompt(body: Json) -> str:
    """The prompt of a request. Raises BadRequestError."""
    given = body.get("prompt")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or len(texts) != 1 or not isinstance(texts[0], str) or not texts[0]:
        raise BadRequestError.at(
            "prompt", "must be one text; lists of texts and of tokens are not taken by models that chat"
        )
    return texts[0]


def check(body: JsonObject) -> None:
    """Raises BadRequestError for a body that is certainly wrong."""
    _prompt(body)
    if body.get("suffix"):
        raise BadRequestError.at("suffix", "models that chat cannot fill a gap; leave it out")


def decode(body: JsonObject) -> ChatRequest:
    """A request. Raises BadRequestError."""
    check(body)
    extra = {name: value for name, value in body.items() if name not in _NO_PLACE}
    return ChatRequest(
        str(body.get("model", "")), (Message("user", _prompt(body)),), stream=bool(body.get("stream")), extra=extra
    )


DIALECT: Dialect = msgspec.structs.replace(
    CHAT,
    name="completions",
    path="/completions",
    endpoint=Endpoint(
        "/v1/completions",
        "OpenAI's legacy completions, answered by models that chat",
        "openai",
        {"model": ("string", True), "prompt": ("", True), "stream": ("boolean", False)},
    ),
    check=check,
    sanitize=lambda body: body,
    own_reasoning=lambda body: body,
    without_reasoning=lambda body: body,
    turns=lambda body: ({"role": "user", "content": body.get("prompt")},),
    decode=decode,
    significant={**CHAT.significant, "best_of": "best_of"},
    encoder=TextEncoder,
    encode_whole=encode_whole,
)
