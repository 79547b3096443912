"""Every fold and reader has a limit in bytes and says so; time and memory are linear in what was fed, however it is cut."""

import itertools
import json
import tracemalloc

import pytest
from tests.wire.answers import ENVELOPE

from rightseat.chat import TextDelta, ToolCall, ToolCallEvent
from rightseat.errors import AnswerTooLongError
from rightseat.wire.dialects import ALL, CHAT, MESSAGES, RESPONSES
from rightseat.wire.openai_responses import encode
from rightseat.wire.reading import ChunkError, Text
from rightseat.wire.sse import SseDecoder, encode_sse

BY_NAME = pytest.mark.parametrize("dialect", ALL, ids=lambda d: d.name)


def fed(reader, pieces, most: int) -> int:
    """How many bytes it took until the error."""
    size = 0
    with pytest.raises(ChunkError, match=r"\d+ bytes") as caught:
        for piece in pieces:
            size += len(piece)
            assert size < most, "no limit"
            reader.feed(piece)
    with pytest.raises(ChunkError):
        reader.feed_eof()
    assert "at most" in str(caught.value)
    return size


@BY_NAME
def test_an_endless_answer_that_is_folded_ends_in_an_error_that_names_the_limit(dialect):
    encoder = dialect.encoder(ENVELOPE)
    endless = itertools.chain([encoder.start()], (encoder.encode(TextDelta("word " * 20)) for _ in itertools.count()))
    assert fed(dialect.fold(max_held_bytes=100_000), endless, 1_000_000) > 90_000


ENDLESS = {
    "chat": b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"arguments":"and on "}}]}}]}',
    "messages": b'{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"and on "}}',
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_tool_call_that_never_ends_is_an_error(name):
    dialect = CHAT if name == "chat" else MESSAGES
    begun = encode_sse(b'{"type":"content_block_start","index":0,"content_block":{"type":"tool_use"}}')
    endless = itertools.chain([begun], itertools.repeat(encode_sse(ENDLESS[name])))
    fed(dialect.reader(max_held_bytes=10_000), endless, 500_000)


def test_items_without_end_are_an_error():
    def items():
        for index in itertools.count():
            value = {"type": "response.output_item.done", "output_index": index, "item": {"type": "message"}}
            yield encode_sse(json.dumps(value).encode())

    fed(RESPONSES.reader(max_held_bytes=10_000), items(), 500_000)


@BY_NAME
@pytest.mark.parametrize("kind", ["reader", "fold"])
@pytest.mark.parametrize("piece", [b"data: x\n", b"data:\n", b"x", b"event: x"])
def test_an_event_without_end_is_an_error(dialect, kind, piece):
    reader = getattr(dialect, kind)(max_event_bytes=10_000)
    fed(reader, itertools.repeat(piece), 200_000)


def test_an_answer_that_must_be_said_once_more_at_its_end_is_bounded(monkeypatch):
    monkeypatch.setattr(encode, "MAX_FOLD_BYTES", 10_000)
    for event in (TextDelta("word " * 100), ToolCallEvent(ToolCall("1", "t", "x" * 500))):
        encoder = RESPONSES.encoder(ENVELOPE)
        with pytest.raises(AnswerTooLongError, match="10000"):
            for _ in range(100):
                encoder.encode(event)


def test_what_came_before_an_error_in_the_same_bytes_is_given_first():
    for dialect in ALL:
        encoder = dialect.encoder(ENVELOPE)
        stream = (
            encoder.start()
            + encoder.encode(TextDelta("before"))
            + encode_sse(b'{"type":"error","error":{"message":"no"}}')
        )
        for pieces in ([stream], [stream[i : i + 1] for i in range(len(stream))]):
            reader, said = dialect.reader(), []
            with pytest.raises(ChunkError, match="no"):
                for piece in [*pieces, b""]:
                    said += reader.feed(piece)
            assert said == [TextDelta("before")]
            assert str(reader.failure) == "no"


def peak(work) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("line", [b"data: " + b"x" * 100_000, b"data: x\n" * 12_000, b"data:\n" * 16_000])
def test_single_bytes_cost_what_they_are(line):
    data = line.rstrip(b"\n") + b"\n\n"

    def work() -> None:
        decoder = SseDecoder()
        found = [event for i in range(len(data)) for event in decoder.feed(data[i : i + 1])]
        assert len(found) == 1

    assert peak(work) < 8 * len(data)


def test_small_pieces_of_a_text_cost_what_they_are():
    def work() -> None:
        text = Text()
        for i in range(200_000):
            text.add(f"{i % 1000:03}")
        assert len(str(text)) == 600_000

    assert peak(work) < 4_000_000
