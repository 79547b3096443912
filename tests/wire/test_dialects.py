"""The laws of the dialects: what is written is read back, folding a stream is reading the whole answer, for every pair of dialects."""

import contextlib
import json
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.amounts import amount
from tests.wire.answers import CUTS, ENVELOPE, TEXT, answers, cut, written
from tests.wire.toy import TOY

from rightseat.chat import (
    ChatRequest,
    Finish,
    Message,
    Reasoning,
    TextDelta,
    ToolCall,
    ToolCallEvent,
    ToolSpec,
    Usage,
    fold,
)
from rightseat.chat.plain import PlainTools
from rightseat.errors import ProtocolError
from rightseat.wire.dialects import ALL, CHAT, RESPONSES
from rightseat.wire.opaque import own, seal, shown, taken
from rightseat.wire.reading import ChunkError
from rightseat.wire.sse import MAX_EVENT_BYTES, encode_sse

EVERY = (*ALL, TOY)
PAIRS = [(upstream, client) for upstream in EVERY for client in EVERY]


def read(dialect, pieces):
    reader = dialect.reader()
    events = [event for piece in pieces for event in reader.feed(piece)]
    assert reader.complete or dialect is CHAT
    return fold([*events, *reader.feed_eof()])


def said(done):
    """What a client must get, whichever dialect it went through: encrypted reasoning and cache writes are a dialect's own."""
    usage = done.usage and (done.usage.output_tokens, done.usage.cached_tokens)
    return done.text, done.reasoning, done.tool_calls, done.finish_reason, usage


def bare(done):
    """The same without the ids of items, which are made anew each time."""
    mine = (own(b.opaque, "responses") if isinstance(b, Reasoning) else None for b in done.blocks)
    blocks = [Reasoning(b.text, m[1]) if m is not None else b for b, m in zip(done.blocks, mine, strict=True)]
    return blocks, done.finish_reason, done.usage


@pytest.mark.parametrize("dialect", EVERY, ids=lambda d: d.name)
@settings(deadline=None)
@given(data=st.data(), cuts=CUTS)
def test_what_is_written_is_read_back_under_any_split(dialect, data, cuts):
    events = data.draw(answers(dialect))
    assert bare(read(dialect, cut(written(dialect, events), cuts))) == bare(fold(events))


@pytest.mark.parametrize("dialect", EVERY, ids=lambda d: d.name)
@settings(deadline=None)
@given(data=st.data())
def test_a_whole_answer_says_what_the_stream_said(dialect, data):
    events = data.draw(answers(dialect))
    whole = dialect.read_whole(json.loads(dialect.encode_whole(fold(events), ENVELOPE)))
    assert bare(fold(whole)) == bare(read(dialect, [written(dialect, events)]))


@pytest.mark.parametrize(("upstream", "client"), PAIRS, ids=lambda d: d.name)
@settings(deadline=None, max_examples=amount(30, 60))
@given(data=st.data(), cuts=CUTS)
def test_for_every_pair_folding_the_translated_stream_is_translating_the_whole(upstream, client, data, cuts):
    events = data.draw(answers(upstream))
    reader = upstream.reader()
    arrived = [e for piece in cut(written(upstream, events), cuts) for e in reader.feed(piece)] + reader.feed_eof()
    streamed = read(client, [written(client, arrived)])
    body = json.loads(upstream.encode_whole(fold(events), ENVELOPE))
    whole = client.read_whole(json.loads(client.encode_whole(fold(upstream.read_whole(body)), ENVELOPE)))
    assert said(streamed) == said(fold(whole)) == said(fold(events))


@pytest.mark.parametrize("dialect", EVERY, ids=lambda d: d.name)
@settings(deadline=None)
@given(data=st.data(), cuts=CUTS)
def test_a_folded_stream_that_passes_is_the_whole_answer(dialect, data, cuts):
    events = data.draw(answers(dialect))
    folder = dialect.fold()
    for piece in cut(written(dialect, events), cuts):
        folder.feed(piece)
    folder.feed_eof()
    assert folder.complete
    assert bare(fold(dialect.read_whole(folder.completion()))) == bare(fold(events))


