"""Finding in a text what the patterns describe.

A set of all patterns is asked first, in one pass of RE2 (`rightseat[redact]`); only those that hit are looked for one by one. Without RE2
the standard library does the same, more slowly. Either way the time grows with the length of the text and no faster.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct

from rightseat.masking.patterns import PATTERNS, SECRETS, Pattern
from rightseat.masking.scans import Span

MAX_ENGINE_BYTES = 16 << 20  # that RE2 may use for all patterns together
# A pattern of the standard library gives way to no other thread while it looks through a text. So a long text is looked through in windows,
# each with some of what stands before and behind it: a secret that begins in a window is seen whole.
_WINDOW = 64 * 1024
_BEFORE = 1024
_BEHIND = 16 * 1024
Gate: TypeAlias = Callable[[str], Sequence[int]]
"""Text -> indices of the patterns that may be in it."""


class Found(Struct, frozen=True, order=True):
    """Something that was found.

    Attributes:
        start, end: where in the text, in characters.
        kind: see `patterns.PATTERNS`.
    """

    start: int
    end: int
    kind: str


class Finder:
    """Finds some kinds.

    Args:
        kinds: names of patterns; None: all.

    Raises:
        ValueError: there is no such kind.
    """

    def __init__(self, kinds: Collection[str] | None = None) -> None:
        known = {pattern.kind for pattern in PATTERNS}
        if kinds is not None and (unknown := set(kinds) - known):
            raise ValueError(f"kinds: there is no {min(unknown)!r}; there is {', '.join(sorted(known))}")
        self.patterns = tuple(p for p in PATTERNS if kinds is None or p.kind in kinds)
        self._gate = _gate(self.patterns)

    def find(self, text: str) -> list[Found]:
        """What is found, in order, without overlaps: those that overlap are one."""
        return merged([found for _, _, found in self.matches(text)])

    def matches(self, text: str) -> list[tuple[int, int, Found]]:
        """What is found, and where that begins and ends by which it was recognised, such as a name before it."""
        if len(text) <= _WINDOW + _BEHIND:
            return self._matches(text, 0)
        return [one for start in range(0, len(text), _WINDOW) for one in self._in_window(text, start)]

    def _in_window(self, text: str, start: int) -> Iterator[tuple[int, int, Found]]:
        """What begins in one window of a long text."""
        begin = max(0, start - _BEFORE)
        if begin and (blank := _BLANK.search(text, begin, start)):
            begin = blank.end()  # rather than in the middle of a word, which may look like another
        stop = start + _WINDOW
        for one in self._matches(text[begin : stop + _BEHIND], begin):
            if start <= one[0] < stop:
                yield one

    def _matches(self, text: str, shift: int) -> list[tuple[int, int, Found]]:
        text = unescaped(text)
        return [
            (a + shift, b + shift, Found(start + shift, end + shift, self.patterns[i].kind))
            for i in sorted(self._gate(text))
            for (a, b), (start, end) in _matches(self.patterns[i], text)
        ]

    def redact(self, text: str) -> str:
        """The text with `[REDACTED_KIND]` in the place of what is found."""
        found = self.find(text)
        return replaced(text, found) if found else text


_BLANK = re.compile(r"\s")


def _matches(pattern: Pattern, text: str) -> Iterator[tuple[Span, Span]]:
    """Each match, and the thing itself in it."""
    for match, span in pattern.scan(text) if pattern.scan is not None else _searched(pattern, text):
        if pattern.spans is not None:
            yield from ((match, (span[0] + a, span[0] + b)) for a, b in pattern.spans(text[slice(*span)]))
        elif pattern.check is None or pattern.check(text[slice(*span)]):
            yield match, span


def _searched(pattern: Pattern, text: str) -> Iterator[tuple[Span, Span]]:
    exact = _exact(pattern.regex)
    group = 1 if exact.groups else 0
    return ((match.span(), match.span(group)) for match in exact.finditer(text))


# In a run of backslashes all belong to one escape or none: a match takes the whole run, so none is tried from its second one. It begins with
# a plain character, which the standard library looks for a hundred times faster than for anything else.
_ESCAPES = re.compile(r"\\\\*+(?:(u[0-9a-fA-F]{4}|[nrtbf/])|([\"']))?")


def unescaped(text: str) -> str:
    r"""Escapes as in JSON within JSON become as many blanks: in `\\nghp_...` the token begins behind the n. Quotes stay; nothing moves."""
    return _ESCAPES.sub(_blank, text) if "\\" in text else text


def _blank(found: re.Match[str]) -> str:
    if found.lastindex is None:
        return found[0]
    quote = found[2] or ""
    return " " * (len(found[0]) - len(quote)) + quote


def merged(found: Iterable[Found]) -> list[Found]:
    """In order, without overlaps."""
    result: list[Found] = []
    for one in sorted(found, key=lambda f: (f.start, -f.end)):
        last = result[-1] if result else None
        if last is None or one.start >= last.end:
            result.append(one)
        else:
            # A password before an @ looks like an address, too: what is secret gives its name to both.
            kind = last.kind if last.kind in SECRETS or one.kind not in SECRETS else one.kind
            result[-1] = Found(last.start, max(last.end, one.end), kind)
    return result


def replaced(text: str, found: Iterable[Found]) -> str:
    """The text with `[REDACTED_KIND]` in the place of each."""
    parts, at = [], 0
    for one in found:
        parts += [text[at : one.start], f"[REDACTED_{one.kind.upper()}]"]
        at = one.end
    return "".join([*parts, text[at:]])


@functools.lru_cache(maxsize=8)
def _gate(patterns: tuple[Pattern, ...]) -> Gate:
    try:
        return re2_gate([pattern.regex for pattern in patterns], MAX_ENGINE_BYTES)
    except ModuleNotFoundError:
        return functools.partial(_marked, patterns)


def re2_gate(regexes: Iterable[str], max_bytes: int) -> Gate:
    """One pass of RE2 for many patterns: text -> indices of those that are in it.

    Raises:
        ModuleNotFoundError: RE2 is not installed.
        re2.error: one of them is not RE2's syntax, or all are too large together.
    """
    import re2  # type: ignore[import-untyped]

    options = re2.Options()
    options.log_errors = False
    options.max_mem = max_bytes
    gate = re2.Set.SearchSet(options)
    for regex in regexes:
        gate.Add(regex)
    gate.Compile()

    def match(text: str) -> Sequence[int]:
        try:
            found: Sequence[int] | None = gate.Match(text)
        except UnicodeEncodeError:  # half of a surrogate pair, which UTF-8 has no form for
            found = gate.Match(text.encode("utf-8", "replace").decode())
        return found or ()

    return match


def _marked(patterns: tuple[Pattern, ...], text: str) -> Sequence[int]:
    """By the words that must be there: to look for a word is a tenth of the price of a pattern."""
    lower = text.lower()
    return [
        i
        for i, pattern in enumerate(patterns)
        if not pattern.marks or any(mark in (lower if mark.islower() else text) for mark in pattern.marks)
    ]


@functools.cache
def _exact(regex: str) -> re.Pattern[str]:
    return re.compile(python_form(regex))


def python_form(regex: str) -> str:
    r"""RE2 knows only ASCII in `\\b` and classes; so does this."""
    flags = "(?ai)" if regex.startswith("(?i)") else "(?a)"
    return flags + regex.removeprefix("(?i)")
