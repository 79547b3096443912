"""How many tokens an answer used, from any dialect, in one form. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from rightseat.chat import Usage
from rightseat.json_types import Json
from rightseat.wire.body import count


class _Whole(Struct):
    """As much of a whole body as tells usage."""

    usage: Json = None


_whole = msgspec.json.Decoder(_Whole).decode


def usage_in(body: bytes) -> Usage | None:
    """The usage in a whole answer; None for bytes that are none, or that do not tell."""
    try:
        return usage_of(_whole(body).usage)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def with_cost(usage: object, told: Mapping[str, Json]) -> object:
    """A usage object together with the cost that Copilot tells beside it, in `copilot_usage`."""
    cost = told.get("copilot_usage")
    return {**usage, "copilot_usage": cost} if isinstance(usage, Mapping) and isinstance(cost, Mapping) else usage


def usage_of(value: object) -> Usage | None:
    """A usage object of any of the three dialects, in the one form; None for anything else."""
    if not isinstance(value, Mapping):
        return None
    usage = _tokens_of(value)
    cost = value.get("copilot_usage")
    if usage is not None and isinstance(cost, Mapping) and (nano := cost.get("total_nano_aiu")) is not None:
        usage = msgspec.structs.replace(usage, nano_aiu=_whole_number(nano))
    return usage


def _whole_number(value: object) -> int | None:
    right = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return int(value) if right and value >= 0 else None  # type: ignore[call-overload, operator]


def _tokens_of(value: Mapping[str, Json]) -> Usage | None:
    try:
        if "prompt_tokens" in value:  # OpenAI's chat, and embeddings
            return _openai(value, "prompt_tokens", "completion_tokens")
        if "input_tokens_details" in value:  # OpenAI's responses
            return _openai(value, "input_tokens", "output_tokens")
        if "input_tokens" in value or "output_tokens" in value:  # Anthropic's: disjoint numbers
            read, written = count(value, "cache_read_input_tokens"), count(value, "cache_creation_input_tokens")
            total = count(value, "input_tokens") + read + written
            thought = count(value, "output_tokens_details", "thinking_tokens")
            return Usage(total, count(value, "output_tokens"), read, written, thought)
    except (OverflowError, ValueError, msgspec.ValidationError):  # a number that is none
        return None
    return None


def _openai(value: Mapping[str, object], read: str, written: str) -> Usage:
    return Usage(
        count(value, read),
        count(value, written),
        cached_tokens=count(value, f"{read}_details", "cached_tokens"),
        reasoning_tokens=count(value, f"{written}_details", "reasoning_tokens"),
    )
