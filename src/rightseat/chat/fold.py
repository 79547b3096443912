"""The only meaning of "not streamed": the events of an answer, folded into one value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from msgspec import Struct

from rightseat.chat.event import Finish, ModelEvent, ReasoningDelta, ReasoningOpaque, TextDelta, ToolCallEvent, Usage
from rightseat.chat.message import ToolCall
from rightseat.errors import AnswerTooLongError

MAX_ANSWER_CHARS = 4 * 1024 * 1024  # of an answer, unless somebody says otherwise: no model says as much at once
_PIECES = 4096  # that are kept apart


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


class Folding:
    """The events of one answer, put together as they come.

    Args:
        limit: characters that are held at most; None: any number.
        held: characters of earlier answers that count, too.
        option: the option that sets the limit, for the error.

    Attributes:
        held: characters so far.
    """

    def __init__(self, limit: int | None = None, *, held: int = 0, option: str | None = None) -> None:
        self.held = held
        self._limit = limit
        self._option = option
        self._blocks: list[Block] = []
        self._joined: list[str] = []  # of the text or the reasoning that is being said
        self._pieces: list[str] = []  # the end of it, in the pieces that came
        self._thinking = False
        self._usage: Usage | None = None
        self._finish: str | None = None

    def add(self, event: ModelEvent) -> None:
        """The next event. Raises AnswerTooLongError: more would be held than is allowed."""
        match event:
            case TextDelta() | ReasoningDelta():
                if self._thinking != isinstance(event, ReasoningDelta):
                    self._settle()
                    self._thinking = not self._thinking
                self._hold(event.text)
                self._pieces.append(event.text)
                if len(self._pieces) >= _PIECES:  # a piece costs more than its characters
                    self._joined.append("".join(self._pieces))
                    self._pieces.clear()
            case ReasoningOpaque():
                said = self._taken() if self._thinking else ""
                self._settle()
                self._hold(event.data)
                self._blocks.append(Reasoning(said, event.data))
            case ToolCallEvent():
                self._settle()
                self._hold(event.call.arguments)
                self._blocks.append(event.call)
            case Usage():
                self._usage = event
            case Finish():
                self._finish = event.reason

    def completion(self) -> Completion:
        """The answer so far."""
        self._settle()
        called = any(isinstance(block, ToolCall) for block in self._blocks)
        finish = self._finish or ("tool_calls" if called else "stop")
        return Completion(tuple(self._blocks), finish, self._usage)

    def _hold(self, text: str) -> None:
        self.held += len(text)
        if self._limit is not None and self.held > self._limit:
            raise AnswerTooLongError(self._limit, self._option)

    def _taken(self) -> str:
        said = "".join((*self._joined, *self._pieces))
        self._joined.clear()
        self._pieces.clear()
        return said

    def _settle(self) -> None:
        if said := self._taken():
            self._blocks.append(Reasoning(said) if self._thinking else said)


def fold(events: Iterable[ModelEvent]) -> Completion:
    """All events of one answer as one value."""
    folding = Folding()
    for event in events:
        folding.add(event)
    return folding.completion()
