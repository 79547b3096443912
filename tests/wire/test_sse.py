"""Server-sent events: any split of the same bytes gives the same events; garbage and size have one clear end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightseat.wire.sse import MAX_EVENT_BYTES, SseDecoder, SseEvent, encode_sse

LINE = st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b""))


def decode(data: bytes, cuts: list[int] = ()) -> list[SseEvent]:
    decoder = SseDecoder()
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    found = []
    for a, b in zip([0, *places], [*places, len(data)], strict=True):
        found += decoder.feed(data[a:b])
    return found + decoder.feed_eof()


@given(st.lists(LINE, max_size=6), st.lists(st.integers(min_value=0)), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_split_and_any_line_end_give_the_same_events(datas, cuts, end):
    data = b"".join(encode_sse(d) for d in datas).replace(b"\n", end)
    assert [SseEvent(d) for d in datas] == decode(data, cuts)


@given(st.lists(LINE, min_size=1, max_size=4), LINE, st.lists(st.integers(min_value=0)))
def test_names_ids_comments_and_several_data_lines(datas, name, cuts):
    text = b"".join(b"data:" + d.lstrip(b" ") + b"\n" for d in datas)
    data = b"\xef\xbb\xbf: a comment\nevent: " + name + b"\nid: 7\nretry: 5\nnonsense\n" + text + b"\n"
    assert [SseEvent(b"\n".join(d.lstrip(b" ") for d in datas), name, b"7")] == decode(data, cuts)


@given(st.binary(max_size=300), st.lists(st.integers(min_value=0)))
def test_garbage_never_raises_and_the_split_does_not_matter(data, cuts):
    assert decode(data) == decode(data, cuts)


def test_an_event_without_its_blank_line_is_not_lost():
    assert decode(b'data: {"error":1}') == [SseEvent(b'{"error":1}')]
    assert decode(b"data: a\n\ndata: b\n") == [SseEvent(b"a"), SseEvent(b"b")]


def test_a_line_of_20_mb_passes_and_a_longer_one_is_a_clear_failure():
    body = b"x" * (MAX_EVENT_BYTES - 6)
    decoder = SseDecoder()
    found = []
    for start in range(0, len(body), 65536):
        found += decoder.feed((b"data: " if start == 0 else b"") + body[start : start + 65536])
    found += decoder.feed(b"\n\n")
    assert [len(body)] == [len(e.data) for e in found]
    decoder = SseDecoder(max_event_bytes=1000)
    decoder.feed(b"data: ok\n\ndata: " + b"x" * 500)
    decoder.feed(b"x" * 600)
    assert "1106 bytes or more" in str(decoder.failure)
    assert decoder.feed(b"\n\ndata: more\n\n") == []


@pytest.mark.parametrize("tail", [b"", b"\n"])
def test_a_long_line_in_one_piece_is_a_failure_too(tail):
    decoder = SseDecoder(max_event_bytes=10)
    assert decoder.feed(b"data: a\n\n" + b"x" * 11 + tail) == [SseEvent(b"a")]
    assert decoder.failure is not None
