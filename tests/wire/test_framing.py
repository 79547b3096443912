"""Content-Length frames: any split of the same bytes gives the same frames, and garbage is one clear failure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightseat import ProtocolError
from rightseat.wire.framing import MAX_FRAME_BYTES, MAX_HEADER_BYTES, FrameDecoder, encode_frame

BODIES = st.lists(st.binary(max_size=300), max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(BODIES, st.lists(st.integers(min_value=0)))
def test_any_split_of_the_bytes_gives_the_same_frames(bodies, cuts):
    decoder = FrameDecoder()
    out = []
    for piece in pieces(b"".join(map(encode_frame, bodies)), cuts):
        out += decoder.feed(piece)
    decoder.feed_eof()
    assert bodies == out
    assert decoder.failure is None


@given(BODIES)
def test_byte_by_byte_gives_the_same_frames(bodies):
    decoder = FrameDecoder()
    data = b"".join(map(encode_frame, bodies))
    assert bodies == [body for i in range(len(data)) for body in decoder.feed(data[i : i + 1])]


HEADER_NAME = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-", min_size=1).filter(
    lambda name: name.lower() != "content-length"
)
HEADER_VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@given(
    st.binary(max_size=100),
    st.lists(st.tuples(HEADER_NAME, HEADER_VALUE), max_size=4),
    st.integers(0, 4),
    st.sampled_from(["Content-Length", "content-length", "CONTENT-LENGTH", "Content-length "]),
)
def test_other_headers_in_any_order_and_case_are_read_over(body, others, place, name):
    lines = [f"{n}: {v}" for n, v in others]
    lines.insert(place, f"{name}:{len(body)}")
    decoder = FrameDecoder()
    assert [body] == decoder.feed("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    assert decoder.failure is None


@given(BODIES, st.binary(max_size=200), st.lists(st.integers(min_value=0)))
def test_garbage_never_raises_and_never_loses_what_came_before(bodies, garbage, cuts):
    decoder = FrameDecoder(max_frame_bytes=1000)
    out = []
    for piece in pieces(b"".join(map(encode_frame, bodies)) + garbage, cuts):
        out += decoder.feed(piece)
    decoder.feed_eof()
    assert bodies == out[: len(bodies)]
    assert decoder.failure is None or isinstance(decoder.failure, ProtocolError)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"Content-Length: 12x\r\n\r\n", "not a whole number"),
        (b"Content-Length: -1\r\n\r\n", "not a whole number"),
        (b"Content-Length: 1_0\r\n\r\n", "not a whole number"),
        (b"Content-Length: \r\n\r\n", "not a whole number"),
        (b"Content-Type: x\r\n\r\n", "no Content-Length"),
        (b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "disagree"),
        (b"Debugger listening on ws\r\n\r\n", "no colon"),
        (b"x" * (MAX_HEADER_BYTES + 1), "no end of the header"),
        (b"Content-Length: %d\r\n\r\n" % (MAX_FRAME_BYTES + 1), "max_frame_bytes=67108864"),
        (b"Content-Length: 99999999999999999999\r\n\r\n", "not a whole number"),
    ],
)
def test_a_violation_names_what_was_found(data, says):
    decoder = FrameDecoder()
    assert decoder.feed(encode_frame(b"{}") + data) == [b"{}"]
    assert says in str(decoder.failure)
    assert "after 1 good frames" in str(decoder.failure)
    assert decoder.feed(encode_frame(b"{}")) == []


def test_an_end_inside_a_frame_is_a_failure():
    decoder = FrameDecoder()
    decoder.feed(b"Content-Length: 10\r\n\r\nabc")
    decoder.feed_eof()
    assert "ended inside a frame" in str(decoder.failure)


def test_an_end_between_frames_is_not():
    decoder = FrameDecoder()
    decoder.feed(encode_frame(b"abc"))
    decoder.feed_eof()
    assert decoder.failure is None


def test_a_frame_of_64_mib_passes():
    body = b"x" * MAX_FRAME_BYTES
    data = encode_frame(body)
    decoder = FrameDecoder()
    out = []
    for start in range(0, len(data), 256 * 1024):
        out += decoder.feed(data[start : start + 256 * 1024])
    assert len(out) == 1
    assert out[0] == body
