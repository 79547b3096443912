"""A request as its bytes come: llhttp fed one message at a time. Does not know what is asked, and writes nothing.

What is fed ends where a message may end: behind the blank line of a head, behind the bytes of a counted body, behind the trailers of chunks,
which are walked along their sizes: what they hold is not looked at. Llhttp judges them all the same, and has to agree about their end. So the
parser is never in two messages at once, what follows a message is never looked at before that message is answered, and
nothing has to be undone. A head is fed as it comes while it is short, then a KiB at a time: a tokenizer that joins a long value from many
pieces takes quadratic time.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import httptools

from rightseat.gateway.http.core.head import CHUNKED, RefusedError, RequestHead, judge

_BLANK = b"\r\n\r\n"
_LINE_ENDS = 2  # before a request, that are skipped (RFC 9112, section 2.2 asks for one at least)
_SHOWN = 2048  # bytes of a head that is not taken: enough for what it asked
_AT_ONCE = 4096  # bytes of a head that are fed as they come,
_STEP = 1024  # and how many at a time after that
_FRAMES = 16 * 1024  # bytes of a chunked body that are none of its content: extensions, trailers; hyper: the same
_CHUNK_FRAME = 8  # and so many a chunk: a size, two line ends
_CONTENT_SHARE = 1024  # and one for so many of content
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}")  # that is told of a head that is not taken


class Incoming:
    """One request after another, as bytes come.

    Args:
        limit: bytes of a head.

    Attributes:
        head: judged; None: it is not whole yet.
        raw: its bytes, for a handshake.
        is_whole: the request is there, with its body.
        upgrades: llhttp took it for a request to change the protocol.
        on_body: called with some of the body, once for what is fed at once.
    """

    __slots__ = (
        "_chunk_left", "_chunks", "_content", "_fed", "_frames", "_held", "_in_trailers", "_left", "_line", "_line_ends", "_open_chunks", "_parser", "_pieces", "head",
        "is_whole", "limit", "on_body", "raw", "upgrades",
    )  # fmt: skip

    def __init__(self, limit: int, on_body: Callable[[bytes], None]) -> None:
        self.limit = limit
        self._parser = httptools.HttpRequestParser(_Callbacks(self))
        self.on_body = on_body
        self.next()

    def next(self) -> None:
        """Another request follows."""
        self.head: RequestHead | None = None
        self.raw = b""
        self.is_whole = self.upgrades = False
        self._held = b""  # of the head
        self._fed = self._line_ends = 0
        self._left = self._content = self._chunks = self._open_chunks = self._frames = 0
        self._chunk_left, self._in_trailers = 0, False  # the line end of a chunk counts with its content
        self._line = b""  # of the framing of chunks, as far as it is there
        self._pieces: list[bytes] = []

    @property
    def has_begun(self) -> bool:
        """Some of a head is there; line ends before it count for nothing."""
        return self.head is not None or (bool(self._held) and self._held != b"\r")

    @property
    def asked(self) -> tuple[str, str]:
        """The method and the path of a head that is not judged, as far as they can be read."""
        words = (self.raw or self._held)[:_SHOWN].partition(b"\r\n")[0].decode("latin-1").split(" ")
        if len(words) < 2:
            return "GET", "/"
        return words[0] if _METHOD.fullmatch(words[0]) else "GET", words[1].partition("?")[0]

    @property
    def has_content(self) -> bool:
        """Some of the body is there."""
        return bool(self._content)

    # A head.

    def feed_head(self, data: bytes) -> bytes:
        """Some of a head, or all of it and more.

        Returns:
            What stands behind the head, if it is whole: `head` is there then.

        Raises:
            RefusedError: it is not taken.
        """
        if not self._fed:
            data = self._begun(self._held + data)
            self._held = b""
            if data == b"\r":  # the rest of a line end may come
                self._held = data
                return b""
        held = self._held + data if self._held else data
        end = held.find(_BLANK, max(0, len(self._held) - 3))
        if (end if end >= 0 else len(held)) + 4 > self.limit:
            self._held = held[:_SHOWN]
            raise RefusedError(431, "head_too_large")
        if end < 0:
            self._held = held
            if held and (len(held) <= _AT_ONCE or len(held) - self._fed >= _STEP):
                self._feed(held[self._fed :])
                self._fed = len(held)
            return b""
        self.raw = held[: end + 4]
        self._feed(held[self._fed : end + 4])
        self._held = b""
        self.head = self._judged()
        return held[end + 4 :]

    def _begun(self, data: bytes) -> bytes:
        """The first bytes of a head, without line ends before them."""
        while data.startswith(b"\r\n") and self._line_ends < _LINE_ENDS:
            data = data[2:]
            self._line_ends += 1
        if data[:1] in (b"\r", b"\n") and (data != b"\r" or self._line_ends == _LINE_ENDS):
            raise RefusedError(400, "line_ends")
        return data

    def _judged(self) -> RequestHead:
        head = judge(self.raw)
        if self.upgrades:
            self.is_whole = not head.length
            self._again(head)
        elif self.is_whole != (head.length == 0):
            raise RefusedError(400, "framing")
        self._left = head.length
        return head

    def _again(self, head: RequestHead) -> None:
        """Llhttp skips the body of a request that would change the protocol; one that does not is a request like any other."""
        self._parser = httptools.HttpRequestParser(_Callbacks(self))
        if not head.length:
            return
        coding = b"transfer-encoding: chunked" if head.length == CHUNKED else b"content-length: %d" % head.length
        self._feed(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % coding)

    def _feed(self, data: bytes | memoryview) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.upgrades = True
        except httptools.HttpParserError:
            raise RefusedError(400, "grammar") from None

    # A body.

    def feed_body(self, data: memoryview) -> bytes:
        """Some of a body, or all of it and more. The rest is returned, as `feed_head` does. Raises RefusedError: its chunks are none."""
        if self._left == CHUNKED:
            return self._feed_chunks(bytes(data))
        part = data[: self._left]
        self._feed_content(part)
        self._left -= len(part)
        if bool(self._left) == self.is_whole:
            raise RefusedError(400, "framing")
        return bytes(data[len(part) :])

    def _feed_chunks(self, data: bytes) -> bytes:
        end, is_end = self._walk(data)
        before = self._content
        self._feed_content(data[:end])
        if self.is_whole != is_end:
            raise RefusedError(400, "framing")
        self._frames += end - (self._content - before)
        if self._frames > _FRAMES + _CHUNK_FRAME * self._chunks + self._content // _CONTENT_SHARE:
            raise RefusedError(431 if self._open_chunks else 400, "frames_of_chunks")
        return data[end:]

    def _feed_content(self, data: bytes | memoryview) -> None:
        self._feed(data)
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            self.on_body(b"".join(pieces))

    def _walk(self, data: bytes) -> tuple[int, bool]:
        """How much of it belongs to the message, and whether that ends there. Raises RefusedError: a size is none."""
        at = 0
        while True:
            at += self._chunk_left
            if at >= len(data):
                self._chunk_left = at - len(data)
                return len(data), False
            end = data.find(b"\n", at) + 1
            self._chunk_left = 0
            if not end:
                self._line += data[at:]
                return len(data), False
            line, self._line, at = self._line + data[at:end], b"", end
            if not self._in_trailers:
                self._begin_chunk(line)
            elif line == b"\r\n":
                return at, True

    def _begin_chunk(self, line: bytes) -> None:
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            raise RefusedError(400, "grammar") from None
        if size > 0:
            self._chunk_left = size + 2
        else:
            self._in_trailers = True


class _Callbacks:
    """What llhttp calls. Nothing begins here: facts are noted, and looked at when it has returned."""

    __slots__ = ("_incoming",)

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming

    def on_body(self, data: bytes) -> None:
        incoming = self._incoming
        incoming._content += len(data)
        incoming._pieces.append(data)

    def on_chunk_header(self) -> None:
        self._incoming._chunks += 1
        self._incoming._open_chunks = 1

    def on_chunk_complete(self) -> None:
        self._incoming._open_chunks = 0

    def on_message_complete(self) -> None:
        self._incoming.is_whole = True
