"""What a server may answer, as bytes, and what a client makes of it: the rows S1 to S31 of the law of answers, as data.

A row holds what it should be. Where the aiohttp twin does something else, that stands in `AIOHTTP` with the reason; ours has no such list.
"""

from __future__ import annotations

from typing import NamedTuple

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
COUNTED = OK + b"Content-Length: 5\r\n\r\nhello"


class Outcome(NamedTuple):
    """What came of an answer.

    Attributes:
        status: of its head; 0: there is none, and opening it was an error.
        body: what was got of it.
        whole: it ended well; else reading it was an error.
        reused: the next request went over the same connection; None: it did, and was answered by what was left there.
    """

    status: int
    body: bytes = b""
    whole: bool = True
    reused: bool | None = False


class Quirk(NamedTuple):
    """What the aiohttp twin makes of a row instead, and why.

    Attributes:
        reason: why.
        outcomes: any of them, since it may depend on how the bytes came; none: it waits until a time limit, and is not asked.
    """

    reason: str
    outcomes: tuple[Outcome, ...] = ()


class Case(NamedTuple):
    """A row.

    Attributes:
        id: unique; begins with the row's number.
        answer: what the server sends.
        right: what comes of it.
        ends: the server closes the connection behind it.
        method: of the request.
        part: how much of the body comes before the error depends on the reads.
    """

    id: str
    answer: bytes
    right: Outcome
    ends: bool = False
    method: str = "GET"
    part: bool = False


def whole(body: bytes = b"hello", status: int = 200, *, reused: bool = True) -> Outcome:
    return Outcome(status, body, whole=True, reused=reused)


def cut(body: bytes = b"", status: int = 200) -> Outcome:
    return Outcome(status, body, whole=False)


REFUSED = Outcome(0, whole=False)


