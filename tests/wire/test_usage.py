"""Tokens are read out of bytes that pass, however they are cut, and never out of what a model says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightseat.chat import Usage
from rightseat.wire import dialects
from rightseat.wire.usage import usage_in, usage_of

TRICK = {"content": 'so "usage":{"prompt_tokens":9,"completion_tokens":9} is what I say'}
CHAT = (
    b"".join(
        b"data: " + json.dumps(c, separators=(",", ":")).encode() + b"\n\n"
        for c in (
            {"choices": [{"index": 0, "delta": TRICK}], "usage": None},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {
                "choices": [],
                "usage": {
                    "prompt_tokens": 120,
                    "completion_tokens": 34,
                    "prompt_tokens_details": {"cached_tokens": 100},
                    "completion_tokens_details": {"reasoning_tokens": 4},
                },
            },
        )
    )
    + b"data: [DONE]\n\n"
)
MESSAGES = b"".join(
    b"event: " + e["type"].encode() + b"\ndata: " + json.dumps(e).encode() + b"\n\n"
    for e in (
        {
            "type": "message_start",
            "message": {
                "id": "m",
                "usage": {
                    "input_tokens": 10,
                    "cache_read_input_tokens": 100,
                    "cache_creation_input_tokens": 5,
                    "output_tokens": 1,
                },
            },
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TRICK["content"]}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 34}},
        {"type": "message_stop"},
    )
)
RESPONSES = b"".join(
    b"event: " + e["type"].encode() + b"\ndata: " + json.dumps(e).encode() + b"\n\n"
    for e in (
        {"type": "response.output_text.delta", "delta": TRICK["content"], "output_index": 0, "item_id": "i"},
        {
            "type": "response.completed",
            "response": {
                "id": "r",
                "output": [],
                "usage": {
                    "input_tokens": 115,
                    "output_tokens": 34,
                    "input_tokens_details": {"cached_tokens": 100},
                    "output_tokens_details": {"reasoning_tokens": 4},
                },
            },
        },
    )
)
CASES = [
    (dialects.CHAT.relay, CHAT, Usage(120, 34, cached_tokens=100, reasoning_tokens=4)),
    (dialects.MESSAGES.relay, MESSAGES, Usage(115, 34, cached_tokens=100, cache_write_tokens=5)),
    (dialects.RESPONSES.relay, RESPONSES, Usage(115, 34, cached_tokens=100, reasoning_tokens=4)),
]


@pytest.mark.parametrize(("make", "stream", "usage"), CASES)
def test_at_every_cut(make, stream, usage):
    for cut in range(len(stream) + 1):
        relay = make()
        relay.feed(stream[:cut])
        relay.feed(stream[cut:])
        assert relay.usage == usage, cut
    relay = make()
    for i in range(len(stream)):
        relay.feed(stream[i : i + 1])
    assert relay.usage == usage


@pytest.mark.parametrize(("make", "stream", "usage"), CASES)
def test_a_stream_that_was_cut_off_has_none_or_less(make, stream, usage):
    relay = make()
    relay.feed(stream[: stream.index(b"34")])
    assert relay.usage is None or relay.usage.output_tokens < 34


def test_in_whole_bodies():
    body = {"choices": [{"message": TRICK}], "usage": {"prompt_tokens": 5, "completion_tokens": 6}}
    assert usage_in(json.dumps(body).encode()) == Usage(5, 6)
    assert usage_in(json.dumps({"a": TRICK}).encode()) is None
    assert usage_in(b'{"data":[],"usage":{"prompt_tokens":7,"total_tokens":7}}') == Usage(7, 0)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from([b'"usage":{', b'"usage": {"prompt_tokens":', b"1e999", b"}", b"null"]),
        ),
        max_size=20,
    )
)
def test_garbage_breaks_nothing(chunks):
    for dialect in dialects.ALL:
        relay = dialect.relay()
        for chunk in chunks:
            relay.feed(chunk)
        relay.eof()
        assert relay.usage is None or isinstance(relay.usage, Usage)
    whole = usage_in(b"".join(chunks))
    assert whole is None or isinstance(whole, Usage)


@given(
    st.recursive(
        st.one_of(st.none(), st.floats(), st.text(max_size=5)),
        lambda inner: st.dictionaries(
            st.sampled_from(
                ["prompt_tokens", "input_tokens", "output_tokens", "input_tokens_details", "cached_tokens"]
            ),
            inner,
        ),
    )
)
def test_odd_usage_breaks_nothing(value):
    assert usage_of(value) is None or isinstance(usage_of(value), Usage)