@pytest.mark.parametrize("dialect", EVERY, ids=lambda d: d.name)
@settings(deadline=None)
@given(data=st.data(), cuts=CUTS)
def test_a_stream_that_passes_is_the_same_under_any_split(dialect, data, cuts):
    stream = written(dialect, data.draw(answers(dialect)))
    relay = dialect.relay()
    assert b"".join(relay.feed(piece) for piece in cut(stream, cuts)) + relay.eof() == stream
    assert relay.complete


SAYS_THE_END = 'event: error data: [DONE] {"type":"message_stop"} "finish_reason":"stop" response.completed [DONE]'


@pytest.mark.parametrize("dialect", EVERY, ids=lambda d: d.name)
def test_no_part_of_a_stream_is_whole_whatever_the_model_says(dialect):
    encoder = dialect.encoder(ENVELOPE)
    stream = encoder.start() + encoder.encode(TextDelta(SAYS_THE_END)) * 2
    for end in range(len(stream)):
        relay, folder = dialect.relay(), dialect.fold()
        for piece in (stream[: end // 2], stream[end // 2 : end]):
            relay.feed(piece)
            folder.feed(piece)
        assert not relay.complete, stream[:end][-80:]
        assert not folder.complete


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "choices", "delta", "index", "id", "tool_calls", "function", "content", "error", "usage", "finish_reason",
             "message", "content_block", "item", "output_index", "output", "response", "item_id", "text", "status", "summary",
             "incomplete_details", "thinking", "input", "stop_reason", "input_tokens", "encrypted_content"]
        ), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
KINDS = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop", "error",
     "response.created", "response.output_item.added", "response.output_item.done", "response.output_text.delta",
     "response.completed", "response.incomplete", "response.failed", "response.reasoning_summary_part.added"]
)  # fmt: skip
EVENT = st.dictionaries(st.sampled_from(["delta", "index", "item", "response", "message", "content_block", "usage", "output_index", "item_id"]), JSON)  # fmt: skip


@pytest.mark.parametrize("dialect", ALL, ids=lambda d: d.name)
@settings(deadline=None, max_examples=amount(75, 300))
@given(events=st.lists(st.tuples(KINDS, EVENT) | JSON, max_size=6), garbage=st.binary(max_size=30))
def test_whatever_comes_a_reader_says_something_or_one_error(dialect, events, garbage):
    stream = b"".join(
        encode_sse(json.dumps({**e[1], "type": e[0]} if isinstance(e, tuple) else e).encode()) for e in events
    )
    for make in (dialect.reader, dialect.fold):
        for data in (stream, stream + garbage, garbage + b"\n\n" + stream):
            one = make()
            try:
                one.feed(data)
                one.feed_eof()
            except ChunkError:
                pass
    relay = dialect.relay()
    relay.feed(stream + garbage)
    relay.eof()
    for event in events:
        if not isinstance(event, tuple):
            with contextlib.suppress(ChunkError):
                dialect.read_whole(event)


