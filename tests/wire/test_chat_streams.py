"""Copilot's streams and their habits, and the law: folding a stream is the same as its events folded, under any split."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightseat.chat import (
    Completion,
    Finish,
    Message,
    ReasoningDelta,
    ReasoningOpaque,
    TextDelta,
    ToolCall,
    ToolCallEvent,
    Usage,
    fold,
)
from rightseat.chat.repair import MISSING, repaired
from rightseat.wire import anthropic
from rightseat.wire.dialect import Envelope
from rightseat.wire.openai_chat.encode import ChunkEncoder, encode_whole
from rightseat.wire.openai_chat.read import ChunkFold, ChunkReader
from rightseat.wire.openai_chat.relay import ChunkRelay
from rightseat.wire.openai_chat.request import decode_body, encode_request
from rightseat.wire.reading import ChunkError
from rightseat.wire.sse import DONE, SseDecoder, encode_sse

TEXT = st.text(min_size=1, max_size=20)
CALL = st.builds(
    ToolCall, st.uuids().map(str), st.sampled_from(["a", "b"]), st.dictionaries(TEXT, TEXT, max_size=2).map(json.dumps)
)


@st.composite
def answers(draw):
    """The events of one answer, in an order in which models give them."""
    events = [ReasoningDelta(t) for t in draw(st.lists(TEXT, max_size=3))]
    if events and draw(st.booleans()):
        events.append(ReasoningOpaque(draw(TEXT)))
    events += [TextDelta(t) for t in draw(st.lists(TEXT, max_size=4))]
    calls = draw(st.lists(CALL, max_size=3, unique_by=lambda c: c.id))
    events += [ToolCallEvent(c) for c in calls]
    usage = Usage(draw(st.integers(0, 999)), draw(st.integers(0, 999)), draw(st.integers(0, 99)))
    return [*events, Finish("tool_calls" if calls else draw(st.sampled_from(["stop", "length"]))), usage]


def encoded(events) -> bytes:
    encoder = ChunkEncoder(Envelope("m"))
    return b"".join(encoder.encode(e) for e in events) + encoder.end()


def read(data: bytes, cuts: list[int] = ()) -> Completion:
    reader, events = ChunkReader(), []
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    for a, b in zip([0, *places], [*places, len(data)], strict=True):
        events += reader.feed(data[a:b])
    events += reader.feed_eof()
    return fold(events)


@given(answers(), st.lists(st.integers(min_value=0), max_size=20))
def test_reading_a_written_stream_gives_the_same_answer_under_any_split(events, cuts):
    assert fold(events) == read(encoded(events), cuts)


@given(answers())
def test_a_folded_stream_is_what_the_whole_answer_would_be(events):
    folder = ChunkFold()
    folder.feed(encoded(events))
    folder.feed_eof()
    streamed, whole = folder.completion(), json.loads(encode_whole(fold(events), Envelope("m")))
    for answer in (streamed, whole):
        for name in ("id", "created"):
            del answer[name]
        answer["choices"][0]["message"].pop("reasoning_opaque", None)
    assert whole == streamed


def anthropic_fold(data: bytes) -> dict:
    """An Anthropic stream folded by the rules of its documentation, apart from our code."""
    message: dict = {}
    parts: dict[int, list[str]] = {}
    decoder = SseDecoder()
    for event in [*decoder.feed(data), *decoder.feed_eof()]:
        said = json.loads(event.data)
        assert event.event.decode() == said["type"]
        match said["type"]:
            case "message_start":
                message = said["message"]
            case "content_block_start":
                assert said["index"] == len(message["content"])
                message["content"].append(said["content_block"])
                parts[said["index"]] = []
            case "content_block_delta":
                block, delta = message["content"][said["index"]], said["delta"]
                match delta["type"]:
                    case "text_delta":
                        block["text"] += delta["text"]
                    case "thinking_delta":
                        block["thinking"] += delta["thinking"]
                    case "signature_delta":
                        block["signature"] += delta["signature"]
                    case "input_json_delta":
                        parts[said["index"]].append(delta["partial_json"])
            case "content_block_stop":
                if joined := "".join(parts.pop(said["index"])):
                    message["content"][said["index"]]["input"] = json.loads(joined)
            case "message_delta":
                message |= said["delta"]
                message["usage"] = said["usage"]
    assert not parts
    return message


@given(answers())
def test_an_anthropic_stream_folds_to_the_whole_anthropic_answer(events):
    encoder = anthropic.DIALECT.encoder(Envelope("m"))
    data = encoder.start() + b"".join(encoder.encode(e) for e in events) + encoder.end()
    streamed, whole = anthropic_fold(data), json.loads(anthropic.DIALECT.encode_whole(fold(events), Envelope("m")))
    del streamed["id"], whole["id"]
    assert whole == streamed


@given(st.binary(max_size=200), st.lists(answers(), max_size=1))
def test_no_garbage_in_a_stream_raises_anything_else(garbage, before):
    reader = ChunkReader()
    try:
        for events in before:
            reader.feed(encoded(events)[:-14])
        reader.feed(garbage)
        reader.feed(b"\n\ndata: " + garbage + b"\n\n")
        reader.feed_eof()
    except ChunkError:
        pass


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda i: st.lists(i, max_size=3) | st.dictionaries(
    st.sampled_from(["choices", "delta", "index", "id", "tool_calls", "function", "custom", "content", "error", "usage", "finish_reason"]), i, max_size=4)))  # fmt: skip
def test_no_odd_chunk_raises_anything_else(chunk):
    reader = ChunkReader()
    try:
        reader.feed(encode_sse(json.dumps(chunk).encode()))
        reader.feed_eof()
    except ChunkError:
        pass


def chunk(delta: dict | None = None, *, index: int = 0, finish: str | None = None, **top) -> bytes:
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    return encode_sse(json.dumps({"id": "x", "model": "m", "choices": choices, **top}).encode())


def call(arguments: str, **fields) -> dict:
    name = {"name": fields.pop("name")} if "name" in fields else {}
    return {"tool_calls": [{**fields, "function": {**name, "arguments": arguments}}]}


def test_a_turn_split_over_several_choices_is_one_answer():
    data = chunk({"content": "Let me see."}, index=0, finish="stop") + chunk(
        call('{"a":1}', id="c1", name="t", index=0), index=1, finish="tool_calls"
    )
    done = read(data + DONE)
    assert done.text == "Let me see."
    assert [c.name for c in done.tool_calls] == ["t"]
    assert done.finish_reason == "tool_calls"


@pytest.mark.parametrize("indexes", [(None, None), (0, 0), (0, 1)])
def test_tool_calls_are_told_apart_by_id_whatever_the_index(indexes):
    data = b""
    for number, index in enumerate(indexes):
        place = {} if index is None else {"index": index}
        data += chunk(call('{"n"', id=f"c{number}", name="t", **place)) + chunk(call(f":{number}}}", **place))
    done = read(data + chunk({}, finish="stop") + DONE)
    assert [(c.id, json.loads(c.arguments)) for c in done.tool_calls] == [("c0", {"n": 0}), ("c1", {"n": 1})]
    assert done.finish_reason == "tool_calls"


def test_usage_after_the_finish_an_empty_first_chunk_and_no_done():
    data = encode_sse(b'{"choices":[],"created":0,"id":"","prompt_filter_results":[]}') + chunk({"content": "hi"})
    data += chunk({}, finish="stop") + chunk(
        usage={"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}
    )
    assert read(data) == Completion(("hi",), finish_reason="stop", usage=Usage(7, 2, 3))


def test_choices_null_and_reasoning_alone():
    data = encode_sse(b'{"choices":null}') + chunk({"reasoning_text": "hm"}) + chunk({"content": None}, finish="stop")
    assert read(data).reasoning == "hm"


@pytest.mark.parametrize("tail", [b"", b"\n\n"])
def test_an_error_inside_a_stream_is_an_error(tail):
    with pytest.raises(ChunkError, match="overloaded") as caught:
        read(chunk({"content": "a"}) + b'data: {"error":{"message":"overloaded","code":"model_overloaded"}}' + tail)
    assert caught.value.code == "model_overloaded"


def test_whether_a_stream_was_whole():
    def relay(data: bytes, step: int) -> ChunkRelay:
        seen = ChunkRelay()
        for start in range(0, len(data), step):
            seen.feed(data[start : start + step])
        return seen

    for step in (1, 7, 10_000):
        assert relay(chunk({"content": "a"}) + DONE, step).complete
        assert relay(chunk({"content": "a"}, finish="stop") + chunk(usage={}), step).complete
        assert not relay(chunk({"content": 'a "finish_reason": null'}), step).complete
        assert not relay(chunk({"content": "a"}), step).complete


# Requests.


def test_a_request_survives_both_ways():
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:,x"}}],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "t", "arguments": "{}"}}],
            },
            {"role": "tool", "content": "r", "tool_call_id": "1"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "t", "description": "d", "parameters": {"type": "object", "properties": {}}},
            }
        ],
        "stream": True,
        "temperature": 0.5,
        "brand_new": {"a": [1]},
    }
    assert body == json.loads(encode_request(decode_body(json.dumps(body).encode())))


def test_a_tool_without_parameters_gets_empty_ones():
    request = anthropic.DIALECT.decode(
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": [{"name": "t"}]}
    )
    assert json.loads(encode_request(request))["tools"][0]["function"]["parameters"] == {
        "type": "object",
        "properties": {},
    }


def test_tool_results_with_images_errors_and_text_behind_them():
    image = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    messages = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "t", "input": {"a": 1}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "1", "is_error": True, "content": [{"type": "text", "text": "bad"}, image]},
            {"type": "text", "text": "go on"}]},
    ]  # fmt: skip
    _, result, user = anthropic.DIALECT.decode({"model": "m", "messages": messages}).messages
    assert (result.role, result.content, result.tool_call_id) == ("tool", "Error: bad", "1")
    assert (user.role, user.content, user.parts[0].url) == ("user", "go on", "https://x/y.png")


def test_conversations_are_rewritten():
    calls = (ToolCall("1", "t"), ToolCall("2", "t"))
    mended = repaired(
        [
            Message("user", "hi"),
            Message("assistant", "", calls),
            Message("tool", "r", tool_call_id="1"),
            Message("user", "  "),
            Message("tool", "orphan", tool_call_id="9"),
            Message("assistant", "done \n"),
        ]
    )
    assert [(m.role, m.content) for m in mended] == [
        ("user", "hi"), ("assistant", ""), ("tool", "r"), ("tool", MISSING), ("user", "orphan"), ("assistant", "done"),
    ]  # fmt: skip
