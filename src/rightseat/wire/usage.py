"""Reading how many tokens an answer used out of its bytes, without decoding the rest of it. Pure.

Within what a model says JSON escapes quotes, so `"usage":{` in the bytes is the member of that name and nothing else.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from rightseat.chat import Usage
from rightseat.wire.body import count

NAME = b'"usage":'
_OPENS = re.compile(rb'"usage": ?\{')
_MOST = 4096  # bytes of one usage object
_raw_decode = json.JSONDecoder().raw_decode


class UsageWatch:
    """Looks for usage in bytes that pass.

    The fields of several objects are put together, the last one's counting: Anthropic's begin with what was read and end with what was written.
    """

    __slots__ = ("_found", "_open")

    def __init__(self) -> None:
        self._found: list[bytes] = []
        self._open = False

    def see(self, seen: bytes, overlap: int = 0) -> None:
        """The next bytes; the first `overlap` of them were seen before, as many as `"usage":{` needs to be found across a cut."""
        if self._open:  # it may have been cut in the middle
            self._found[-1] += seen[overlap : overlap + _MOST]
            self._open = len(self._found[-1]) < _MOST
        if NAME in seen:
            for match in _OPENS.finditer(seen):
                if match.end() > overlap:  # else it was found before
                    self._found.append(seen[match.end() - 1 : match.end() + _MOST])
                    self._open = True
            del self._found[1:-1]  # the first and the last tell all

    @property
    def usage(self) -> Usage | None:
        """What was found, in the one form."""
        value: dict[str, Any] = {}
        for data in self._found:
            try:
                part, _ = _raw_decode(data.decode("utf-8", "replace"))
            except ValueError:
                continue
            value |= {name: one for name, one in part.items() if one is not None} if isinstance(part, dict) else {}
        return usage_of(value)


def usage_in(body: bytes) -> Usage | None:
    """The usage in a whole answer."""
    at = body.rfind(NAME)
    while at >= 0:
        watch = UsageWatch()
        watch.see(body[at : at + _MOST])
        if (found := watch.usage) is not None:
            return found
        at = body.rfind(NAME, 0, at)
    return None


def usage_of(value: Any) -> Usage | None:
    """A usage object of any of the three dialects, in the one form; None for anything else."""
    if not isinstance(value, dict):
        return None
    try:
        if "prompt_tokens" in value:  # OpenAI's chat, and embeddings
            return Usage(
                count(value, "prompt_tokens"),
                count(value, "completion_tokens"),
                cached_tokens=count(value, "prompt_tokens_details", "cached_tokens"),
                reasoning_tokens=count(value, "completion_tokens_details", "reasoning_tokens"),
            )
        if "input_tokens_details" in value or "output_tokens_details" in value:  # OpenAI's responses
            return Usage(
                count(value, "input_tokens"),
                count(value, "output_tokens"),
                cached_tokens=count(value, "input_tokens_details", "cached_tokens"),
                reasoning_tokens=count(value, "output_tokens_details", "reasoning_tokens"),
            )
        if "input_tokens" in value or "output_tokens" in value:  # Anthropic's: disjoint numbers
            read, written = count(value, "cache_read_input_tokens"), count(value, "cache_creation_input_tokens")
            total = count(value, "input_tokens") + read + written
            return Usage(total, count(value, "output_tokens"), cached_tokens=read, cache_write_tokens=written)
    except (OverflowError, ValueError, msgspec.ValidationError):  # a number that is none
        return None
    return None