@pytest.mark.parametrize("dialect", ALL, ids=lambda d: d.name)
def test_a_line_of_twenty_megabytes_passes_and_a_longer_one_is_an_error(dialect):
    almost = MAX_EVENT_BYTES - 1_000_000
    events = [TextDelta("x" * almost), Usage(1, 1), Finish("stop")]
    if dialect is RESPONSES:
        events[0] = TextDelta("x" * (MAX_EVENT_BYTES // 5))  # said several times in one answer
    stream = written(dialect, events)
    pieces = [stream[i : i + 65_536] for i in range(0, len(stream), 65_536)]
    assert read(dialect, pieces).text == events[0].text
    relay = dialect.relay()
    assert sum(len(relay.feed(piece)) for piece in pieces) + len(relay.eof()) == len(stream)
    for make in (dialect.reader, dialect.fold):
        one = make()
        with pytest.raises(ChunkError, match="at most"):
            for _ in range(MAX_EVENT_BYTES // 65_536 + 2):
                one.feed(b"x" * 65_536)


def test_an_endless_stream_without_a_line_end_costs_bounded_memory_and_time():
    tracemalloc.start()
    begun = time.process_time()
    for dialect in ALL:
        relay = dialect.relay()
        with pytest.raises(ProtocolError, match="at most"):
            for _ in range(2000):
                relay.feed(b"x" * 65_536)
    assert tracemalloc.get_traced_memory()[1] < 2 * MAX_EVENT_BYTES
    tracemalloc.stop()
    assert time.process_time() - begun < 30


# Requests.

HISTORY = (
    Message("system", "Be kind."),
    Message("user", "What is it?"),
    Message("assistant", "Let me see.", (ToolCall("c1", "look", '{"at": "it"}'), ToolCall("c2", "smell", "{}"))),
    Message("tool", "red", tool_call_id="c1"),
    Message("tool", "(empty)", tool_call_id="c2"),
    Message("assistant", "It is red."),
    Message("user", "Sure?"),
)
TOOLS = (
    ToolSpec("look", "Look at it.", {"type": "object", "properties": {"at": {"type": "string"}}}, strict=False),
    ToolSpec("smell", "", {"type": "object", "properties": {}}, strict=False),
)


@pytest.mark.parametrize("dialect", EVERY, ids=lambda d: d.name)
def test_a_request_is_the_same_after_any_dialect(dialect):
    request = ChatRequest("m", HISTORY, TOOLS, stream=True, extra={"max_tokens": 99, "temperature": 0.5})
    back = dialect.decode(json.loads(dialect.encode(request)))
    assert back.messages == HISTORY
    assert [(t.name, t.description, t.parameters) for t in back.tools] == [
        (t.name, t.description, t.parameters) for t in TOOLS
    ]
    assert (back.model, back.stream) == ("m", True)
    assert {name: back.extra[name] for name in request.extra} == request.extra


@given(TEXT, st.text(max_size=10), st.sampled_from(["chat", "responses", "messages"]))
def test_encrypted_reasoning_comes_back_byte_for_byte_through_any_dialect(data, item_id, carrier):
    for origin in ("responses", "messages"):
        sealed = seal(origin, data, item_id)
        assert own(sealed, origin) == (item_id, data)
        carried = shown(sealed, carrier)
        if carrier == origin:
            assert carried == data
            assert own(taken(carried, carrier), origin) == ("", data)
        else:
            assert taken(carried, carrier) == sealed
    if not data.startswith("rs1:"):
        assert taken(shown(data, carrier), carrier) == data
        assert own(data, "responses") is None


def test_tools_that_take_text_and_tools_in_groups_are_made_plain_and_restored():
    tools = (
        ToolSpec("exec", "Run.", kind="custom", namespace="functions", format={"definition": "start: /.+/"}),
        *TOOLS,
    )
    call = ToolCall("1", "exec", "ls -l", "custom", "functions")
    request = ChatRequest(
        "m",
        (Message("user", "hi"), Message("assistant", "", (call,)), Message("tool", "ok", tool_call_id="1")),
        tools,
        extra={"tool_choice": {"type": "custom", "custom": {"name": "exec"}}},
    )
    plain = PlainTools(request, text_tools=False)
    sent = plain.request
    assert sent.tools[0].name == "functions__exec"
    assert "start: /.+/" in sent.tools[0].description
    assert sent.messages[1].tool_calls[0] == ToolCall("1", "functions__exec", '{"input": "ls -l"}')
    assert sent.extra["tool_choice"] == {"type": "function", "function": {"name": "functions__exec"}}
    answer = ToolCallEvent(ToolCall("2", "functions__exec", '{"input": "pwd"}'))
    assert plain.restored(answer) == ToolCallEvent(ToolCall("2", "exec", "pwd", "custom", "functions"))
    assert plain.restored(TextDelta("x")) == TextDelta("x")
    for dialect in ALL:
        dialect.encode(sent)
