r"""Content-Length frames, as in the Language Server Protocol (3.17, "Base Protocol"): bytes in, bodies out.

    Content-Length: 42\r\n
    Any-Other-Header: ignored\r\n
    \r\n
    <42 bytes>

This module does not know what a body holds, where bytes come from, and who waits for them.

A decoder never raises: a violation ends it and is kept in `failure`, after every frame that came before it has been
handed out. The peer's stream cannot be trusted past that point, because the place where the next frame starts is lost.
"""

from __future__ import annotations

from rightseat.errors import ProtocolError
from rightseat.masking import mask

# The largest body taken. The CLI's largest frames are some tens of KiB, but tool results and context echoes grow with
# what users put in. Past this, a length is more likely garbage than data.
MAX_FRAME_BYTES = 64 * 1024 * 1024
# The largest header block taken. Two short lines are usual; a stream without any blank line is not a protocol.
MAX_HEADER_BYTES = 8 * 1024

_USUAL = b"Content-Length: "
_END = b"\r\n\r\n"
_SHOWN = 60  # how much of an offending piece an error quotes


class FrameDecoder:
    """Cut a byte stream into frame bodies.

    Args:
        max_frame_bytes: the largest body accepted, in bytes.

    Attributes:
        failure: the violation that ended this decoder, or None.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self.failure: ProtocolError | None = None
        self._max = max_frame_bytes
        self._parts: list[bytes] = []  # what has come and is not handed out yet
        self._have = 0  # bytes in _parts
        self._need = 1  # bytes that must be there before looking again is worth it
        self._frames = 0  # frames handed out, for error texts

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream; return the bodies that are now whole, in order. Empty after a failure."""
        if self.failure is not None:
            return []
        self._parts.append(data)
        self._have += len(data)
        if self._have < self._need:
            return []
        buffer = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        bodies, position, end = [], 0, len(buffer)
        self._need = 1
        while position < end:
            head_end = buffer.find(_END, position)
            if head_end < 0:
                if end - position > MAX_HEADER_BYTES:
                    self._fail(f"no end of the header within {MAX_HEADER_BYTES} bytes", buffer[position:])
                self._need = end - position + 1
                break
            length = self._length(buffer, position, head_end)
            if length is None:
                break
            start = head_end + 4
            if start + length > end:
                self._need = start + length - position
                break
            position = start + length
            bodies.append(buffer[start:position])
            self._frames += 1
        rest = buffer[position:] if position else buffer
        self._parts, self._have = ([rest], len(rest)) if rest and self.failure is None else ([], 0)
        return bodies

    def feed_eof(self) -> None:
        """The stream has ended. A frame cut in the middle is a failure; an end between frames is not."""
        if self.failure is None and self._have:
            self._fail(f"the stream ended inside a frame, {self._have} bytes after its start", b"".join(self._parts))

    def _length(self, buffer: bytes, start: int, end: int) -> int | None:
        """The Content-Length of the header block buffer[start:end]; None when that was a failure."""
        if buffer.startswith(_USUAL, start) and (digits := buffer[start + 16 : end]).isdigit() and len(digits) < 12:
            length = int(digits)  # the one header line that everybody sends
        else:
            found = self._parse_header(buffer[start:end])
            if found is None:
                return None
            length = found
        if length > self._max:
            self._fail(
                f"a frame of {length} bytes is larger than max_frame_bytes={self._max}; raise that limit if it is wanted",
                buffer[start:end],
            )
            return None
        return length

    def _parse_header(self, block: bytes) -> int | None:
        lengths = set()
        for line in block.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            digits = value.strip()
            if not colon:
                self._fail("a header line has no colon (is something else writing to this stream?)", line)
                return None
            if name.strip().lower() != b"content-length":
                continue
            if not digits.isdigit() or len(digits) > 11:
                self._fail("Content-Length is not a whole number of bytes", line)
                return None
            lengths.add(int(digits))
        if len(lengths) != 1:
            why = "two Content-Length headers disagree" if lengths else "the header has no Content-Length"
            self._fail(why, block)
            return None
        return lengths.pop()

    def _fail(self, why: str, piece: bytes) -> None:
        quoted = mask(repr(piece[:_SHOWN])[1:]) + ("..." if len(piece) > _SHOWN else "")
        self.failure = ProtocolError(f"after {self._frames} good frames: {why}: {quoted}")


def encode_frame(body: bytes) -> bytes:
    """One body as one frame."""
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
