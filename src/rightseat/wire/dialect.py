"""What a dialect is: one value with everything that is known of it, and the protocols of its parts.

A dialect is a folder of this package with one exported DIALECT; `dialects.ALL` lists them. Code that plans, sends, answers or routes reads the
value and never asks which dialect it is. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec
from msgspec import Struct, field

from rightseat.chat import ChatRequest, Completion, ModelEvent, Usage, fold
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import RightseatError, UpstreamError
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.json_types import Json, JsonObject
from rightseat.wire import facts
from rightseat.wire.abilities import Abilities, FittedBody, Relayed
from rightseat.wire.initiator import Began, began
from rightseat.wire.reading import ChunkError

Body: TypeAlias = JsonObject
Headers: TypeAlias = list[tuple[bytes, bytes]]

# Parameters that change what is said, by the name a client uses and by the neutral name. Left out, they are worth a warning; all others
# are hints and bookkeeping.
SIGNIFICANT: Mapping[str, str] = {
    **{name: name for name in (
        "frequency_penalty", "logit_bias", "logprobs", "max_tool_calls", "modalities", "n", "presence_penalty", "seed", "stop", "temperature", "top_k",
        "top_logprobs", "top_p", "truncation", "verbosity",
    )},
    "stop_sequences": "stop",
}  # fmt: skip


class Envelope(Struct, frozen=True):
    """What an answer says besides what the model said.

    Attributes:
        model: the name that the client used.
        body: the client's body; some dialects tell parts of it back.
        request: the request, where an encoder estimates its size; None: it says 0.
        ids, clock: where the answer's id and date come from.
    """

    model: str
    body: Mapping[str, Json] = {}
    request: ChatRequest | None = None
    ids: Ids = SYSTEM_IDS
    clock: Clock = SYSTEM_CLOCK


class Encoder(Protocol):
    """Chat events -> a streamed answer for the client."""

    def start(self) -> bytes:
        """The bytes before the first event."""

    def encode(self, event: ModelEvent) -> bytes:
        """The bytes of one event: whole events of the dialect, or b""."""

    def end(self) -> bytes:
        """The bytes after the last event."""


class AnswerReader(Protocol):
    """A streamed answer -> chat events."""

    @property
    def usage(self) -> Usage | None:
        """Tokens, as far as they were told: for answers that break off."""

    @property
    def complete(self) -> bool:
        """The answer has ended as the dialect ends answers."""

    @property
    def is_final(self) -> bool:
        """`usage` was told after everything that was said."""

    @property
    def failure(self) -> ChunkError | None:
        """What the next call raises: what came before it in the same bytes is given first."""

    def feed(self, data: bytes) -> list[ModelEvent]:
        """The next bytes. Raises ChunkError: the stream holds an error, or more than the limits allow."""

    def feed_eof(self) -> list[ModelEvent]:
        """The end of the stream: what is left, usage and the finish. Raises as `feed` does."""


class Fold(Protocol):
    """A streamed answer -> the body that would have come without streaming."""

    @property
    def complete(self) -> bool:
        """The answer has ended as the dialect ends answers."""

    @property
    def received(self) -> int:
        """Tokens of the answer so far, reckoned from its bytes."""

    @property
    def least(self) -> int:
        """Tokens that it surely had so far."""

    @property
    def usage(self) -> Usage | None:
        """Tokens, as far as they were told."""

    @property
    def is_final(self) -> bool:
        """`usage` was told after everything that was said."""

    def feed(self, data: bytes) -> object:
        """The next bytes. Raises ChunkError: the stream holds an error, or more than the limits allow."""

    def feed_eof(self) -> object:
        """The end of the stream. Raises as `feed` does."""

    def completion(self) -> Body:
        """The body, once `feed_eof` was called."""


class StreamRelay(Protocol):
    """A stream that passes through, cut at event borders and watched. See `wire.relay`.

    Attributes:
        told: upstream's own error has passed: nothing more is to be said.
    """

    told: bool

    def feed(self, chunk: bytes) -> bytes:
        """The next bytes; the whole events in them. Raises ProtocolError: an event is larger than the limit."""

    def eof(self) -> bytes:
        """The end of the stream: what is still to be passed on. Nothing that is no whole event. Raises as `feed` does."""

    @property
    def complete(self) -> bool:
        """The answer has ended as the dialect ends answers, by an error of upstream's too."""

    @property
    def failed(self) -> bool:
        """Upstream's own error has been sent to the client."""

    @property
    def usage(self) -> Usage | None:
        """Tokens, as far as they were told."""

    @property
    def is_final(self) -> bool:
        """`usage` is the last word: it came with the end of the answer."""

    @property
    def received(self) -> int:
        """Tokens of the answer so far, reckoned from its bytes."""

    @property
    def least(self) -> int:
        """Tokens that it surely had so far."""


class Endpoint(Struct, frozen=True):
    """Where clients of a dialect ask, for the route table and the OpenAPI document.

    Attributes:
        path: such as "/v1/chat/completions".
        summary: one line.
        tag: the group.
        fields: of the body: name -> (JSON type or "" for several, whether it must be there).
    """

    path: str
    summary: str
    tag: str
    fields: Mapping[str, tuple[str, bool]]


