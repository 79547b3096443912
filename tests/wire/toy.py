"""A fourth dialect, defined here and nowhere else: lines of JSON. What it takes is one value; see test_toy_dialect."""

import msgspec

from rightseat.chat import ChatRequest, Finish, Message, ModelEvent, TextDelta, ToolCallEvent, ToolSpec, Usage
from rightseat.chat.event import ReasoningDelta, ReasoningOpaque
from rightseat.chat.fold import Reasoning
from rightseat.errors import UpstreamError
from rightseat.wire.body import BadRequestError
from rightseat.wire.dialect import Dialect, Endpoint
from rightseat.wire.errors import error_headers, info_of, interrupted
from rightseat.wire.reading import ChunkError

KINDS = {
    "say": TextDelta,
    "think": ReasoningDelta,
    "seal": ReasoningOpaque,
    "call": ToolCallEvent,
    "used": Usage,
    "end": Finish,
}
NAMES = {kind: name for name, kind in KINDS.items()}


def line(value) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def line_of(event: ModelEvent) -> bytes:
    return line({NAMES[type(event)]: msgspec.to_builtins(event)})


def event_of(data: bytes) -> ModelEvent | None:
    try:
        value = msgspec.json.decode(data)
    except msgspec.DecodeError:
        raise ChunkError("not a line of toy") from None
    if "oops" in value:
        raise ChunkError(value["oops"])
    name, fields = next(iter(value.items()))
    return msgspec.convert(fields, KINDS[name]) if name in KINDS else None


class ToyEncoder:
    def __init__(self, envelope) -> None:
        self._model = envelope.model

    def start(self) -> bytes:
        return line({"model": self._model})

    def encode(self, event: ModelEvent) -> bytes:
        return line_of(event)

    def end(self) -> bytes:
        return b""


class ToyReader:
    failure = None

    def __init__(self) -> None:
        self._rest = b""
        self.events: list[ModelEvent] = []
        self.complete = False

    def feed(self, data: bytes) -> list[ModelEvent]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        found = [event for one in lines if (event := event_of(one)) is not None]
        self.complete = self.complete or any(isinstance(event, Finish) for event in found)
        return found

    def feed_eof(self) -> list[ModelEvent]:
        return []


class ToyFold(ToyReader):
    received = 0

    def feed(self, data: bytes) -> None:
        self.events += super().feed(data)

    def completion(self):
        return {"answer": [{NAMES[type(event)]: msgspec.to_builtins(event)} for event in self.events]}


class ToyRelay:
    def __init__(self) -> None:
        self._rest = b""
        self._passed = b""
        self.told = False

    def feed(self, chunk: bytes) -> bytes:
        whole, _, self._rest = (self._rest + chunk).rpartition(b"\n")
        whole += b"\n" if whole else b""
        self._passed += whole
        return whole

    def eof(self) -> bytes:
        return b""

    def _values(self):
        return [msgspec.json.decode(one) for one in self._passed.split(b"\n") if one]

    @property
    def complete(self) -> bool:
        return any("end" in value for value in self._values()) or self.failed

    @property
    def failed(self) -> bool:
        return any("oops" in value for value in self._values())

    @property
    def usage(self) -> Usage | None:
        return next((msgspec.convert(value["used"], Usage) for value in self._values() if "used" in value), None)

    @property
    def is_final(self) -> bool:
        return self.complete and self.usage is not None

    @property
    def received(self) -> int:
        return len(self._passed) // 4


def events_of_block(block) -> list[ModelEvent]:
    if isinstance(block, str):
        return [TextDelta(block)]
    if isinstance(block, Reasoning):
        thought = [ReasoningDelta(block.text)] if block.text else []
        return thought + ([ReasoningOpaque(block.opaque)] if block.opaque else [])
    return [ToolCallEvent(block)]


def encode_whole(done, envelope) -> bytes:
    events = [event for block in done.blocks for event in events_of_block(block)]
    events += [done.usage] if done.usage is not None else []
    lines = [{NAMES[type(event)]: msgspec.to_builtins(event)} for event in [*events, Finish(done.finish_reason)]]
    return msgspec.json.encode({"model": envelope.model, "answer": lines})


def read_whole(body) -> list[ModelEvent]:
    if not isinstance(body, dict) or not isinstance(body.get("answer"), list):
        raise ChunkError("no answer")
    return [event for one in body["answer"] if (event := event_of(msgspec.json.encode(one))) is not None]


def check_whole(data: bytes) -> Usage | None:
    try:
        events = read_whole(msgspec.json.decode(data))
    except (msgspec.DecodeError, ChunkError) as e:
        raise UpstreamError(502, "no answer") from e
    return next((event for event in events if isinstance(event, Usage)), None)


def check(body) -> None:
    if not isinstance(body.get("talk"), list) or not body["talk"]:
        raise BadRequestError.at("talk", "must be a list of messages")


def decode(body) -> ChatRequest:
    check(body)
    extra = {
        ours: body[theirs] for theirs, ours in {"most": "max_tokens", "heat": "temperature"}.items() if theirs in body
    }
    try:
        talk = msgspec.convert(body["talk"], tuple[Message, ...])
        kit = msgspec.convert(body.get("kit", []), tuple[ToolSpec, ...])
    except msgspec.ValidationError as e:
        raise BadRequestError.at("talk", str(e)) from e
    return ChatRequest(str(body.get("model")), talk, kit, bool(body.get("stream")), extra)


def encode(request: ChatRequest) -> bytes:
    body = {"model": request.model, "talk": request.messages, "kit": request.tools, "stream": request.stream}
    names = {"max_tokens": "most", "temperature": "heat"}
    return msgspec.json.encode(body | {names[name]: value for name, value in request.extra.items() if name in names})


TOY = Dialect(
    name="toy",
    path="/toy",
    endpoint=Endpoint("/v1/toy", "Lines of JSON", "toy", {"model": ("string", True), "talk": ("array", True)}),
    check=check,
    sanitize=lambda body: body,
    own_reasoning=lambda body: body,
    without_reasoning=lambda body: body,
    turns=lambda body: body["talk"],
    decode=decode,
    encode=encode,
    limit_fields=("most",),
    limit_field=lambda _: "most",
    parameters=frozenset({"temperature"}),
    significant={"heat": "temperature", "luck": "seed"},
    encoder=ToyEncoder,
    encode_whole=encode_whole,
    reader=ToyReader,
    fold=ToyFold,
    relay=ToyRelay,
    read_whole=read_whole,
    check_whole=check_whole,
    error_body=lambda error, _: line({"oops": info_of(error).message}),
    error_event=lambda error: line({"oops": interrupted(error).message}),
    error_headers=error_headers,
    id_header=b"x-toy-id",
    ping=b"\n",
)
