"""Requests as data: an id, bytes, and what is right. In a verdict "200" is an answer, "x" the end of the connection, "|" an alternative.

"200 200": two answers, and the connection stays open. "400x": one, and it ends. "": nothing comes, and the server waits. The ids with a
Q are the rows of the table that the servers were built by; `CORPUS` has what two servers in a row may read differently.
"""

import json
from typing import NamedTuple

E = b"\r\n"
GET, POST = b"GET / HTTP/1.1\r\nHost: a\r\n", b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CTLS = (0x01, 0x04, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1F, 0x20, 0x7F, 0xA0, 0xFF)
PLAIN = GET + E


class Case(NamedTuple):
    """A row.

    Attributes:
        body: of the first request, as the gateway must see it; None: it is not looked at.
    """

    id: str
    data: bytes
    right: str
    body: bytes | None = None


def chunks(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end


def rows(name: str, right: str, *data: bytes) -> list[Case]:
    return [Case(f"{name}.{i}" if len(data) > 1 else name, one, right) for i, one in enumerate(data)]


def with_length(value: bytes, body: bytes = b"") -> bytes:
    return POST + b"Content-Length: " + value + b"\r\n\r\n" + body


def coded(*fields: bytes, body: bytes = b"0\r\n\r\n") -> bytes:
    return POST + b"".join(b"Transfer-Encoding: %b\r\n" % one for one in fields) + E + body


def chunked(data: bytes) -> bytes:
    return POST + CHUNKED + E + data


BAD = "400x|x"
LINES = [
    *rows("Q1", "200", PLAIN),
    *rows("Q1-prefix", "", *(PLAIN[:i] for i in range(len(PLAIN)))),
    *rows("Q2-one", "200", E + PLAIN),
    *rows("Q2", BAD, E * 50 + PLAIN, b"\n\n" + PLAIN, b"\n" + PLAIN),
    *rows("Q3", BAD, b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", b"GET /\nHTTP/1.1\r\nHost: a\r\n\r\n", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
    *rows("Q4", f"505x|{BAD}", b"GET /\r\n\r\n", *(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % v for v in (b"0.9", b"2.0", b"1.2", b"9.9", b"1.32", b"1.", b"01.1", b"1.1.1"))),
    *rows("Q5", f"505x|{BAD}", b"GET / http/1.1\r\nHost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    *rows("Q6", f"405x|501x|{BAD}", b"SOURCE / ICE/1.0\r\nHost: a\r\n\r\n", b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", b"M-SEARCH * HTTP/1.1\r\nHost: a\r\n\r\n", b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
    *rows("Q7", f"501x|{BAD}", b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", b'G="<> / HTTP/1.1\r\nHost: a\r\n\r\n', b"\xc7ET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    *rows("Q8", BAD, *(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % t for t in (b"x", b"?q", b"HTTP/1.1", b"/\x80", b"/\x01", b"*", b"/a#b", b'/"<>', b"/a b", b"/a\x7f", b"/\\..", b"//[", b"http://[")[:-2])),
    *rows("Q8-fine", "200", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"GET //b/c HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /a%20b?c=%22 HTTP/1.1\r\nHost: a\r\n\r\n"),
    *rows("Q9", BAD, b"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", b"GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n", b"GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    *rows("Q9-fine", "200", b"GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", b"GET HTTP://A?x HTTP/1.1\r\nHost: a\r\n\r\n"),
    *rows("Q10", f"414x|431x|{BAD}", b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 9000), b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 70_000)),
    *rows("Q11", BAD, b"GET / HTTP/1.1\r\n\r\n", *(b"GET / HTTP/1.1\r\n%b\r\n\r\n" % f for f in (b"Host: a\r\nHost: b", b"Host: a\r\nHost: a", b"Host: a b", b"Host: a@b,c", b"Host: a, b", b"Host: a/b", b"Host: [::1", b"Host: a:80:80", b"Host: a\xa0"))),
    *rows("Q11-fine", "200", *(b"GET / HTTP/1.1\r\n%b\r\n\r\n" % f for f in (b"Host:", b"Host: [::1]:80", b"host:a:80", b"HOST: a.example"))),
    *rows("Q12", "200x", b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"GET /stream HTTP/1.0\r\n\r\n"),
]  # fmt: skip
FIELDS = [
    *rows("Q13", BAD, b"GET / HTTP/1.1\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\n", b"GET / HTTP/1.1\r\nX: y\nHost: a\r\n\r\n", b"GET / HTTP/1.1\nHost: a\n\n"),
    *rows("Q14", BAD, *(GET + b"X: a%cb\r\n\r\n" % c for c in (0x0D, 0x00, 0x07, 0x0B, 0x7F)), GET + b"X: a\r\r\n\r\n"),
    *rows("Q15", BAD, GET + b"X: a\r\n b\r\n\r\n", GET + b"X: a\r\n\tb\r\n\r\n", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", GET + b"\rZ\r\n\r\n"),
    *rows("Q16", BAD, *(POST + f + b"\r\n\r\n" for f in (b"Content-Length : 1", b"Content-Length\x85: 1", b"X\0y: z", b"X(y): z", b"X\xe9: y", b": x", b"NoColon", b"Content-Length 10"))),
    *rows("Q17", "200", GET + b"X: \xe9\r\n\r\n", GET + b"Y:\r\n\r\n", GET + b"X: a \t \r\n\r\n"),
    *rows("Q18", "431x", GET + b"X: %b\r\n\r\n" % (b"a" * 20_000), GET + b"".join(b"X%d: y\r\n" % i for i in range(300)) + E, GET + b"X: %b\r\n\r\n" % (b"a" * 70_000), GET + b"X" * 70_000 + b": y\r\n\r\n"),
    *rows("Q21", BAD, POST + b"Transfer_Encoding: chunked\r\nContent-Length: 1\r\n\r\na", POST + b"Content_Length: 1\r\n\r\n"),
]  # fmt: skip
BODIES = [
    *rows("Q22", BAD, *(with_length(v) for v in (b"+1", b"-1", b"0x1", b"1_0", b"1 0", b"1Z", b"", b"1.0", b"\xb2", b"1,", b"'1'"))),
    *rows("Q23", BAD, with_length(b"1, 1", b"a"), with_length(b"1\r\nContent-Length: 1", b"a"), with_length(b"1\r\nContent-Length: 2", b"ab"), with_length(b"1\r\ncontent-length: 0")),
    *rows("Q24", f"413x|{BAD}", with_length(b"18446744073709551617"), with_length(b"9223372036854775808"), with_length(b"10000001")),
    Case("Q25", with_length(b" 01 ", b"b"), "200", b"b"),
    Case("Q25-get", GET + b"Content-Length: 1\r\n\r\nb" + PLAIN, "200 200", b"b"),
    Case("Q26", with_length(b"1", b"aZZZ"), "200x|200 400x", b"a"),
    Case("Q26-long", with_length(b"1", b"aZZZ / HTTP/1.1\r\n\r\n"), "200x|200 400x", b"a"),
    Case("Q27-waits", with_length(b"5", b"abc"), ""),
    Case("Q28", chunked(chunks(b"hello")), "200", b"hello"),
    Case("Q28-next", chunked(chunks(b"he", b"llo")) + PLAIN, "200 200", b"hello"),
    *rows("Q29", BAD, POST + b"Content-Length: 5\r\n" + CHUNKED + E + chunks(b"hello"), POST + CHUNKED + b"Content-Length: 5\r\n\r\n" + chunks(b"hello"), with_length(b"5\r\nTransfer-Encoding: identity", b"hello")),
    *rows("Q30", f"501x|{BAD}", *(coded(v) for v in (b"identity", b"xchunked", b'"chunked"', b"chunked;q=1", b"\xa0chunked", b"chunked\xa0", b"cow", b"chunked\x00"))),
    *rows("Q31", f"501x|{BAD}", coded(b"gzip, chunked"), coded(b"deflate, chunked")),
    *rows("Q32", BAD, coded(b",chunked"), coded(b"identity", b"chunked"), coded(b"chunked,")),
    *rows("Q33", BAD, coded(b"chunked, gzip"), coded(b"chunked, chunked"), coded(b"chunked", b"chunked"), coded(b"chunked", b"identity"), coded(b""), coded(b"chun\r\n ked"), coded(b"\x0bchunked")),
    *rows("Q34", "200", coded(b"CHUNKED"), coded(b"chunked ")),
    *rows("Q35", BAD, b"POST / HTTP/1.0\r\nHost: a\r\n" + CHUNKED + E + chunks(b"hello")),
    *rows("Q36", BAD, *(chunked(size + b"\r\nhello\r\n0\r\n\r\n") for size in (b"0x5", b"+5", b"-1", b" 5", b"5 ", b"5\t", b"0_5", b"", b"5\x0b", b"g"))),
    *rows("Q37", f"413x|{BAD}", chunked(b"12345678901234567\r\n")),
    Case("Q37-huge", chunked(b"FFFFFFFFFFFFFFFF\r\nhello"), ""),  # refused when more has come than is taken: a size alone holds nothing
    Case("Q38", chunked(b'5;a=b;c="x;y"\r\nhello\r\n000005\r\nworld\r\n000\r\n\r\n'), "200", b"helloworld"),
    *rows("Q39", BAD, *(chunked(line + b"\r\nhello\r\n0\r\n\r\n") for line in (b"5;a\nb", b"5;a\rb", b"5 ;a", b"5;"))),
    *rows("Q40", BAD, chunked(b"5;a=%b\r\nhello\r\n0\r\n\r\n" % (b"b" * 70_000)), chunked(b"1;a=1234567\r\nb\r\n" * 9000 + b"0\r\n\r\n")),
    *rows("Q41", BAD, chunked(b"5\nhello\r\n0\r\n\r\n"), chunked(b"5\r\nhello\n0\r\n\r\n"), chunked(b"5\r\nhelloo\r\n0\r\n\r\n"), chunked(b"5\r\r;AB\r\n0\r\n\r\n")),
    Case("Q42", chunked(b"1\r\na\r\n" * 60_000 + b"0\r\n\r\n"), "200", b"a" * 60_000),
    Case("Q43", chunked(chunks(b"hello", end=b"0\r\nX-Trailer: y\r\n\r\n")), "200", b"hello"),
    *rows("Q44", BAD, *(chunked(chunks(b"hello", end=end)) for end in (b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\nX: y\n\r\n", b"0\r\r"))),
    *rows("Q45", f"431x|{BAD}", chunked(chunks(b"h", end=b"0\r\nX: %b\r\n\r\n" % (b"a" * 70_000))), chunked(chunks(b"h", end=b"0\r\n" + b"".join(b"X%d: %b\r\n" % (i, b"y" * 70) for i in range(300)) + E))),
    *rows("Q46-waits", "", chunked(b"5\r\nhel"), chunked(chunks(b"hello", end=b"")), chunked(chunks(b"hello", end=b"0\r\n"))),
    Case("Q46-late", chunked(b"989681\r\n"), ""),
]  # fmt: skip
CONNECTIONS = [
    Case("Q47", b"POST /early HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", "401x"),
    Case("Q48", POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", "100"),
    Case("Q48-sent", POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", "200|100 200", b"hello"),
    Case("Q48-case", POST + b"Expect: 100-CONTINUE\r\nContent-Length: 5\r\n\r\n", "100"),
    Case("Q49-old", b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", ""),
    Case("Q49-empty", GET + b"Expect: 100-continue\r\n\r\n", "200"),
    Case("Q49-other", GET + b"Expect: x\r\nContent-Length: 1\r\n\r\n", "417x"),
    Case("Q50", GET + b"Connection: close\r\n\r\n" + PLAIN, "200x"),
    *rows("Q51", "200x", *(GET + b"Connection: %b\r\n\r\n" % v for v in (b"keep-alive, close", b"close, keep-alive", b"keep-alive\r\nConnection: close", b"CLOSE", b"close,"))),
    Case("Q52", POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 31\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n\r\n", "200x", b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n\r\n"[:31]),
    Case("Q52-chunks", POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + CHUNKED + E + chunks(b"hello") + PLAIN, "200x", b"hello"),
    Case("Q52-socket", GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 31\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n\r\n", BAD),
    Case("Q52-no-body", GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + PLAIN, "200 200"),
    *rows("Q53", "200", GET + b"Upgrade: x\r\n\r\n", GET + b"Connection: upgrade\r\n\r\n", GET + b"Upgrade: websocket\r\n\r\n"),
    *rows("Q53-handshake", "400x|426x", GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 8\r\n\r\n"),
    Case("Q55", with_length(b"2\r\nConnection: content-length, host", b"ab"), "200", b"ab"),
    *rows("Q56", f"405x|{BAD}", b"CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n" + PLAIN, b"CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("Q57", PLAIN * 3, "200 200 200"),
    Case("Q57-bodies", with_length(b"1", b"a") + chunked(chunks(b"b")) + PLAIN + chunked(chunks(b"\r\n\r\n")) + PLAIN, "200 200 200 200 200"),
    Case("Q58", b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n\x00\x00garbage\r\n\r\n", "200x|200 400x"),
    Case("Q58-fresh", b"\x00\x00garbage\r\n\r\n", BAD),
    Case("Q59", b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 100_000, "401x"),
    Case("Q66-head", b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + PLAIN, "200- 200"),
    Case("Q66-head-stream", b"HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n" + PLAIN, "200- 200"),
    Case("Q66-204", b"GET /204 HTTP/1.1\r\nHost: a\r\n\r\n" + PLAIN, "204 200"),
    Case("Q67", b"GET /fail HTTP/1.1\r\nHost: a\r\n\r\n" + PLAIN, "500x"),
    Case("Q67-late", b"GET /fail-late HTTP/1.1\r\nHost: a\r\n\r\n" + PLAIN, "cut"),
    *rows("Q69", "500x", *(b"GET /field?%b HTTP/1.1\r\nHost: a\r\n\r\n" % json.dumps(v).encode().strip(b'"').replace(b"\\", b"%5C").replace(b"/", b"") for v in ("a%0Db", "a%0Ab", "a%00b", "a%7Fb", "a%0D%0Ab:c"))),
]  # fmt: skip
CASES = [*LINES, *FIELDS, *BODIES, *CONNECTIONS]


def generated() -> list[Case]:
    """Each odd byte before, inside and after the name and the value of what frames a body: two readings of the body must not be possible."""
    found = []
    for name, value in ((b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"13")):
        other = b"Content-Length: 5\r\n" if name.startswith(b"T") else CHUNKED
        for byte in CTLS:
            odd = bytes([byte])
            forms = (
                odd + name + b": " + value,
                name[:4] + odd + name[4:] + b": " + value,
                name + odd + b": " + value,
                name + b":" + odd + b" " + value,
                name + b": " + value[:1] + odd + value[1:],
                name + b": " + value + odd,
            )
            found += [
                Case(f"{name[:2].decode()} {byte:02x} {i}", POST + form + E + other + E + b"0\r\n\r\n" + HIDDEN, "")
                for i, form in enumerate(forms)
            ]
    for byte in CTLS:
        data = chunked(b"0" + bytes([byte]) + E + E + HIDDEN)
        found.append(Case(f"size {byte:02x}", data, ""))
    return found


HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def corpus() -> list[tuple[str, bytes]]:
    """(name, bytes): in none of them may the hidden request be answered."""
    from tests.security.smuggling import corpus as known

    return [*known(), *((case.id, case.data) for case in generated())]
