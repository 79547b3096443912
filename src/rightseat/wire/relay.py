"""A stream that passes from upstream to the client: cut at event borders, and watched. Pure; it does not know HTTP.

What goes out is always whole events, so that whatever else is written goes between events. Nearly every chunk of upstream's ends at a
border and passes as it came: one look at its end, one search for what a dialect must mend, no copy, nothing decoded. What was told of usage
and of the end is read from the last events on demand.
"""

from __future__ import annotations

import math
from collections import deque

import msgspec

from rightseat.chat import Usage
from rightseat.errors import ProtocolError
from rightseat.json_types import Json
from rightseat.wire.sse import MAX_EVENT_BYTES, SseDecoder

_ENDS = (b"\n\n", b"\n\r\n")
_decode = msgspec.json.Decoder().decode

RECENT = 8  # pieces that are kept for the question how the answer ended
RECENT_BYTES = 1024  # of each, unless its last event is larger
_LARGE = 4 * 1024  # bytes: of pieces that are larger only the last is kept

_ROUNDING = 1e-6

# In every error event, and not in what a model says: there the quotes are escaped.
_ERROR = b'"error"'

# What is no text of the model inside a delta.
_FORM = frozenset({"role", "type", "id", "name"})


class EventRelay:
    """One stream. A subclass says how its dialect ends (`_judge`), and what it mends (`_rewritten`, asked for chunks that hold `_marker`).

    Args:
        max_event_bytes: the most that is held while an event comes.

    Attributes:
        failure: why it gave up, or None.
        told: upstream's own error has passed: nothing that comes after it is of use, and nothing more is to be said.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.failure: ProtocolError | None = None
        self._max = max_event_bytes
        self._held = bytearray()  # an event that is not whole yet
        self._marker: bytes | None = None
        self._recent: deque[bytes] = deque(maxlen=RECENT)
        self._end: Ending | None = None  # as judged, until the next chunk
        self.told = False
        self._size = Size()

    def feed(self, chunk: bytes) -> bytes:
        """The next bytes; the whole events in them.

        Raises:
            ProtocolError: an event is larger than the limit. The events before it were given.
        """
        if self._held or self.failure is not None or not chunk.endswith(_ENDS):
            chunk = self._cut(chunk)
            if not chunk:
                return chunk
        self._end = None
        self._size.add(chunk)
        if _ERROR in chunk and not self.told:
            self.told = self._judge(events_in(chunk)).failed
        if self._marker is not None and self._marker in chunk:
            chunk = self._rewritten(chunk)
        if len(chunk) <= RECENT_BYTES:
            self._recent.append(chunk)
        else:
            self._keep(_last_events(chunk))
        return chunk

    def eof(self) -> bytes:
        """The stream has ended: an event of which only the blank line is missing. Raises as `feed` does."""
        if self.failure is not None:
            raise self.failure
        rest = bytes(self._held)
        self._held.clear()
        return self.feed(rest.rstrip(b"\r\n") + b"\n\n") if _is_whole(rest) else b""

    @property
    def complete(self) -> bool:
        """The answer has ended as the dialect ends answers, by an error of upstream's too."""
        return self._judged().complete

    @property
    def failed(self) -> bool:
        """Upstream's own error has passed."""
        return self._judged().failed

    @property
    def usage(self) -> Usage | None:
        """Tokens, as far as they were told."""
        return self._judged().usage

    @property
    def is_final(self) -> bool:
        """`usage` came with the end of the answer."""
        return self._judged().is_final

    @property
    def received(self) -> int:
        """Tokens of the answer so far, reckoned from its bytes: for answers that break off before they tell. See Size."""
        return self._size.tokens

    @property
    def least(self) -> int:
        """Tokens that it surely had so far."""
        return self._size.events

    def _keep(self, events: bytes) -> None:
        """The last events of a large piece. An end may be large, as in responses; what is large before it is no end."""
        if len(events) > _LARGE:
            self._recent = deque((one for one in self._recent if len(one) <= _LARGE), RECENT)
        self._recent.append(events)

    def _judged(self) -> Ending:
        if self._end is None:
            self._end = self._judge(events_in(b"".join(self._recent)))
            if self.told:
                self._end = msgspec.structs.replace(self._end, complete=True, failed=True)
        return self._end

    def _judge(self, events: list[Json]) -> Ending:
        """How the answer ended, by its last events: what their data decodes to, b"[DONE]" for that."""
        raise NotImplementedError

    def _rewritten(self, chunk: bytes) -> bytes:
        """Whole events that hold `_marker`, as they may pass."""
        return chunk

    def _cut(self, chunk: bytes) -> bytes:
        """The whole events, when there is something left over: before this chunk or at its end."""
        if self.failure is not None:
            raise self.failure
        held = self._held
        start = max(0, len(held) - 3)  # a border may lie across two chunks
        held += chunk
        end = _border(held, start)
        whole = bytes(memoryview(held)[:end])
        del held[:end]
        if len(held) > self._max:
            held.clear()
            self.failure = ProtocolError(
                f"an event of more than {self._max} bytes in the stream; at most that much is taken"
            )
            if not whole:
                raise self.failure
        return whole


class Ending(msgspec.Struct, frozen=True):
    """How an answer ended, as far as it has. See `dialect.StreamRelay`."""

    complete: bool = False
    failed: bool = False
    usage: Usage | None = None
    is_final: bool = False


