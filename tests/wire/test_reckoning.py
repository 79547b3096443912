"""A3: usage is the last word only where nothing was said after it; else what came is reckoned, however it came."""

import json

import pytest

from rightseat.backends.base import RelayAnswer
from rightseat.chat import Usage
from rightseat.errors import ConnectionLostError
from rightseat.wire.dialects import CHAT, MESSAGES, RESPONSES


def event(value):
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(text=None, *, finish=None, usage=None):
    delta = {"content": text} if text is not None else {}
    told = {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}} if usage else {}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **told})


def words(count):
    return [chunk(f"w{i} ") for i in range(count)]


def said(text):
    return event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})


def delta(reason, usage):
    return event({"type": "message_delta", "delta": {"stop_reason": reason}, **({"usage": usage} if usage else {})})


START = event({"type": "message_start", "message": {"id": "m", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}})  # fmt: skip
BLOCK = event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
STOP = event({"type": "message_stop"})
DONE = b"data: [DONE]\n\n"
EARLY = {
    "chat": (CHAT, [*words(3), chunk("a ", usage=(9, 4)), *words(3), chunk(finish="stop"), DONE], Usage(9, 4)),
    "messages": (MESSAGES, [START, BLOCK, said("a "), delta(None, {"output_tokens": 2}), said("b "), said("c "), delta("end_turn", None), STOP], Usage(9, 2)),
    "message_start": (MESSAGES, [START, BLOCK, *map(said, "abc"), delta("end_turn", None), STOP], Usage(9, 1)),
}  # fmt: skip
LAST = {
    "chat": (CHAT, [*words(3), chunk(finish="stop", usage=(9, 3)), DONE]),
    "chat, apart": (CHAT, [*words(3), chunk(finish="stop"), chunk(usage=(9, 3)), DONE]),
    "messages": (MESSAGES, [START, BLOCK, *map(said, "abc"), delta("end_turn", {"output_tokens": 3}), STOP]),
}


def read_by(kind, dialect, pieces):
    reading = getattr(dialect, kind)()
    for piece in pieces:
        reading.feed(piece)
    (reading.eof if kind == "relay" else reading.feed_eof)()
    return reading


@pytest.mark.parametrize("kind", ["relay", "fold", "reader"])
@pytest.mark.parametrize("name", EARLY)
def test_usage_before_more_text_is_not_the_last_word(kind, name):
    dialect, pieces, told = EARLY[name]
    reading = read_by(kind, dialect, pieces)
    assert reading.complete
    assert not reading.is_final
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (told.input_tokens, told.output_tokens)


@pytest.mark.parametrize("kind", ["relay", "fold", "reader"])
@pytest.mark.parametrize("name", LAST)
def test_usage_after_all_text_is_the_last_word(kind, name):
    dialect, pieces = LAST[name]
    reading = read_by(kind, dialect, pieces)
    assert reading.is_final
    assert reading.usage.output_tokens == 3


@pytest.mark.parametrize("kind", ["relay", "fold"])
@pytest.mark.parametrize("crlf", [False, True])
def test_what_came_is_reckoned_by_its_text_and_not_by_what_frames_it(kind, crlf):
    data = b"".join(words(60))
    data = data.replace(b"\n", b"\r\n") if crlf else data
    reading = getattr(CHAT, kind)()
    for at in range(0, len(data), 1000):
        reading.feed(data[at : at + 1000])
    assert 50 <= reading.received <= 72
    assert 50 <= reading.least <= 72


def test_a_limit_that_the_api_raises_is_the_limit():
    assert RESPONSES.least_output == 16


async def test_a_whole_answer_that_is_cut_is_reckoned_as_far_as_it_came():
    async def pieces():
        yield b"x" * 400
        raise ConnectionLostError("cut")

    answer = RelayAnswer(pieces())
    with pytest.raises(ConnectionLostError):
        await answer.read()
    assert answer.received == 100