def _no_headers(_: Mapping[str, str]) -> dict[str, str]:
    return {}


def _never(_: bytes) -> bool:
    return False


def _as_it_is(body: Body, _raw: bytes, _abilities: Abilities) -> FittedBody:
    return FittedBody(body)


class Dialect(Struct, frozen=True):
    """A dialect.

    Attributes:
        name: for logs and metrics.
        path: where upstream is asked in it, below the API's address, as `supported_endpoints` names it.
        endpoint: where clients ask in it.
        headers: sent upstream with each request.
        passed_headers: a client's headers (names in lower case) -> those that go upstream, too. Raises BadRequestError.
        check: raises BadRequestError for a body that is certainly wrong.
        sanitize: a body -> the same without what Copilot is known to refuse; the very same object where there is nothing to change.
        fit: (a body, its bytes, what the model takes) -> the body as the model takes it, and what was left out or changed.
        own_reasoning: a body -> the same without encrypted reasoning of other dialects; the very same object if there is none.
        without_reasoning: a body -> the same without any encrypted reasoning.
        turns: what was said, oldest first.
        decode: a body -> a request. Raises BadRequestError.
        encode: a request -> a body for upstream. Raises BadRequestError.
        limit_fields: the fields that limit the output; upstream honours each of them.
        limit_field: a model's id -> the one of them that the model takes.
        least_output: the smallest limit that the API takes; a smaller one is raised to it.
        default_output: the limit that is sent where none was given, in a dialect that demands one; 0: it does not.
        unsupported: fields that Copilot does not take.
        restored: a whole body of upstream's -> the same with names as the client knows them.
        parameters: those of SIGNIFICANT that can be expressed, by neutral names.
        significant: fields of a body that change what is said, by neutral names.
        has_text_tools: it has tools that take text instead of JSON.
        has_thinking_budget: a model's id -> whether it can be given a thinking budget in this dialect.
        stream_fields: members that only bodies of streams may have, and what they must hold where a client sends them: else upstream tells no usage.
        encoder: an encoder of streams.
        encode_whole: a whole answer -> a body.
        reader, fold, relay: for one streamed answer each. They take `max_event_bytes`, reader and fold `max_held_bytes`, too.
        read_whole: a whole body -> chat events. Raises ChunkError.
        check_whole: raises UpstreamError for bytes that are no whole body of an answer, or an error; else what they tell of usage.
        is_foreign: a whole body that upstream sends here in the form of another dialect; `read_whole` reads it all the same.
        error_body: (an error, the request's id) -> a body.
        error_event: an error -> the event that ends a stream.
        error_headers: (an error, the request's id) -> headers of the error's answer.
        id_header: where clients look for the request's id.
        ping: what may be said between any two events.
        prepared: the whole stream that answers a request which only prepares (`generate: false`); None: there is no such thing.
    """

    name: str
    path: str
    endpoint: Endpoint
    check: Callable[[Body], None]
    sanitize: Callable[[Body], Body]
    own_reasoning: Callable[[Body], Body]
    without_reasoning: Callable[[Body], Body]
    turns: Callable[[Body], Sequence[Json]]
    decode: Callable[[Body], ChatRequest]
    encode: Callable[[ChatRequest], bytes]
    limit_fields: tuple[str, ...]
    limit_field: Callable[[str], str]
    parameters: frozenset[str]
    encoder: Callable[[Envelope], Encoder]
    encode_whole: Callable[[Completion, Envelope], bytes]
    reader: Callable[..., AnswerReader]
    fold: Callable[..., Fold]
    relay: Callable[..., StreamRelay]
    read_whole: Callable[[Json], list[ModelEvent]]
    check_whole: Callable[[bytes], Usage | None]
    error_body: Callable[[RightseatError, str], bytes]
    error_event: Callable[[RightseatError], bytes]
    error_headers: Callable[[RightseatError, str], Headers]
    id_header: bytes
    ping: bytes
    fit: Callable[[Body, bytes, Abilities], FittedBody] = _as_it_is
    headers: Mapping[str, str] = field(default_factory=dict)
    passed_headers: Callable[[Mapping[str, str]], dict[str, str]] = _no_headers
    least_output: int = 0
    default_output: int = 0
    unsupported: frozenset[str] = frozenset()
    restored: Callable[[bytes], bytes] = bytes
    significant: Mapping[str, str] = field(default_factory=lambda: SIGNIFICANT)
    has_text_tools: bool = False
    has_thinking_budget: Callable[[str], bool] = facts.is_claude
    stream_fields: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    is_foreign: Callable[[bytes], bool] = _never
    prepared: Callable[[Envelope], bytes] | None = None

    def output_limit(self, body: Mapping[str, object]) -> int | None:
        """How many tokens the answer to a body may have at most; None: it does not say. Of several fields the largest counts."""
        limits = [number for name in self.limit_fields if (number := facts.positive(body.get(name))) is not None]
        return max(limits, default=None)

    def began(self, body: Body, headers: Mapping[str, str]) -> Began:
        """Who began the turn; a client that says so itself in its headers is believed."""
        return began(self.turns(body), body, headers)

    def has_image(self, body: Body) -> bool:
        """Whether there is an image in what was said."""
        return facts.has_image(self.turns(body))

    def images(self, body: Body) -> tuple[int, int]:
        """How many images there are in what was said, and their bytes."""
        return facts.images(self.turns(body))

    def lost(self, body: Body, upstream: Dialect) -> tuple[str, ...]:
        """The parameters of a body that change what is said and that the dialect upstream is asked in does not have."""
        return tuple(
            name
            for name, value in body.items()
            if name in self.significant
            and self.significant[name] not in upstream.parameters
            and not facts.asks_nothing(name, value)
        )

    def expresses(self, request: ChatRequest, name: str) -> bool:
        """Whether a field of a request's `extra` makes a difference to what is sent."""
        small = msgspec.structs.replace(request, messages=(), tools=request.tools[:1])
        without = {key: value for key, value in request.extra.items() if key != name}
        return self.encode(small) != self.encode(msgspec.structs.replace(small, extra=without))

    def relayed(
        self, raw: bytes, body: Body, abilities: Abilities, *, max_output: int | None = None, stream: bool
    ) -> Relayed:
        """A client's body as upstream takes it: the client's own bytes, unless something must change.

        Args:
            raw: the bytes.
            body: the same, decoded.
            abilities: of the model.
            max_output: the most tokens that the model can give; None: not known.
            stream: upstream is asked for a stream.

        """
        model = abilities.model
        fitted = self.fit(self.own_reasoning(self.sanitize(body)), raw, abilities)
        sent = fitted.body
        dropped = [name for name in body if name in self.unsupported]
        if dropped:
            sent = {name: value for name, value in sent.items() if name not in self.unsupported}
        changed = {**self._limits(sent, model, max_output), **self._streaming(sent, stream=stream)}
        if body.get("model") != model:
            changed["model"] = model
        if sent is body:
            if not changed:
                return Relayed(raw, fitted.dropped, fitted.changed)
            if changed.keys().isdisjoint(body):
                return Relayed(_with_more(raw, changed), fitted.dropped, fitted.changed)
        sent = {name: value for name, value in {**sent, **changed}.items() if value is not _GONE}
        lost = (name for name in dropped if not facts.asks_nothing(name, body[name]))
        return Relayed(msgspec.json.encode(sent), (*lost, *fitted.dropped), fitted.changed)

    def _limits(self, body: Body, model: str, most: int | None) -> Body:
        """What changes of the fields that limit the output: no more than the model has, in a field that the model takes."""
        limits = {name: body[name] for name in self.limit_fields if facts.positive(body.get(name)) is not None}
        changed: Body = {name: most for name, limit in limits.items() if most and limit > most}
        usual, wanted = self.limit_fields[0], self.limit_field(model)
        if wanted != usual and usual in body:
            changed = {
                wanted: changed.get(usual, body[usual]),
                **({wanted: body[wanted]} if wanted in body else {}),
                **changed,
                usual: _GONE,
            }
        return changed

    def _streaming(self, body: Body, *, stream: bool) -> Body:
        changed: Body = {"stream": stream} if stream != bool(body.get("stream")) else {}
        for name, members in self.stream_fields.items():
            given = body.get(name)
            if name not in body or (given is None and stream):
                continue  # what upstream does by itself is right
            given = given if isinstance(given, dict) else {}
            if not stream:
                changed[name] = _GONE
            elif any(given.get(key) != value for key, value in members.items()):
                changed[name] = {**given, **members}
        return changed

    def whole(self, data: bytes, envelope: Envelope) -> tuple[bytes, Usage | None]:
        """A whole body of upstream's as the client may have it, and what it tells of usage.

        Raises:
            UpstreamError: it is not complete, or none of this dialect's, or an error.
        """
        usage = self.check_whole(data)
        if self.is_foreign(data):
            data = self.encode_whole(fold(self._events(data)), envelope)
        return self.restored(data), usage

    def framed(self, data: bytes, envelope: Envelope) -> tuple[bytes, Usage | None]:
        """A whole body that came where a stream was asked for, as the events of a stream. Raises as `whole` does."""
        usage = self.check_whole(data)
        encoder = self.encoder(envelope)
        said = [encoder.start(), *(encoder.encode(event) for event in self._events(data))]
        return b"".join((*said, encoder.end())), usage

    def _events(self, data: bytes) -> list[ModelEvent]:
        try:
            return self.read_whole(msgspec.json.decode(data))
        except ChunkError as e:
            raise UpstreamError(502, str(e), code=e.code) from e


_GONE = object()


def _with_more(raw: bytes, members: Body) -> bytes:
    """A body's bytes with members that it does not have, behind its own: nothing of it is written anew."""
    return b"%b,%b" % (raw[: raw.rindex(b"}")], msgspec.json.encode(members)[1:])