class Size:
    """How much a model has said, reckoned from the bytes that pass.

    Now and then a chunk is looked into: the first ones, then one in every 64 KiB at most, at a few places. The events found there
    stand for the bytes since the look before: how many there were, and what share of them was text. The answer had as many tokens as
    events that said something (nobody sends less than a token), or one for four bytes of text, whichever is more.

    """

    __slots__ = ("_events", "_last", "_next", "_passed", "_ratio", "_seen", "_text")

    _FIRST = 1024  # bytes of which every chunk is looked into
    _MOST = 64 * 1024  # bytes between two looks
    _PLACES = 8  # in a chunk, while there are few of them,
    _APART = 16 * 1024  # bytes between two of them

    def __init__(self) -> None:
        self._passed = 0
        self._next = 0
        self._seen = 0
        self._last = 0.0  # events a byte, of the last sample
        self._ratio = 0.0  # bytes of text a byte
        self._events = 0.0
        self._text = 0.0

    def add(self, chunk: bytes) -> None:
        """The next whole events."""
        self._passed += len(chunk)
        if self._passed >= self._next:
            self._sample(chunk)

    def _sample(self, chunk: bytes) -> None:
        most = 2 + (self._passed - self._seen) // self._APART if self._passed <= 2 * self._MOST else 2
        places = min(self._PLACES, most, 1 + len(chunk) // 512)
        self._last = self._ratio = 0.0
        for place in range(places):
            event = _event_at(chunk, len(chunk) * (2 * place + 1) // (2 * places))
            if said := [size for value in events_in(event) if (size := text_size(value))]:
                self._last += len(said) / len(event) / places
                self._ratio += sum(said) / len(event) / places
        since, self._seen = self._passed - self._seen, self._passed
        self._events += self._last * since
        self._text += self._ratio * since
        self._next = self._passed + (0 if self._passed < self._FIRST else min(self._MOST, self._passed // 3))

    @property
    def tokens(self) -> int:
        """As reckoned so far."""
        since = self._passed - self._seen
        return math.ceil(max(self._events + self._last * since, (self._text + self._ratio * since) / 4) - _ROUNDING)

    @property
    def events(self) -> int:
        """Those of them that said something, so far."""
        return int(self._events + self._last * (self._passed - self._seen) + _ROUNDING)


def _event_at(chunk: bytes, place: int) -> bytes:
    """The event that a byte of a chunk belongs to."""
    start, end = chunk.rfind(b"\n\n", 0, place), chunk.find(b"\n\n", place)
    return chunk[start + 2 if start >= 0 else 0 : end + 2 if end >= 0 else len(chunk)]


def text_size(value: object) -> int:
    """Bytes of what the model says in an event of any dialect: all text in its deltas."""
    if not isinstance(value, dict):
        return 0
    size = _texts(value["delta"]) if "delta" in value else 0
    choices = value.get("choices")
    if isinstance(choices, list):
        for choice in choices:
            if isinstance(choice, dict):
                size += _texts(choice.get("delta") or choice.get("message"))
    return size


def _texts(value: object) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
    if isinstance(value, dict):
        size = 0
        for name, inner in value.items():
            if name not in _FORM:
                size += _texts(inner)
        return size
    return sum(map(_texts, value)) if isinstance(value, list) else 0


def events_in(data: bytes) -> list[Json]:
    """What the data of each event decodes to; b"[DONE]" for that, and nothing for what is no JSON."""
    found: list[Json] = []
    for event in _data_of_events(data):
        if event.strip() == b"[DONE]":
            found.append(b"[DONE]")
            continue
        try:
            found.append(_decode(event))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return found


def _data_of_events(data: bytes) -> list[bytes]:
    """The data of each event. Nearly all have one line, which begins with it: those are cut out, all else goes through the decoder."""
    lines = data.split(b"\n\n")
    if b"\r" not in data and not lines[-1] and data.count(b"\n") == 2 * len(lines) - 2:
        found = [line[6:] for line in lines if line.startswith(b"data: ")]
        if len(found) == len(lines) - 1:
            return found
    decoder = SseDecoder(max_event_bytes=len(data) + 1)
    return [event.data for event in [*decoder.feed(data), *decoder.feed_eof()]]


def split_events(chunk: bytes) -> list[bytes]:
    """Whole events, one by one, each with its blank line."""
    if b"\r" not in chunk:
        return [event + b"\n\n" for event in chunk.split(b"\n\n")[:-1]]
    events: list[bytes] = []
    lines: list[bytes] = []
    for line in chunk.splitlines(keepends=True):
        lines.append(line)
        if line in (b"\n", b"\r\n", b"\r"):
            events.append(b"".join(lines))
            lines = []
    return [*events, b"".join(lines)] if lines else events


def _is_whole(rest: bytes) -> bool:
    """What a stream ended with is an event to which nothing is missing but its blank line: objects and [DONE] show their end."""
    last = events_in(rest)[-1:] if rest else []
    return bool(last) and (last == [b"[DONE]"] or isinstance(last[0], dict))


def _border(data: bytearray, start: int) -> int:
    r"""Where the last whole event ends; 0: nowhere. Lines may end in \n, \r\n, or \r."""
    at = data.rfind(b"\n\n", start)
    end = at + 2 if at >= 0 else 0
    at = data.rfind(b"\n\r\n", max(start, end - 1))
    if at >= 0:
        return at + 3
    if not end and (at := data.rfind(b"\r\r", start)) >= 0:
        return at + 2
    return end


def _last_events(chunk: bytes) -> bytes:
    """The last events of a large chunk: as many as fit, at least one."""
    at = chunk.find(b"\n\n", len(chunk) - RECENT_BYTES)
    if at < 0 or at >= len(chunk) - 2:  # none but the last one ends there
        at = chunk.rfind(b"\n\n", 0, len(chunk) - 2)
    return chunk[at + 2 :] if at >= 0 else chunk
