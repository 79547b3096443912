"""Server-sent events (WHATWG HTML, "Server-sent events"): bytes to events and back.

This module does not know what the data means. Like the frame decoder, it never raises on what it is fed: an event larger than
the limit ends it, and why is kept in `failure`. Every byte is looked at a fixed number of times, however the bytes are cut.
"""

from __future__ import annotations

from msgspec import Struct

from rightseat.errors import ProtocolError

# The largest event taken, and the longest line: an image or a whole file may travel in one `data:` line.
MAX_EVENT_BYTES = 20 * 1024 * 1024

DONE = b"data: [DONE]\n\n"


class SseEvent(Struct, frozen=True, gc=False):
    """One event. `data` is its data lines joined by line feeds; `event` is "" when the server named none."""

    data: bytes
    event: bytes = b""
    id: bytes = b""


class SseDecoder:
    r"""Cut a byte stream into events. Lines may end in \n, \r\n or \r; comments and unknown fields are read over.

    Args:
        max_event_bytes: the most bytes of a line, and of all the data lines of one event.

    Attributes:
        failure: why this decoder gave up, or None.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.failure: ProtocolError | None = None
        self._max = max_event_bytes
        self._rest = bytearray()  # the line that is not whole yet
        self._after_cr = False
        self._begun = False
        self._data: bytes | None = None  # the first data line of the event
        self._more = bytearray()  # and all lines, where there are several
        self._event = b""
        self._id = b""

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Take the next bytes; return the events that are now whole. Empty after a failure."""
        if self.failure is not None or not chunk:
            return []
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
            if not chunk:
                return []
        self._after_cr = chunk.endswith(b"\r")
        if b"\n" not in chunk and b"\r" not in chunk:
            self._keep(chunk)
            return []
        whole = bytes(self._rest) + chunk if self._rest else chunk
        self._rest.clear()
        if b"\r" in whole:
            whole = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = whole.split(b"\n")
        rest = lines.pop()
        found: list[SseEvent] = []
        small = len(whole) <= self._max
        for line in lines:
            if not small and len(line) > self._max:
                self._fail(len(line))
            if self.failure is not None:
                return found
            if line.startswith(b"data: "):  # nearly always
                self._add(line[6:])
            else:
                self._line(line, found)
        self._keep(rest)
        return found

    def feed_eof(self) -> list[SseEvent]:
        """The stream has ended. An event without its blank line is still returned: servers forget it."""
        if self.failure is not None:
            return []
        found: list[SseEvent] = []
        if self._rest:
            line = bytes(self._rest)
            self._rest.clear()
            self._line(line, found)
        if self.failure is None:
            self._line(b"", found)
        return found

    def _keep(self, rest: bytes) -> None:
        self._rest += rest
        if len(self._rest) > self._max:
            self._fail(len(self._rest))

    def _line(self, line: bytes, found: list[SseEvent]) -> None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            self._give(found)
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._add(value)
        elif name == b"event":
            self._event = value
        elif name == b"id" and b"\0" not in value:
            self._id = value

    def _add(self, value: bytes) -> None:
        if self._data is None:
            self._data = value
            return
        if not self._more:
            self._more += self._data
        self._more += b"\n"
        self._more += value
        if len(self._more) > self._max:
            self._fail(len(self._more))

    def _give(self, found: list[SseEvent]) -> None:
        if self._data is not None:
            found.append(SseEvent(bytes(self._more) if self._more else self._data, self._event, self._id))
            self._data = None
            self._more.clear()
        self._event = b""

    def _fail(self, size: int) -> None:
        self._rest.clear()
        self._more.clear()
        self._data = None
        self.failure = ProtocolError(
            f"an event of {size} bytes or more in the event stream; at most {self._max} are taken"
        )


def encode_sse(data: bytes, event: bytes = b"") -> bytes:
    """One event. `data` must not hold a line break; JSON never does."""
    head = b"event: " + event + b"\n" if event else b""
    return head + b"data: " + data + b"\n\n"
