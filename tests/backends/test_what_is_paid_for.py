"""What has come of an answer was paid for: it is counted, whoever takes it, and what is kept of it is within bounds."""

import pytest

from rightseat.backends.base import RelayAnswer
from rightseat.backends.reading import reply_of
from rightseat.chat import ChatRequest, Message
from rightseat.chat.plain import PlainTools
from rightseat.errors import DeclinedError
from rightseat.transport.http.direct_stream import DirectStream
from rightseat.transport.http.heads import AnswerHead, Framing
from rightseat.wire.dialects import CHAT

KIB = 1024
EVENTS = (
    b'data: {"choices":[{"index":0,"delta":{"content":"one "}}],"usage":{"prompt_tokens":7,"completion_tokens":1}}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"two "}}],"usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n',
)


class Flow:
    def pause(self):
        pass

    resume = abort = pause


def arrived(*pieces):
    """An answer of our own client of which so much has come, and nothing was read."""
    stream = DirectStream("upstream", "upstream", Flow())
    stream.begin(AnswerHead(200, {"content-type": "text/event-stream"}, Framing.CHUNKED, 0, keeps=False, idle=None))
    for piece in pieces:
        stream.data(piece)
    return RelayAnswer(stream.chunks(), stream.aclose, headers=stream.headers, source=stream)


@pytest.mark.parametrize("read", [0, 1])
async def test_a_conversation_that_is_closed_counts_what_nobody_took(read):
    answer = arrived(*EVENTS)
    reply = reply_of(
        CHAT, answer, PlainTools(ChatRequest("m", (Message("user", "hi"),)), text_tools=True), streamed=True
    )
    if read:
        await anext(aiter(reply))
    await reply.aclose()
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (7, 2)
    assert (reply.least, reply.is_final) == (2, False)


async def test_what_was_not_taken_is_told_once_also_after_the_end():
    answer = arrived(*EVENTS)
    await answer.aclose()
    assert answer.untaken() == b"".join(EVENTS)
    assert answer.untaken() == b""


async def test_a_whole_answer_is_counted_beyond_64_kib_and_ends_where_there_is_no_room():
    async def pieces():
        for _ in range(4):
            yield bytes(30 * KIB)

    held = []
    answer = RelayAnswer(pieces())
    answer.hold = held.append
    assert len(await answer.read()) == 120 * KIB
    assert held == [30 * KIB] * 2

    def full(_):
        raise DeclinedError("no room")

    answer = RelayAnswer(pieces())
    answer.hold = full
    with pytest.raises(DeclinedError, match="no room"):
        await answer.read()
    assert answer.received == 90 * KIB // 4
