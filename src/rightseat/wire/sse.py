"""Server-sent events (WHATWG HTML, "Server-sent events"): bytes to events and back.

This module refuses to know what the data means. Like the frame decoder, it never raises on what it is fed: a line longer than
the limit ends it and is kept in `failure`.
"""

from __future__ import annotations

from msgspec import Struct

from rightseat.errors import ProtocolError

# The longest line taken: an image or a whole file may travel in one `data:` line.
MAX_LINE_BYTES = 20 * 1024 * 1024

DONE = b"data: [DONE]\n\n"


class SseEvent(Struct, frozen=True, gc=False):
    """One event. `data` is its data lines joined by line feeds; `event` is "" when the server named none."""

    data: bytes
    event: bytes = b""
    id: bytes = b""


class SseDecoder:
    r"""Cut a byte stream into events. Lines may end in \n, \r\n or \r; comments and unknown fields are read over.

    Args:
        max_line_bytes: the longest line accepted.

    Attributes:
        failure: why this decoder gave up, or None.
    """

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self.failure: ProtocolError | None = None
        self._max = max_line_bytes
        self._parts: list[bytes] = []  # the line that is not whole yet
        self._have = 0
        self._after_cr = False
        self._begun = False
        self._data: list[bytes] = []
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
        whole = b"".join(self._parts) + chunk
        if b"\r" in whole:
            whole = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = whole.split(b"\n")
        self._parts, self._have = [], 0
        self._keep(lines.pop())
        found: list[SseEvent] = []
        small = len(whole) <= self._max
        for line in lines:
            if not small and len(line) > self._max:
                self._fail(len(line))
                break
            if line.startswith(b"data: "):  # nearly always
                self._data.append(line[6:])
            else:
                self._line(line, found)
        return found

    def feed_eof(self) -> list[SseEvent]:
        """The stream has ended. An event without its blank line is still returned: servers forget it."""
        if self.failure is not None:
            return []
        found: list[SseEvent] = []
        if self._parts:
            line, self._parts, self._have = b"".join(self._parts), [], 0
            self._line(line, found)
        self._line(b"", found)
        return found

    def _keep(self, rest: bytes) -> None:
        if rest:
            self._parts.append(rest)
            self._have += len(rest)
            if self._have > self._max:
                self._fail(self._have)

    def _line(self, line: bytes, found: list[SseEvent]) -> None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            if self._data:
                data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                found.append(SseEvent(data, self._event, self._id))
                self._data, self._event = [], b""
            elif self._event:
                self._event = b""
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value
        elif name == b"id" and b"\0" not in value:
            self._id = value

    def _fail(self, size: int) -> None:
        self._parts, self._data = [], []
        self.failure = ProtocolError(
            f"a line of {size} bytes or more in the event stream; at most {self._max} are taken"
        )


def encode_sse(data: bytes, event: bytes = b"") -> bytes:
    """One event. `data` must not hold a line break; JSON never does."""
    head = b"event: " + event + b"\n" if event else b""
    return head + b"data: " + data + b"\n\n"
