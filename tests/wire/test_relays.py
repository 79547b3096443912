"""A stream that passes: whole events only, under any split; its end, its usage and its size are what they are."""

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk
from tests.wire.answers import CUTS, ENVELOPE, answers, cut, written

from rightseat.chat import Finish, TextDelta, Usage, fold
from rightseat.errors import ProtocolError, UpstreamError
from rightseat.wire.dialects import ALL, CHAT, MESSAGES, RESPONSES
from rightseat.wire.sse import DONE, SseDecoder, encode_sse

BY_NAME = pytest.mark.parametrize("dialect", ALL, ids=lambda d: d.name)


def events(data: bytes) -> list:
    """The events in some bytes; none may be cut off."""
    decoder = SseDecoder()
    found = decoder.feed(data)
    assert decoder.feed_eof() == []
    return found


def passed(relay, pieces) -> list[bytes]:
    return [*(relay.feed(piece) for piece in pieces), relay.eof()]


@BY_NAME
@settings(deadline=None)
@given(data=st.data(), cuts=CUTS, end=st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_between_any_two_pieces_a_ping_may_be_said(dialect, data, cuts, end):
    stream = written(dialect, data.draw(answers(dialect)))
    pieces = passed(dialect.relay(), cut(stream.replace(b"\n", end), cuts))
    assert [e.data for e in events(b"".join(pieces))] == [e.data for e in events(stream)]
    pinged = b"".join(piece + dialect.ping for piece in pieces)
    assert [e.data for e in events(pinged) if b"ping" not in e.event] == [e.data for e in events(stream)]


@BY_NAME
@settings(deadline=None)
@given(data=st.data(), cuts=CUTS)
def test_any_split_gives_the_same_facts(dialect, data, cuts):
    stream = written(dialect, data.draw(answers(dialect)))
    split, whole = dialect.relay(), dialect.relay()
    assert b"".join(passed(split, cut(stream, cuts))) == b"".join(passed(whole, [stream])) == stream
    assert split.complete is whole.complete is True
    assert split.is_final is whole.is_final is True
    assert split.usage == whole.usage
    assert not split.failed
    assert not whole.failed


@BY_NAME
@settings(deadline=None, max_examples=25)
@given(data=st.data(), ends=st.lists(st.integers(min_value=0), max_size=15))
def test_a_stream_that_is_cut_at_any_byte_passes_whole_events_and_counts_as_what_it_is(dialect, data, ends):
    said = data.draw(answers(dialect))
    usage = next(event for event in said if isinstance(event, Usage))
    stream = written(dialect, said)
    for end in {*(end % len(stream) for end in ends), *range(max(0, len(stream) - 20), len(stream))}:
        relay, reader = dialect.relay(), dialect.reader()
        out = b"".join(passed(relay, [stream[:end]]))
        assert stream.startswith((out, out.removesuffix(DONE)))
        events(out)
        reader.feed(stream[:end])
        reader.feed_eof()
        assert relay.complete is reader.complete
        if relay.is_final:  # nothing that tells of tokens is missing
            assert (relay.usage.input_tokens, relay.usage.output_tokens) == (usage.input_tokens, usage.output_tokens)


@BY_NAME
def test_a_first_event_that_tells_of_tokens_is_not_the_last_word(dialect):
    encoder = dialect.encoder(ENVELOPE)
    relay = dialect.relay()
    passed(relay, [encoder.start() + encoder.encode(TextDelta("hello"))])
    assert not relay.is_final
    assert not relay.complete


def test_what_the_first_event_tells_is_known_when_the_client_leaves():
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 5000, "output_tokens": 1}}}
    relay = MESSAGES.relay()
    relay.feed(encode_sse(json.dumps(start).encode(), b"message_start"))
    for _ in range(100):
        relay.feed(encode_sse(b'{"type":"content_block_delta","delta":{"type":"text_delta","text":"and on"}}'))
    assert relay.usage == Usage(5000, 1)
    assert not relay.is_final
    assert 100 <= relay.received <= 200


ERRORS = {
    "chat": encode_sse(b'{"error":{"message":"overloaded","code":"overloaded"}}'),
    "messages": encode_sse(b'{"type":"error","error":{"type":"overloaded_error","message":"overloaded"}}', b"error"),
    "responses": encode_sse(
        b'{"type":"response.failed","response":{"error":{"message":"overloaded"}}}', b"response.failed"
    ),
}


