"""How many tokens a text has, offline: exactly as o200k counts where `splintr` is installed (`rightseat[tokens]`), else about.

Models of other vendors have other tokenisers: for them o200k is an estimate, too. The answer's own usage is the truth.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

_REMEMBERED = 4096
_SHORT = 16 * 1024  # characters; longer texts are counted and not remembered


def estimate(text: str) -> int:
    """A token for four characters, and for each that is not ASCII about one: rather more than too few."""
    if text.isascii():
        return (len(text) + 3) // 4
    other = len(text) - len(text.encode("ascii", "ignore"))
    return other + (len(text) - other + 3) // 4


@functools.cache
def exact() -> Callable[[str], int] | None:
    """A counter for o200k, or None where `splintr` is not installed. The first call takes some 50 ms."""
    try:
        from splintr import Tokenizer
    except ModuleNotFoundError:
        return None
    encode = Tokenizer.from_pretrained(
        "o200k_base"
    ).encode_ordinary  # `encode` would read <|endoftext|> in a text as a command

    def count_exactly(text: str) -> int:
        try:
            return len(encode(text))
        except UnicodeEncodeError:  # half of a surrogate pair
            return len(encode(text.encode("utf-8", "replace").decode()))

    return count_exactly


@functools.lru_cache(maxsize=_REMEMBERED)
def _remembered(text: str) -> int:
    return (exact() or estimate)(text)


def count(text: str) -> int:
    """The tokens of a text: exact if it can be, else estimated."""
    return _remembered(text) if len(text) <= _SHORT else (exact() or estimate)(text)
