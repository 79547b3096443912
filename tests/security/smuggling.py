"""Requests that two servers in a row may read differently (RFC 9112, sections 6 and 11.2), made out of known tricks."""

HOST = b"Host: localhost\r\n"
HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

# Fields that some servers take for "Transfer-Encoding: chunked" and some do not.
_TE = [
    b"Transfer-Encoding: chunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding:\tchunked", b"Transfer-Encoding:chunked", b"transfer-encoding: CHUNKED", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding: chunked\x00", b"Transfer-Encoding: \x00chunked", b"X: y\r\n Transfer-Encoding: chunked",
    b"X: y\r\n\tTransfer-Encoding: chunked", b"X: y\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked", b'Transfer-Encoding: "chunked"', b"Transfer_Encoding: chunked", b"Transfer-Encoding\r\n: chunked", b"Transfer-Encoding: chunk\r\n ed",
    b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding: ,chunked", b"Transfer-Encoding: chunked,", b"Transfer-Encoding: cow", b"Transfer-Encoding:", b"\x00Transfer-Encoding: chunked", b"Transfer\x2dEncoding: chunked", b"X-A: b\x00\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: \xffchunked", b"Transfer-Encoding: chunked\xa0", b"Transfer-Encodin\x67: chunked", b"Transfer-Encoding\x0b: chunked",
]  # fmt: skip
_CL = [
    b"Content-Length: %d\r\nContent-Length: 0", b"Content-Length: 0\r\nContent-Length: %d", b"Content-Length: %d, %d", b"Content-Length: +%d", b"Content-Length: -%d", b"Content-Length: 0x%x", b"Content-Length: %d\x00", b"Content-Length: \x0b%d",
    b"Content-Length : %d", b"Content-Length:\t%d", b"Content-Length: 0%d", b"Content-Length: %d;", b"Content-Length: %d.0", b"Content-Length: 1e%d", b"Content-Length: %d %d", b"Content-Length: 18446744073709551616", b"Content-Length: 18446744073709551%d", b"Content_Length: %d",
    b"X: y\r\n Content-Length: %d", b"X: y\nContent-Length: %d", b"Content-Length: \xef\xbc\x91", b"Content-Length:", b"Content-Length: %d\r\n\r0", b"Content-Length: ,%d", b'Content-Length: "%d"',
]  # fmt: skip
_CHUNKS = [
    b"0x0\r\n\r\n", b"+0\r\n\r\n", b"-1\r\n\r\n", b"0 \r\n\r\n", b" 0\r\n\r\n", b"0\n\n", b"0\r\r", b"0;\x00\r\n\r\n", b"0;a=b\n\r\n", b"10000000000000000\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\n\r\n", b"g\r\n\r\n", b"\r\n0\r\n\r\n",
    b"1\r\nA0\r\n\r\n", b"2\r\nAB\n0\r\n\r\n", b"2\r\nAB0\r\n\r\n", b"2\r\nABC\r\n0\r\n\r\n", b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\nTransfer-Encoding: x\r\n\r\n", b"0\r\n: x\r\n\r\n", b"0\r\nA B: x\r\n\r\n", b"0\r\nX: y\n\n", b"0\x0b\r\n\r\n", b"0_0\r\n\r\n", b"0,0\r\n\r\n",
]  # fmt: skip
_LINES = [
    b"POST /v1/chat/completions HTTP/1.1 \r\n", b"POST  /v1/chat/completions HTTP/1.1\r\n", b"POST\t/v1/chat/completions\tHTTP/1.1\r\n", b"POST /v1/chat/completions HTTP/1.1\n", b"POST /v1/chat/completions HTTP/9.9\r\n", b"POST /v1/chat/completions HTTP/0.9\r\n", b"POST /v1/chat/completions\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\r\n", b"PO ST /v1/chat/completions HTTP/1.1\r\n", b"POST /v1/chat/comp\x00letions HTTP/1.1\r\n", b"POST /v1/chat/comp letions HTTP/1.1\r\n", b"POST http://[ HTTP/1.1\r\n", b"POST * HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]  # fmt: skip
POST = b"POST /v1/chat/completions HTTP/1.1\r\n"


def corpus() -> list[tuple[str, bytes]]:
    """(name, bytes): in none of them may the hidden request be answered."""
    cases = []
    for i, field in enumerate(_TE):
        inner = b"0\r\n\r\n" + HIDDEN
        cases.append(
            (
                f"cl.te {i} {field[:40]!r}",
                POST + HOST + b"Content-Length: %d\r\n" % len(inner) + field + b"\r\n\r\n" + inner,
            )
        )
        size = b"%x\r\n" % len(HIDDEN)
        cases.append(
            (
                f"te.cl {i} {field[:40]!r}",
                POST + HOST + field + b"\r\nContent-Length: %d\r\n\r\n" % len(size) + size + HIDDEN + b"\r\n0\r\n\r\n",
            )
        )
    for i, field in enumerate(_CL):
        numbers = (len(HIDDEN),) * field.count(b"%")
        cases.append((f"cl {i} {field[:40]!r}", POST + HOST + field % numbers + b"\r\n\r\n" + HIDDEN))
    for i, chunks in enumerate(_CHUNKS):
        cases.append(
            (f"chunk {i} {chunks[:40]!r}", POST + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + HIDDEN)
        )
    for i, line in enumerate(_LINES):
        cases.append((f"line {i} {line[:50]!r}", line + HOST + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN))
    return cases