@BY_NAME
@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n", b": bye\n\n", b"data: {"])
def test_upstreams_own_error_ends_the_answer(dialect, tail):
    stream = written(dialect, [TextDelta("a")] * 3)[:-400].rpartition(b"\n\n")[0] + b"\n\n" + ERRORS[dialect.name]
    relay = dialect.relay()
    out = b"".join(passed(relay, [stream, tail]))
    assert out == stream + (tail if tail.endswith(b"\n") else b"")
    assert relay.failed
    assert relay.complete
    assert not relay.is_final


@BY_NAME
def test_an_error_of_upstreams_is_not_forgotten_whatever_follows_it(dialect):
    relay = dialect.relay()
    relay.feed(ERRORS[dialect.name])
    assert relay.told
    for piece in talk(dialect, 100, 1)[1:]:
        relay.feed(piece)
    assert relay.failed
    assert relay.complete


@BY_NAME
def test_an_answer_that_speaks_of_errors_is_none(dialect):
    relay = dialect.relay()
    for piece in written(dialect, [TextDelta('{"error": {"message": "x"}} "type":"error" event: error')] * 3).split(
        b"\n\n"
    ):
        relay.feed(piece + b"\n\n")
    assert not relay.told
    assert not relay.failed


# How much was said, where nobody tells.


def talk(dialect, words: int, at_once: int) -> list[bytes]:
    """The events of an answer of so many words, cut off before its end."""
    encoder = dialect.encoder(ENVELOPE)
    text = "word " * at_once
    return [encoder.start(), *(encoder.encode(TextDelta(text)) for _ in range(words // at_once))]


@BY_NAME
@pytest.mark.parametrize("at_once", [1, 3, 40])
@pytest.mark.parametrize("size", [0, 1000, 65_536])
def test_an_answer_that_tells_nothing_is_reckoned_by_its_bytes(dialect, at_once, size):
    words = 12_000
    pieces = talk(dialect, words, at_once)
    if size:
        stream = b"".join(pieces)
        pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
    relay = dialect.relay()
    passed(relay, pieces)
    assert relay.usage is None or not relay.is_final
    assert words <= relay.received <= 1.4 * words


@BY_NAME
def test_a_short_answer_in_one_piece_is_reckoned_too(dialect):
    relay = dialect.relay()
    passed(relay, [b"".join(talk(dialect, 200, 1))])
    assert 150 <= relay.received <= 300


# What passes is valid for the client's SDK.


def chunk(*calls: dict, finish: str | None = None) -> bytes:
    delta = {"tool_calls": list(calls)} if calls else {"content": None}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return encode_sse(json.dumps({**head, "choices": [choice]}).encode())


def call(text: str, name: str | None = None, **fields) -> dict:
    return {**fields, "type": "function", "function": {"arguments": text} | ({"name": name} if name else {})}


@pytest.mark.parametrize(
    "indexes",
    [({}, {}), ({"index": None}, {"index": None}), ({"index": 0}, {"index": 0})],
    ids=["none", "null", "the same"],
)
@given(cuts=CUTS)
def test_tool_calls_without_indexes_get_them(indexes, cuts):
    stream = b""
    for number, index in enumerate(indexes):
        stream += chunk(call("", name="t", id=f"c{number}", **index)) + chunk(call('{"n":', **index))
        stream += chunk(call(f"{number}}}", **index))
    stream += chunk(finish="tool_calls") + DONE
    out = b"".join(passed(CHAT.relay(), cut(stream, cuts)))
    state = ChatCompletionStreamState()
    for event in events(out)[:-1]:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(event.data))
    calls = state.get_final_completion().choices[0].message.tool_calls
    assert [(one.id, one.function.name, one.function.arguments) for one in calls] == [
        ("c0", "t", '{"n":0}'),
        ("c1", "t", '{"n":1}'),
    ]


def test_tool_calls_with_indexes_pass_as_they_are():
    stream = b"".join(chunk(call("{}", name="t", id=f"c{i}", index=i)) + chunk(call(" ", index=i)) for i in (1, 2, 5))
    stream = stream.replace(b'"m"', b'"m" ,"n":1.50') + DONE
    assert b"".join(passed(CHAT.relay(), [stream])) == stream


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_garbage_raises_nothing_and_passes_as_events(pieces):
    for dialect in ALL:
        relay = dialect.relay()
        passed(relay, pieces)
        assert isinstance(relay.received, int)
        assert relay.usage is None or isinstance(relay.usage, Usage)


# Bounds.


@BY_NAME
def test_an_event_beyond_the_limit_is_an_error_that_names_it_and_what_was_before_it_is_given(dialect):
    relay = dialect.relay(max_event_bytes=1000)
    first = written(dialect, [TextDelta("a"), Usage(1, 1), Finish("stop")])
    assert relay.feed(first + b"data: " + b"x" * 2000) == first
    with pytest.raises(ProtocolError, match="more than 1000 bytes"):
        relay.feed(b"x")
    with pytest.raises(ProtocolError, match="more than 1000 bytes"):
        relay.eof()


@BY_NAME
def test_a_large_event_in_small_pieces_costs_its_own_size(dialect):
    relay = dialect.relay()
    event = encode_sse(b'{"x":"' + b"y" * 100_000 + b'"}')
    tracemalloc.start()
    try:
        for i in range(len(event) - 1):
            assert relay.feed(event[i : i + 1]) == b""
        assert tracemalloc.get_traced_memory()[1] < 8 * len(event)
    finally:
        tracemalloc.stop()
    assert relay.feed(event[-1:]) == event


@BY_NAME
def test_what_is_kept_of_a_long_stream_does_not_grow(dialect):
    relay = dialect.relay()
    piece = b"".join(talk(dialect, 500, 1)[1:])
    tracemalloc.start()
    try:
        for _ in range(30):
            relay.feed(piece)
        assert tracemalloc.get_traced_memory()[0] < 64_000
    finally:
        tracemalloc.stop()


def test_only_what_differs_is_changed_in_responses():
    first = encode_sse(b'{"type":"response.output_item.added","output_index":0,"item":{"id":"a"}}', b"x")
    other = encode_sse(b'{"type":"response.output_text.delta","output_index":0,"item_id":"b","delta":"b \\"b\\""}')
    relay = RESPONSES.relay()
    assert relay.feed(first + other) == first + other.replace(b'"item_id":"b"', b'"item_id":"a"')


# Whole bodies.


@BY_NAME
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_whole_body_is_complete_or_an_error(dialect, data):
    said = data.draw(answers(dialect))
    body = dialect.encode_whole(fold(said), ENVELOPE)
    assert dialect.check_whole(body) == next(event for event in said if isinstance(event, Usage))
    for end in {*range(0, len(body), 7), *range(len(body) - 10, len(body))}:
        with pytest.raises(UpstreamError) as caught:
            dialect.check_whole(body[:end])
        assert caught.value.status == 502


@BY_NAME
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b'"x"', b"\xff", b"<html>", b'{"error":{"message":"no","code":"c"}}']
)
def test_what_is_no_answer_is_an_error(dialect, body):
    with pytest.raises(UpstreamError):
        dialect.check_whole(body)
    with pytest.raises(UpstreamError):
        dialect.framed(body, ENVELOPE)


@BY_NAME
def test_a_body_of_another_dialect_is_an_error(dialect):
    done = fold([TextDelta("a"), Usage(1, 1), Finish("stop")])
    for other in ALL:
        body = other.encode_whole(done, ENVELOPE)
        if other is dialect or (dialect is CHAT and other is MESSAGES):  # Claude has answered so there
            assert dialect.whole(body, ENVELOPE)[1] == Usage(1, 1)
        else:
            with pytest.raises(UpstreamError, match="something else than"):
                dialect.check_whole(body)


@BY_NAME
@settings(deadline=None)
@given(data=st.data())
def test_a_whole_body_where_a_stream_was_asked_for_becomes_one(dialect, data):
    done = fold(data.draw(answers(dialect)))
    stream, usage = dialect.framed(dialect.encode_whole(done, ENVELOPE), ENVELOPE)
    assert usage == done.usage
    relay, reader = dialect.relay(), dialect.reader()
    assert b"".join(passed(relay, [stream])) == stream
    assert relay.complete
    assert fold([*reader.feed(stream), *reader.feed_eof()]).text == done.text
