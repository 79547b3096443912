"""The only meaning of "not streamed": the events of an answer, folded into one value."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from rightseat.chat.event import Finish, ModelEvent, ReasoningDelta, ReasoningOpaque, TextDelta, ToolCallEvent, Usage
from rightseat.chat.message import ToolCall


class Completion(Struct, frozen=True):
    """A whole answer."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    usage: Usage | None = None
    reasoning_opaque: str = ""


def fold(events: Iterable[ModelEvent]) -> Completion:
    """All events of one answer as one value."""
    text: list[str] = []
    reasoning: list[str] = []
    calls: list[ToolCall] = []
    usage: Usage | None = None
    finish, opaque = None, ""
    for event in events:
        match event:
            case TextDelta():
                text.append(event.text)
            case ReasoningDelta():
                reasoning.append(event.text)
            case ReasoningOpaque():
                opaque = event.data
            case ToolCallEvent():
                calls.append(event.call)
            case Usage():
                usage = event
            case Finish():
                finish = event.reason
    return Completion(
        "".join(text), "".join(reasoning), tuple(calls), finish or ("tool_calls" if calls else "stop"), usage, opaque
    )
