"""What a model says, piece by piece."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from rightseat.chat.message import ToolCall


class TextDelta(Struct, frozen=True, gc=False):
    """The next piece of the answer."""

    text: str


class ReasoningDelta(Struct, frozen=True, gc=False):
    """The next piece of the model's reasoning."""

    text: str


class ReasoningOpaque(Struct, frozen=True, gc=False):
    """The reasoning so far, encrypted; to be given back with the next request. It ends a stretch of reasoning."""

    data: str


class ToolCallEvent(Struct, frozen=True):
    """The model calls a tool; the call is whole."""

    call: ToolCall


class Usage(Struct, frozen=True, gc=False):
    """Tokens read and written.

    Attributes:
        input_tokens: all that was read, also what came from a cache or was written to one.
        output_tokens: all that was written, also reasoning.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class Finish(Struct, frozen=True, gc=False):
    """The answer is complete: "stop", "length", "tool_calls" or "content_filter"."""

    reason: str = "stop"


ModelEvent: TypeAlias = TextDelta | ReasoningDelta | ReasoningOpaque | ToolCallEvent | Usage | Finish