def head(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([line, *fields, b"", b""])


CASES = [
    Case("S1 counted", COUNTED, whole()),
    Case("S1 chunked", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", whole()),
    Case("S1 empty", OK + b"Content-Length: 0\r\n\r\n", whole(b"")),
    Case("S2 no length, a clean end", OK + b"\r\nhello", whole(reused=False), ends=True),
    Case("S3 HEAD, counted", head(b"Content-Length: 5"), whole(b""), method="HEAD"),
    Case("S3 HEAD, chunked", CHUNKED, whole(b""), method="HEAD"),
    Case("S3 HEAD, and a body", COUNTED, whole(b"", reused=False), method="HEAD"),
    Case("S4 204, counted", head(b"Content-Length: 5", line=b"HTTP/1.1 204 No"), whole(b"", 204)),
    Case("S4 304, counted", head(b"Content-Length: 5", line=b"HTTP/1.1 304 No"), whole(b"", 304)),
    Case(
        "S4 304, chunked, and a last chunk",
        head(b"Transfer-Encoding: chunked", line=b"HTTP/1.1 304 No") + b"0\r\n\r\n",
        whole(b"", 304, reused=False),
    ),
    Case("S5 100 before", b"HTTP/1.1 100 Continue\r\n\r\n" + COUNTED, whole()),
    Case("S5 103 before", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + COUNTED, whole()),
    Case("S5 100 with a length", b"HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\n" + COUNTED, whole()),
    Case("S6 1xx without end", b"HTTP/1.1 100 Continue\r\n\r\n" * 4000, REFUSED),
    Case("S7 101 with Upgrade", head(b"Connection: upgrade", b"Upgrade: x", line=b"HTTP/1.1 101 S"), REFUSED),
    Case("S7 101 alone", head(line=b"HTTP/1.1 101 S"), REFUSED),
    Case(
        "S7 200 with Upgrade",
        head(b"Connection: upgrade", b"Upgrade: x", b"Content-Length: 5") + b"hello",
        whole(),
    ),
    Case("S8 less than its length", OK + b"Content-Length: 5\r\n\r\nhel", cut(b"hel"), ends=True),
    Case("S9 ends between chunks", CHUNKED + b"5\r\nhello\r\n", cut(b"hello"), ends=True),
    Case("S9 ends within a chunk", CHUNKED + b"5\r\nhel", cut(b"hel"), ends=True),
    Case("S9 ends within the last chunk", CHUNKED + b"5\r\nhello\r\n0\r\n", cut(b"hello"), ends=True),
    Case("S10 a length and chunks", head(b"Content-Length: 5", b"Transfer-Encoding: chunked"), REFUSED),
    Case("S10 chunks and a length", head(b"Transfer-Encoding: chunked", b"Content-Length: 5"), REFUSED),
    Case("S10 5, 5", head(b"Content-Length: 5, 5") + b"hello", REFUSED),
    Case("S10 two lengths alike", head(b"Content-Length: 5", b"Content-Length: 5") + b"hello", REFUSED),
    Case("S10 two lengths unlike", head(b"Content-Length: 5", b"Content-Length: 6") + b"hello", REFUSED),
    Case("S10 a length of -1", head(b"Content-Length: -1") + b"hello", REFUSED),
    Case("S10 a length of +5", head(b"Content-Length: +5") + b"hello", REFUSED),
    Case("S10 a length of 0x5", head(b"Content-Length: 0x5") + b"hello", REFUSED),
    Case("S10 an empty length", head(b"Content-Length:") + b"hello", REFUSED),
    Case("S10 a length beyond 2**63", head(b"Content-Length: 9999999999999999999") + b"hello", REFUSED, ends=True),
    Case("S11 1.0", head(b"Content-Length: 5", line=b"HTTP/1.0 200 OK") + b"hello", whole(reused=False)),
    Case(
        "S11 1.0, kept alive",
        head(b"Content-Length: 5", b"Connection: keep-alive", line=b"HTTP/1.0 200 OK") + b"hello",
        whole(reused=False),
    ),
    Case(
        "S12 1.0 in chunks",
        head(b"Transfer-Encoding: chunked", line=b"HTTP/1.0 200 OK") + b"5\r\nhello\r\n0\r\n\r\n",
        REFUSED,
    ),
    Case("S13 no reason", head(b"Content-Length: 5", line=b"HTTP/1.1 200") + b"hello", whole()),
    Case("S13 an empty reason", head(b"Content-Length: 5", line=b"HTTP/1.1 200 ") + b"hello", whole()),
    *(
        Case(f"S14 {line.decode()}", head(b"Content-Length: 5", line=line) + b"hello", REFUSED)
        for line in (b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1  200 OK", b"HTTP/2 200 OK", b"ICY 200 OK", b"<html>")
    ),
    *(
        Case(f"S15 {line.decode()}", head(b"Content-Length: 5", line=line) + b"hello", REFUSED)
        for line in (b"HTTP/1.1 000 X", b"HTTP/1.1 099 X", b"HTTP/1.1 600 X", b"HTTP/2.0 200 OK", b"HTTP/0.9 200 OK")
    ),
    Case("S16 line ends", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", REFUSED),
    Case("S16 one line end", b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 5\r\n\r\nhello", REFUSED),
    Case("S16 a fold", head(b"X: a", b" b", b"Content-Length: 5") + b"hello", REFUSED),
    Case("S17 NUL", head(b"X: a\0b", b"Content-Length: 5") + b"hello", REFUSED),
    Case("S17 a bare CR", head(b"X: a\rb", b"Content-Length: 5") + b"hello", REFUSED),
    Case("S17 a blank before the colon", head(b"X : a", b"Content-Length: 5") + b"hello", REFUSED),
    Case("S17 no colon", head(b"X", b"Content-Length: 5") + b"hello", REFUSED),
    Case("S18 two types", head(b"Content-Type: a/b", b"Content-Type: c/d", b"Content-Length: 5") + b"hello", whole()),
    Case("S18 several cookies", head(b"Set-Cookie: a=b", b"Set-Cookie: c=d", b"Content-Length: 5") + b"hello", whole()),
    Case("S19 a field of 70 kB", head(b"X: " + b"y" * 70_000, b"Content-Length: 5") + b"hello", REFUSED),
    Case("S19 2,000 fields", head(*[b"X: y"] * 2000, b"Content-Length: 5") + b"hello", REFUSED),
    Case("S21 two answers", COUNTED + COUNTED, whole(reused=False)),
    Case("S21 two answers in chunks", (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n") * 2, whole(reused=False)),
    Case("S22 junk behind", COUNTED + b"x", whole(reused=False)),
    Case("S22 junk behind chunks", CHUNKED + b"5\r\nhello\r\n0\r\n\r\nx", whole(reused=False)),
    Case("S22 a line behind chunks", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n\r\n", whole(reused=False)),
    Case("S23 Close", head(b"Connection: Close", b"Content-Length: 5") + b"hello", whole(reused=False)),
    Case("S23 close in a list", head(b"Connection: x, close", b"Content-Length: 5") + b"hello", whole(reused=False)),
    Case(
        "S23 close on a second line",
        head(b"Connection: keep-alive", b"Connection: close", b"Content-Length: 5") + b"hello",
        whole(reused=False),
    ),
    Case("S24 kept for no time", head(b"Keep-Alive: timeout=1", b"Content-Length: 5") + b"hello", whole(reused=False)),
    Case("S24 kept for a while", head(b"Keep-Alive: timeout=50", b"Content-Length: 5") + b"hello", whole()),
    *(
        Case(f"S25 {coding.decode()}", head(b"Transfer-Encoding: " + coding) + b"5\r\nhello\r\n0\r\n\r\n", REFUSED, ends=True)
        for coding in (b"gzip, chunked", b"identity", b"gzip", b"chunked, gzip", b"xchunked", b"chunked;q=1", b",chunked")
    ),
    Case(
        "S25 chunked twice",
        head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",
        REFUSED,
    ),
    Case("S26 trailers", CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\nZ: z\r\n\r\n", whole()),
    Case("S26 extensions", CHUNKED + b'5;a=b;c="x;y"\r\nhello\r\n0;d\r\n\r\n', whole()),
    Case("S26 a trailer without end", CHUNKED + b"5\r\nhello\r\n0\r\nX: " + b"y" * 70_000, cut(b"hello")),
    Case("S26 an extension without end", CHUNKED + b"5\r\nhello\r\n5;" + b"y" * 70_000, cut(b"hello")),
    Case(
        "S26 extensions of many chunks",
        CHUNKED + (b"1;" + b"y" * 100 + b"\r\nx\r\n") * 1000 + b"0\r\n\r\n",
        cut(),
        part=True,
    ),
    Case("S26 many small chunks", CHUNKED + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n", whole(b"x" * 10_000)),
    Case("S27 no size", CHUNKED + b"5\r\nhello\r\nx\r\n", cut(b"hello")),
    Case("S27 a size of 0x5", CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", cut()),
    Case("S27 an empty size", CHUNKED + b"\r\nhello\r\n0\r\n\r\n", cut()),
    Case("S27 a size beyond 2**64", CHUNKED + b"FFFFFFFFFFFFFFFFF\r\nhello", cut()),
    Case("S27 a line end", CHUNKED + b"5\nhello\r\n0\r\n\r\n", cut()),
    Case("S27 more than its size", CHUNKED + b"5\r\nhelloworld\r\n0\r\n\r\n", cut(b"hello")),
    Case("S29 205 with a body", head(b"Content-Length: 5", line=b"HTTP/1.1 205 Reset") + b"hello", whole(b"", 205)),
    Case("S29 an empty line before", b"\r\n" + COUNTED, whole()),
    Case("S30 a reason of other bytes", head(b"Content-Length: 5", line=b"HTTP/1.1 200 \x80\x01") + b"hello", whole()),
    Case(
        "S31 a redirect",
        head(b"Location: http://127.0.0.1:1/", b"Content-Length: 5", line=b"HTTP/1.1 302 F") + b"hello",
        whole(status=302),
    ),
]  # fmt: skip

_LAX = "aiohttp's parser for answers is lenient by choice, so that servers that are not strict still work"
_EARLY = "aiohttp reports what is wrong behind an answer in place of the answer, if both came in one read"
_LATE = "aiohttp looks at what is behind an answer when the next request is on its way, or not at all"
_STATUS = "aiohttp hands up any number as a status, and 101 as an upgrade that somebody may want"

AIOHTTP: dict[str, Quirk] = {
    "S3 HEAD, and a body": Quirk(_EARLY, (REFUSED, whole(b"", reused=False), Outcome(200, reused=None), whole(b""))),
    "S4 304, chunked, and a last chunk": Quirk(
        _EARLY, (REFUSED, whole(b"", 304, reused=False), Outcome(304, reused=None), whole(b"", 304))
    ),
    "S6 1xx without end": Quirk("aiohttp does not count them"),
    "S7 101 with Upgrade": Quirk(_STATUS, (whole(b"", 101, reused=False),)),
    "S7 101 alone": Quirk(_STATUS, (whole(b"", 101),)),
    "S10 a length beyond 2**63": Quirk("aiohttp counts in 64 bits", (cut(b"hello"),)),
    "S11 1.0, kept alive": Quirk("aiohttp keeps connections of HTTP/1.0 alive that say so", (whole(),)),
    "S12 1.0 in chunks": Quirk(_LAX, (whole(reused=False),)),
    "S15 HTTP/1.1 000 X": Quirk(_STATUS, (whole(status=0),)),
    "S15 HTTP/1.1 099 X": Quirk(_STATUS, (whole(status=99),)),
    "S15 HTTP/1.1 600 X": Quirk(_STATUS, (whole(status=600),)),
    "S15 HTTP/2.0 200 OK": Quirk(_LAX, (whole(reused=False),)),
    "S15 HTTP/0.9 200 OK": Quirk(_LAX, (whole(reused=False),)),
    "S16 line ends": Quirk(_LAX, (whole(),)),
    "S16 one line end": Quirk(_LAX, (whole(),)),
    "S16 a fold": Quirk(_LAX, (whole(),)),
    "S21 two answers": Quirk(_LATE, (whole(reused=False), Outcome(200, b"hello", reused=None), whole())),
    "S21 two answers in chunks": Quirk(_LATE, (whole(reused=False), Outcome(200, b"hello", reused=None), whole())),
    "S22 junk behind": Quirk(_EARLY, (REFUSED, whole(reused=False), Outcome(200, b"hello", reused=None))),
    "S22 junk behind chunks": Quirk(_EARLY, (REFUSED, whole(reused=False), Outcome(200, b"hello", reused=None))),
    "S22 a line behind chunks": Quirk(_LATE, (whole(), whole(reused=False))),
    "S24 kept for no time": Quirk("aiohttp reads no Keep-Alive", (whole(),)),
    "S25 gzip, chunked": Quirk(_LAX, (whole(reused=False),)),
    **{
        f"S25 {coding}": Quirk(_LAX, (whole(b"5\r\nhello\r\n0\r\n\r\n", reused=False),))
        for coding in ("identity", "gzip", "chunked, gzip", "xchunked", "chunked;q=1")
    },
    "S25 ,chunked": Quirk(_LAX, (whole(reused=False),)),
    "S25 chunked twice": Quirk(_LAX, (whole(),)),
    "S26 a trailer without end": Quirk(_EARLY, (REFUSED, cut(b"hello"))),
    "S26 an extension without end": Quirk("aiohttp does not count them"),
    "S26 extensions of many chunks": Quirk("aiohttp does not count them", (Outcome(200, reused=True),)),
    **{
        f"S27 {what}": Quirk(
            "aiohttp waits for ever for the rest of a body whose chunks are broken, or reports it in place of the head"
        )
        for what in (
            "no size",
            "a size of 0x5",
            "an empty size",
            "a size beyond 2**64",
            "a line end",
            "more than its size",
        )
    },
    "S29 205 with a body": Quirk("aiohttp hands up the body", (whole(status=205),)),
}
