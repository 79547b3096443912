"""Answers in any dialect, for the laws of dialects."""

import json

from hypothesis import strategies as st

from rightseat.chat import (
    ChatRequest,
    Finish,
    Message,
    ReasoningDelta,
    ReasoningOpaque,
    TextDelta,
    ToolCall,
    ToolCallEvent,
    Usage,
)
from rightseat.wire.dialect import Envelope
from rightseat.wire.dialects import CHAT, MESSAGES
from rightseat.wire.opaque import seal

TEXT = st.text(min_size=1, max_size=20)
ARGUMENTS = st.dictionaries(TEXT, TEXT, max_size=2).map(json.dumps)
CALL = st.builds(ToolCall, st.uuids().map(str), st.sampled_from(["a", "b"]), ARGUMENTS)
ASKED = ChatRequest("m", (Message("user", "hi"),))
ENVELOPE = Envelope("m", {"model": "m"}, ASKED)
CUTS = st.lists(st.integers(min_value=0), max_size=20)


@st.composite
def answers(draw, origin):
    """The events of an answer that was made in a dialect."""
    sealed = (lambda data: data) if origin is CHAT else (lambda data: seal(origin.name, data))
    events = [ReasoningDelta(t) for t in draw(st.lists(TEXT, max_size=3))]
    if events and draw(st.booleans()):
        events.append(ReasoningOpaque(sealed(draw(TEXT))))
    events += [TextDelta(t) for t in draw(st.lists(TEXT, max_size=4))]
    calls = draw(st.lists(CALL, max_size=3, unique_by=lambda c: c.id))
    events += [ToolCallEvent(c) for c in calls]
    read, written = draw(st.integers(0, 99)), draw(st.integers(0, 99)) if origin is MESSAGES else 0
    usage = Usage(read + written + draw(st.integers(0, 999)), draw(st.integers(0, 999)), read, written)
    return [*events, usage, Finish("tool_calls" if calls else draw(st.sampled_from(["stop", "length"])))]


def written(dialect, events) -> bytes:
    """A stream that says these events."""
    encoder = dialect.encoder(ENVELOPE)
    return encoder.start() + b"".join(encoder.encode(e) for e in events) + encoder.end()


def cut(data: bytes, cuts) -> list[bytes]:
    """The same bytes in pieces."""
    places = sorted({at % (len(data) + 1) for at in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
