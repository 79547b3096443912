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
        cached_tokens: of what was read, what came from a cache.
        nano_aiu: what it cost in billionths of an AI credit, where the API told; None: it did not.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    nano_aiu: int | None = None

    @property
    def credits(self) -> float | None:
        """What it cost in AI credits, of which GitHub sells one for 0.01 US dollars; None: not told."""
        return None if self.nano_aiu is None else self.nano_aiu / 1e9

    def __add__(self, other: Usage) -> Usage:
        """Both together. A cost that one of them does not tell is not known of the sum either."""
        costs = (self.nano_aiu, other.nano_aiu)
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            None if None in costs else sum(cost for cost in costs if cost is not None),
        )


class Finish(Struct, frozen=True, gc=False):
    """The answer is complete: "stop", "length", "tool_calls" or "content_filter"."""

    reason: str = "stop"


ModelEvent: TypeAlias = TextDelta | ReasoningDelta | ReasoningOpaque | ToolCallEvent | Usage | Finish
