"""The only meaning of "not streamed": the events of an answer, folded into one value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from msgspec import Struct

from rightseat.chat.event import Finish, ModelEvent, ReasoningDelta, ReasoningOpaque, TextDelta, ToolCallEvent, Usage
from rightseat.chat.message import ToolCall


class Reasoning(Struct, frozen=True):
    """A stretch of reasoning: as text, and encrypted."""

    text: str = ""
    opaque: str = ""


Block: TypeAlias = str | Reasoning | ToolCall


class Completion(Struct, frozen=True):
    """A whole answer.

    Attributes:
        blocks: what was said, in order: texts, stretches of reasoning, tool calls.
    """

    blocks: tuple[Block, ...] = ()
    finish_reason: str = "stop"
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """All text."""
        return "".join(block for block in self.blocks if isinstance(block, str))

    @property
    def reasoning(self) -> str:
        """All reasoning that is text."""
        return "".join(block.text for block in self.blocks if isinstance(block, Reasoning))

    @property
    def reasoning_opaque(self) -> str:
        """The last encrypted reasoning."""
        return next((b.opaque for b in reversed(self.blocks) if isinstance(b, Reasoning) and b.opaque), "")

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """All tool calls."""
        return tuple(block for block in self.blocks if isinstance(block, ToolCall))


def fold(events: Iterable[ModelEvent]) -> Completion:
    """All events of one answer as one value."""
    blocks: list[Block] = []
    pieces: list[str] = []  # of the text or the reasoning that is being said
    thinking = False
    usage: Usage | None = None
    finish = None

    def settle() -> None:
        if pieces:
            said = "".join(pieces)
            blocks.append(Reasoning(said) if thinking else said)
            pieces.clear()

    for event in events:
        match event:
            case TextDelta() | ReasoningDelta():
                if thinking != isinstance(event, ReasoningDelta):
                    settle()
                    thinking = not thinking
                pieces.append(event.text)
            case ReasoningOpaque():
                said = "".join(pieces) if thinking else ""
                if thinking:
                    pieces.clear()
                settle()
                blocks.append(Reasoning(said, event.data))
            case ToolCallEvent():
                settle()
                blocks.append(event.call)
            case Usage():
                usage = event
            case Finish():
                finish = event.reason
    settle()
    called = any(isinstance(block, ToolCall) for block in blocks)
    return Completion(tuple(blocks), finish or ("tool_calls" if called else "stop"), usage)
