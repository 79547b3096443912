"""One answer of HTTP/1.1 as bytes come in any split: heads and chunks, on llhttp (httptools) with nothing lenient set. Pure.

llhttp is a tokenizer: limits, and what its callbacks lead to, are here. Its callbacks note, and what follows is decided when it has returned.
A head is given to it up to its blank line and judged before anything behind it is looked at, so what follows a head that is refused is
never parsed. Bodies that are counted, or end with the connection, it does not see at all. Does not know sockets.
"""

from __future__ import annotations

from typing import Any

import httptools

from rightseat.transport.http.heads import HEAD_BYTES, HEAD_FIELDS, AnswerHead, Violation, answer_head

FRAMING_BYTES = 16 * 1024  # of a body: extensions and trailers, beside what a chunk needs; hyper: 16 KiB of each
_CHUNK_FRAME = 24  # bytes that a chunk needs at most: 16 digits, four of line ends, and some zeros
_ERRORS = (httptools.HttpParserError, httptools.HttpParserUpgrade)
_SWITCH = "a switch of protocols that was not asked for"
_BLANK = b"\r\n\r\n"


class AnswerParser:
    """Parses the answer to one request.

    Args:
        method: of the request.

    Attributes:
        answer: its head, once it is there.
        heard: something has come.
        complete: the last chunk has come.
        junk: and something behind it.
        broken: the rule that the chunks break; "": none.
    """

    __slots__ = (
        "_fields", "_framing", "_head_bytes", "_head_there", "_method", "_parser", "_pieces", "_starts", "_tail", "_whole",
        "answer", "broken", "complete", "heard", "junk", "on_body",
    )  # fmt: skip

    def __init__(self, method: str) -> None:
        self._method = method
        self._fields: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self.on_body = (
            self._pieces.append
        )  # some of a body: what the parser calls most often is not even a function of ours
        self._parser: Any = httptools.HttpResponseParser(self)
        self._whole = 0  # pieces that there were at the end of the message
        self._tail = b""  # the last bytes that came, where a border may lie across two reads
        self._head_bytes = 0
        self._framing = 0
        self._starts = 0
        self._head_there = False
        self.answer: AnswerHead | None = None
        self.heard = self.complete = self.junk = False
        self.broken = ""

    def head(self, data: bytes) -> int:
        """Take what belongs to heads, those of 1xx too. Returns how many bytes that were. Raises Violation."""
        self.heard = True
        taken = 0
        while taken < len(data) and self.answer is None:
            end = self._blank_line(data, taken)
            self._head_bytes += end - taken
            if self._head_bytes > HEAD_BYTES:
                raise Violation(f"a head of more than {HEAD_BYTES} bytes")
            try:
                self._parser.feed_data(data[taken:end])
            except httptools.HttpParserUpgrade:
                raise Violation(_SWITCH) from None
            except httptools.HttpParserError as e:
                raise Violation(str(e)) from None
            taken = end
            if self._head_there:
                self._judge()
            elif len(self._fields) > HEAD_FIELDS:
                raise Violation(f"more than {HEAD_FIELDS} fields in the head")
        return taken

    def chunks(self, data: bytes | memoryview) -> bytes:
        """The body in some more bytes, also in those before the place where they break a rule."""
        try:
            self._parser.feed_data(data)
        except _ERRORS as e:
            self.broken = str(e)
        body = b""
        pieces = self._pieces
        if self.complete:
            del pieces[self._whole :]
        if pieces:
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self._framing = max(0, self._framing + len(data) - len(body) - _CHUNK_FRAME * len(pieces))
            pieces.clear()
        else:
            self._framing += len(data)
        if self.complete:
            self.junk = bool(self.broken) or self._starts > 1 or self._is_beyond(data)
            self.broken = ""
        elif self._framing > FRAMING_BYTES and not self.broken:
            self.broken = f"more than {FRAMING_BYTES} bytes beside the body"
        else:
            self._tail = bytes(data[-5:]) if len(data) >= 5 else (self._tail + bytes(data))[-5:]
        return body

    def _blank_line(self, data: bytes, start: int) -> int:
        """Where the head ends; all that there is belongs to it if it does not."""
        tail = self._tail if not start else b""
        joint = tail + data if tail else data
        at = joint.find(_BLANK, start)
        if at < 0:
            self._tail = joint[max(start, len(joint) - 3) :]
            return len(data)
        return at + 4 - len(tail)

    def _judge(self) -> None:
        """A head is there: of the answer, or of one before it, whose bytes count on."""
        self._tail = b""
        parser = self._parser
        head = answer_head(self._method, parser.get_status_code(), parser.get_http_version(), self._fields)
        if head.status == 101:
            raise Violation(_SWITCH)
        self._fields = []
        self.complete = False  # it said so of 1xx, and of answers without a body
        if head.status >= 200:
            self.answer = head
        else:
            self._parser = httptools.HttpResponseParser(self)
            self._head_there, self._starts = False, 0

    def _is_beyond(self, data: bytes | memoryview) -> bool:
        """More line ends came than the last chunk has: the parser skips them."""
        end = (self._tail + bytes(data[-5:]))[-5:]
        return not end.endswith(_BLANK) or end[:1] in {b"\r", b"\n"}

    # What the parser tells. Noted, no more.

    def on_message_begin(self) -> None:
        """A message begins."""
        self._starts += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field, of a head or behind the last chunk."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """A head is complete."""
        self._head_there = True

    def on_message_complete(self) -> None:
        """A message is complete. There may be another one behind it, which nobody asked for."""
        if not self.complete:
            self.complete, self._whole = True, len(self._pieces)
