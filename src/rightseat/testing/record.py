"""Real conversations on file, to be played again in tests: no network, no cost, the same each time.

A recording is a file of JSON lines, one call each: what was asked, and every event of the answer or the error. Secrets are masked
before anything is written. Played back, a call is found by what it asks; one that was never recorded is an error that says so.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from rightseat.chat import (
    ChatRequest,
    Finish,
    Message,
    ModelEvent,
    ReasoningDelta,
    ReasoningOpaque,
    Reply,
    TextDelta,
    ToolCall,
    ToolCallEvent,
    ToolSpec,
    Usage,
)
from rightseat.errors import CallerError, ConfigError, RightseatError, UpstreamError
from rightseat.handler import Handler
from rightseat.json_types import JsonObject
from rightseat.masking import mask

masked = functools.partial(mask, limit=None)
_KINDS: dict[str, type[Any]] = {
    "text": TextDelta,
    "reasoning": ReasoningDelta,
    "opaque": ReasoningOpaque,
    "tool_call": ToolCallEvent,
    "usage": Usage,
    "finish": Finish,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class NotRecordedError(CallerError, LookupError):
    """A call that the recording does not have."""


class RecordedCall(Struct, frozen=True, omit_defaults=True):
    """One line of a recording.

    Attributes:
        key: what was asked, hashed.
        model: of the request.
        prompt: the last thing the user said, for people.
        events: (seconds since the call, kind, event) of each.
        error: {"status", "message", "code", "retry_after"}, if it ended with one.
    """

    key: str
    model: str
    prompt: str
    events: list[tuple[float, str, JsonObject]]
    error: JsonObject | None = None


class Recorder:
    """A layer that records: `stack(..., Recorder(path))(upstream)`.

    Args:
        path: the file; calls are added to it.
        redact: what is done to every text before it is written; masks what looks like a secret.
    """

    def __init__(self, path: Path | str, redact: Callable[[str], str] = masked) -> None:
        self._path = Path(path)
        self._redact = redact

    def __call__(self, inner: Handler) -> Handler:
        """See Layer."""

        async def handler(request: ChatRequest) -> Reply:
            loop = asyncio.get_running_loop()
            begun = loop.time()
            events: list[tuple[float, ModelEvent]] = []
            try:
                reply = await inner(request)
            except UpstreamError as e:
                self._write(request, events, e)
                raise

            async def see(pieces: AsyncIterator[ModelEvent]) -> AsyncIterator[ModelEvent]:
                async for event in pieces:
                    events.append((loop.time() - begun, event))
                    yield event

            reply.through(see)
            reply.on_close(lambda e: self._write(request, events, e))
            return reply

        return handler

    def _write(self, request: ChatRequest, events: list[tuple[float, ModelEvent]], error: BaseException | None) -> None:
        if error is not None and not isinstance(error, RightseatError):
            return  # the caller's own doing
        finished = any(isinstance(event, Finish) for _, event in events)
        if error is None and not finished:
            return  # left in the middle: nothing to play again
        call = RecordedCall(
            key_of(request, self._redact),
            request.model,
            self._redact(request.last_user_text)[:200],
            _joined([(round(at, 4), _NAMES[type(event)], msgspec.to_builtins(event)) for at, event in events]),
            _error(error),
        )
        line = self._redact(msgspec.json.encode(call).decode())
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _joined(events: list[tuple[float, str, JsonObject]]) -> list[tuple[float, str, JsonObject]]:
    """The events as they are; a secret that lies across two pieces of text is masked in the first, so pieces are put together."""
    found: list[tuple[float, str, JsonObject]] = []
    for at, kind, event in events:
        if found and kind in ("text", "reasoning") and found[-1][1] == kind:
            found[-1][2]["text"] += event["text"]
        else:
            found.append((at, kind, dict(event)))
    return found


def _error(error: BaseException | None) -> JsonObject | None:
    if error is None:
        return None
    fields = {name: getattr(error, name, None) for name in ("status", "message", "code", "retry_after")}
    return {"status": 503, **{n: v for n, v in fields.items() if v is not None}, "kind": type(error).__name__}


class Replayer:
    """A handler that plays a recording.

    Args:
        path: the file.
        pieces: text is given in pieces of so many characters.
        speed: how fast: 1 as it was, 2 twice as fast; 0: at once.
        redact: the same as was used when recording.

    Attributes:
        calls: every request.

    Raises:
        ConfigError: the file is not there, or is no recording. Raised at once.
    """

    def __init__(
        self, path: Path | str, *, pieces: int = 12, speed: float = 0.0, redact: Callable[[str], str] = masked
    ) -> None:
        self._path = Path(path)
        self._pieces = max(1, pieces)
        self._speed = speed
        self._redact = redact
        self._calls: dict[str, deque[RecordedCall]] = defaultdict(deque)
        self.calls: list[ChatRequest] = []
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError as e:
            raise ConfigError(f"the recording {self._path} cannot be read: {e.strerror}") from e
        for number, line in enumerate(lines, 1):
            try:
                call = msgspec.json.decode(line, type=RecordedCall)
            except (msgspec.DecodeError, UnicodeDecodeError) as e:
                raise ConfigError(f"{self._path}, line {number}: not a recording: {e}") from e
            self._calls[call.key].append(call)

    async def __call__(self, request: ChatRequest) -> Reply:
        """See Handler. The same call asked several times gets its recorded answers in turn, the last one repeatedly."""
        self.calls.append(request)
        found = self._calls.get(key_of(request, self._redact))
        if not found:
            prompt = self._redact(request.last_user_text)[:80]
            raise NotRecordedError(f"{self._path}: no call to {request.model} with {prompt!r} was recorded")
        call = found.popleft() if len(found) > 1 else found[0]
        if call.error is not None and not call.events:
            raise _raised(call.error)
        return Reply(self._play(call))

    async def _play(self, call: RecordedCall) -> AsyncIterator[ModelEvent]:
        before = 0.0
        for at, kind, value in call.events:
            if self._speed:
                await asyncio.sleep((at - before) / self._speed)
                before = at
            if kind in ("text", "reasoning"):
                text = value["text"]
                for start in range(0, len(text), self._pieces):
                    yield _KINDS[kind](text[start : start + self._pieces])
            else:
                yield msgspec.convert(value, _KINDS[kind])
        if call.error is not None:
            raise _raised(call.error)


def _raised(error: JsonObject) -> UpstreamError:
    return UpstreamError(
        int(error["status"]),
        str(error.get("message", "recorded error")),
        code=error.get("code"),
        retry_after=error.get("retry_after"),
    )


def key_of(request: ChatRequest, redact: Callable[[str], str] = masked) -> str:
    """What makes two calls the same: model, conversation, tools and options; not who asks, nor ids that change each time."""
    ids: dict[str, str] = {}

    def same(name: str | None) -> str | None:
        return None if name is None else ids.setdefault(name, f"call_{len(ids)}")

    messages = [
        Message(
            m.role,
            m.content,
            tuple(ToolCall(same(c.id) or "", c.name, c.arguments, c.kind, c.namespace) for c in m.tool_calls),
            same(m.tool_call_id),
            m.parts,
        )
        for m in request.messages
    ]
    tools: list[ToolSpec] = list(request.tools)
    extra = {n: v for n, v in request.extra.items() if n not in ("stream", "stream_options", "user")}
    text = msgspec.json.encode([request.model, messages, tools, extra], order="sorted", enc_hook=repr).decode()
    return hashlib.sha256(redact(text).encode()).hexdigest()[:24]
