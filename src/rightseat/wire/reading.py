"""What readers and folds of every dialect share: events out of bytes, within limits. It does not know what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from rightseat.chat import ModelEvent, Usage
from rightseat.errors import UpstreamError
from rightseat.json_types import Json
from rightseat.wire.relay import Size
from rightseat.wire.sse import MAX_EVENT_BYTES, SseDecoder

# The most that is held of one answer: all of it by a fold, tool calls that are still coming by a reader.
MAX_FOLD_BYTES = 64 * 1024 * 1024

T = TypeVar("T")
_decode = msgspec.json.Decoder().decode


class ChunkError(Exception):
    """An answer that cannot be read on: an error came inside it, or it is larger than a limit allows."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class StreamReader:
    """A streamed answer, event by event: the part that is the same for all readers and folds.

    A subclass takes the data of each event in `_take`, puts what was said into `_said`, and counts in `_hold` what it keeps.

    Args:
        max_event_bytes: the largest event taken.
        max_held_bytes: the most that is held.

    Attributes:
        complete: the answer has ended as the dialect ends answers.
        failure: what the next call raises: what came before it in the same bytes is given first.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES, max_held_bytes: int = MAX_FOLD_BYTES) -> None:
        self.complete = False
        self.failure: ChunkError | None = None
        self._decoder = SseDecoder(max_event_bytes)
        self._limit = max_held_bytes
        self._held = 0
        self._said: list[ModelEvent] = []
        self._given_so_far = 0  # events
        self._told_after = -1  # of them, when usage was told last
        self._size = Size()

    @property
    def usage(self) -> Usage | None:
        """Tokens, as far as they were told."""
        return None

    @property
    def is_final(self) -> bool:
        """`usage` was told after everything that was said."""
        return self._told_after == self._given_so_far

    @property
    def received(self) -> int:
        """Tokens of the answer so far, reckoned from its bytes, for folds; see Size."""
        return self._size.tokens

    @property
    def least(self) -> int:
        """Tokens that it surely had so far, for folds."""
        return self._size.events

    def _told(self) -> None:
        """Usage was told in this moment."""
        self._told_after = self._given_so_far + len(self._said)

    def _heard(self, text: str) -> None:
        """For folds: the model said something."""
        self._given_so_far += bool(text)

    def _reckon(self, data: bytes) -> None:
        """For folds: the data of the next event."""
        self._size.add(b"data: %b\n\n" % data)

    def feed(self, data: bytes) -> list[ModelEvent]:
        """The next bytes; what is said in them.

        Raises:
            ChunkError: the stream holds an error, or something that is larger than a limit.
        """
        if self.failure is None:
            try:
                for event in self._decoder.feed(data):
                    self._take(event.data)
            except ChunkError as e:
                self.failure = e
        return self._given()

    def feed_eof(self) -> list[ModelEvent]:
        """The stream has ended: what is left, usage and the finish. Raises as `feed` does."""
        if self.failure is None:
            for event in self._decoder.feed_eof():  # servers forget its blank line
                if is_whole(event.data):
                    self._take(event.data)
        said = self._given()
        if self.failure is not None:
            raise self.failure
        return [*said, *self._ending()]

    def _given(self) -> list[ModelEvent]:
        if self._decoder.failure is not None and self.failure is None:
            self.failure = ChunkError(str(self._decoder.failure), "event_too_large")
        if self.failure is not None and not self._said:
            raise self.failure
        said, self._said = self._said, []
        self._given_so_far += len(said)
        return said

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > self._limit:
            raise ChunkError(
                f"the answer is larger than {self._limit} bytes, at most that much is held", "answer_too_large"
            )

    def _take(self, data: bytes) -> None:
        """The data of the next event. Raises ChunkError."""
        raise NotImplementedError

    def _ending(self) -> list[ModelEvent]:
        """What is to be said at the end."""
        return []


class Text:
    """A text that comes in pieces, however small: put together at the end, in linear time and little more memory than its own."""

    __slots__ = ("_parts", "_recent")

    _MANY = 512

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._recent: list[str] = []

    def add(self, piece: str) -> None:
        """The next piece."""
        self._recent.append(piece)
        if len(self._recent) >= self._MANY:  # an object for each piece costs more than the piece
            self._parts.append("".join(self._recent))
            self._recent.clear()

    def __str__(self) -> str:
        return "".join((*self._parts, *self._recent))


def size_of(text: str) -> int:
    """The bytes of a text."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def decoded(data: bytes) -> Json:
    """The data of an event. Raises ChunkError: it is not JSON."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ChunkError("Copilot sent an event that is not JSON") from None


def is_whole(data: bytes) -> bool:
    """Whether nothing is missing of the data of an event: objects and [DONE] show their end."""
    try:
        return data.strip() == b"[DONE]" or isinstance(_decode(data), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def error_in(body: object) -> ChunkError:
    """An error body, or an error event, as an exception."""
    outer = body if isinstance(body, dict) else {}
    error = outer.get("error")
    if isinstance(error, str) and error:
        return ChunkError(error)
    fields = error if isinstance(error, dict) else outer
    code = fields.get("code") or fields.get("type")
    return ChunkError(
        str(fields.get("message") or "error in the stream"), str(code) if isinstance(code, (str, int)) else None
    )


def checked(data: bytes, decode: Callable[[bytes], T], kind: str) -> T:
    """A whole body, decoded as far as it must be to see that it is one.

    Raises:
        UpstreamError: it is not complete, not JSON, or of another kind; or an error.
    """
    try:
        return decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        try:
            body = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UpstreamError(502, f"Copilot sent {kind} that is cut off or not JSON", code="invalid_answer") from e
        if isinstance(body, dict) and body.get("error"):
            error = error_in(body)
            raise UpstreamError(502, str(error), code=error.code) from e
        raise UpstreamError(502, f"Copilot sent something else than {kind}", code="invalid_answer") from e
