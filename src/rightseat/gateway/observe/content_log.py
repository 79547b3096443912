"""Prompts and answers in the log, where the owner has asked for it: redacted, and bounded in bytes."""

from __future__ import annotations

import json
import logging
from typing import Any

from rightseat.backends import reading
from rightseat.chat import ReasoningDelta, TextDelta, ToolCallEvent
from rightseat.errors import RightseatError
from rightseat.gateway.observe.logging import CONTENT_LOGGER
from rightseat.json_types import JsonObject
from rightseat.security.redaction import redact
from rightseat.wire.dialect import Body, Dialect
from rightseat.wire.reading import ChunkError

MOST = 64 * 1024  # characters of a request, and of an answer, that are logged
_ANSWER_BYTES = 1024 * 1024  # of an answer that are kept until its end
_FIELDS = ("system", "instructions", "messages", "input")

_logger = logging.getLogger(CONTENT_LOGGER)


class ContentLog:
    """Logs one request and its answer.

    Args:
        dialect: of both.
        body: the request.
        request_id: its id.
        stream: the answer is a stream.
    """

    def __init__(self, dialect: Dialect, body: Body, request_id: str, *, stream: bool) -> None:
        self._dialect = dialect
        self._stream = stream
        self._request_id = request_id
        self._pieces: list[bytes] = []
        self._size = 0
        self._log("asked", {name: body[name] for name in _FIELDS if name in body})

    def hear(self, piece: bytes) -> None:
        """A piece of the answer, as the client gets it."""
        if self._size < _ANSWER_BYTES:
            self._pieces.append(piece[: _ANSWER_BYTES - self._size])
            self._size += len(self._pieces[-1])

    def end(self) -> None:
        """The answer is over."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        if not data:
            return
        try:
            events = self._read(data)
        except (RightseatError, ChunkError, RecursionError):
            self._log("answered", "(cannot be read)")
            return
        calls = [{"name": e.call.name, "arguments": e.call.arguments} for e in events if isinstance(e, ToolCallEvent)]
        thought = "".join(e.text for e in events if isinstance(e, ReasoningDelta))
        said: JsonObject = {"text": "".join(e.text for e in events if isinstance(e, TextDelta))}
        if thought:
            said["reasoning"] = thought
        if calls:
            said["calls"] = calls
        self._log("answered", said)

    def _read(self, data: bytes) -> list[Any]:
        if not self._stream:
            return list(reading.whole(self._dialect, data))
        reader = self._dialect.reader()
        return [*reader.feed(data), *reader.feed_eof()]

    def _log(self, what: str, value: object) -> None:
        if _logger.isEnabledFor(logging.INFO):
            # Redacted with what follows the cut, so that no half of a secret stays before it.
            text = redact(_beginning(value, 2 * MOST))
            _logger.info("%s %s: %s", self._request_id, what, text[:MOST])


def _beginning(value: object, most: int) -> str:
    """The first characters of a value as JSON; the work is bounded by them, and not by the value."""
    if isinstance(value, str):
        return value[:most]
    try:
        return json.dumps(_trimmed(value, [most]), ensure_ascii=False)[:most]
    except RecursionError:
        return "(too deep)"


def _trimmed(value: object, left: list[int]) -> Any:
    """The value without what comes after so many characters."""
    left[0] -= 2
    if isinstance(value, str):
        piece = value[: max(0, left[0])]
        left[0] -= len(piece)
        return piece
    if isinstance(value, dict):
        return {_trimmed(key, left): _trimmed(each, left) for key, each in value.items() if left[0] > 0}
    if isinstance(value, list):
        return [_trimmed(each, left) for each in value if left[0] > 0]
    return value
