"""Finding what is secret or personal in text, and taking it out: whole texts, and texts that come in pieces.

A set of all patterns is asked first, in one pass of RE2 (`rightseat[redact]`); only when it hits, the patterns that hit are looked for one by one.
Without RE2 the standard library does the same, more slowly. What is found is a likely secret and no proof; what is not found may be one.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from msgspec import Struct

from rightseat.security.patterns import PATTERNS, SECRETS, Pattern, is_random

# Most that a match of words and numbers with blanks between them is long, and what names a secret before it.
_REACH = 64
_LONGEST = 64 * 1024  # of what is held back in a stream


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
        self._gate, self._exact = _compiled(self.patterns)

    def find(self, text: str) -> list[Found]:
        """What is found, in order, without overlaps: those that overlap are one."""
        return _merged([found for _, _, found in self.matches(text)])

    def matches(self, text: str) -> list[tuple[int, int, Found]]:
        """What is found, and where that begins and ends by which it was recognised, such as a name before it."""
        if "\\" in text:
            text = unescaped(text)
        return [
            (match.start(), match.end(), Found(*span, self.patterns[i].kind))
            for i in sorted(self._gate(text))
            for match in self._exact[i].finditer(text)
            for span in _spans(self.patterns[i], match)
        ]

    def redact(self, text: str) -> str:
        """The text with `[REDACTED_KIND]` in the place of what is found."""
        found = self.find(text)
        return _replaced(text, found) if found else text


_ESCAPES = re.compile(r"\\+(?:u[0-9a-fA-F]{4}|[nrtbf\"'/])")


def unescaped(text: str) -> str:
    r"""Escapes as in JSON within JSON become as many blanks: in `\\nghp_...` the token begins behind the n. Quotes stay; nothing moves."""
    return _ESCAPES.sub(
        lambda found: " " * (len(found[0]) - 1) + (found[0][-1] if found[0][-1] in "\"'" else " "), text
    )


def _spans(pattern: Pattern, match: re.Match[str]) -> list[tuple[int, int]]:
    """Where in a match the thing itself is; nowhere, if a check says that it is none."""
    if pattern.spans is not None:
        shift = match.start()
        return [(start + shift, end + shift) for start, end in pattern.spans(match[0])]
    if pattern.kind == "named_secret" and not is_random(match[1]):
        return []
    if pattern.check is not None and not pattern.check(match[0]):
        return []
    return [match.span(1 if match.re.groups else 0)]


def _merged(found: list[Found]) -> list[Found]:
    merged: list[Found] = []
    for one in sorted(found, key=lambda f: (f.start, -f.end)):
        last = merged[-1] if merged else None
        if last is None or one.start >= last.end:
            merged.append(one)
        else:
            # A password before an @ looks like an address, too: what is secret gives its name to both.
            kind = last.kind if last.kind in SECRETS or one.kind not in SECRETS else one.kind
            merged[-1] = Found(last.start, max(last.end, one.end), kind)
    return merged


def _replaced(text: str, found: Iterable[Found]) -> str:
    parts, at = [], 0
    for one in found:
        parts += [text[at : one.start], f"[REDACTED_{one.kind.upper()}]"]
        at = one.end
    return "".join([*parts, text[at:]])


@functools.lru_cache(maxsize=8)
def _compiled(patterns: tuple[Pattern, ...]) -> tuple[Any, list[Any]]:
    """(text -> indices of patterns that may be in it, the patterns compiled)."""
    exact = [re.compile(_python(p.regex)) for p in patterns]
    try:
        import re2  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        return lambda text: [i for i, one in enumerate(exact) if one.search(text)], exact
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 64 << 20
    gate = re2.Set.SearchSet(options)
    for pattern in patterns:
        gate.Add(pattern.regex)
    gate.Compile()

    def match(text: str) -> list[int]:
        try:
            return gate.Match(text) or []
        except UnicodeEncodeError:  # half of a surrogate pair, which UTF-8 has no form for
            return gate.Match(text.encode("utf-8", "replace").decode()) or []

    return match, exact


def _python(regex: str) -> str:
    r"""RE2 knows only ASCII in `\\b` and classes; so does this."""
    flags = "(?ai)" if regex.startswith("(?i)") else "(?a)"
    return flags + regex.removeprefix("(?i)")


@functools.cache
def _finder() -> Finder:
    return Finder()


def find_sensitive(text: str, kinds: Collection[str] | None = None) -> list[Found]:
    """What is secret or personal in a text.

    Args:
        text: any text.
        kinds: only these; None: all.
    """
    return (_finder() if kinds is None else Finder(kinds)).find(text)


def redact(text: str, kinds: Collection[str] | None = None) -> str:
    """The text with `[REDACTED_KIND]` in the place of what is secret or personal. Arguments are those of `find_sensitive`."""
    return (_finder() if kinds is None else Finder(kinds)).redact(text)


class StreamRedactor:
    """A text that comes in pieces, redacted as if it had come whole.

        redactor = StreamRedactor()
        for piece in pieces:
            out(redactor.feed(piece))
        out(redactor.end())

    What may still become a secret is held back: of prose, the last word; of words that look like something, up to 64 characters before it;
    of a private key, all of it until its end.

    Args:
        finder: what is found.

    Attributes:
        found: kind -> how often, so far.
    """

    def __init__(self, finder: Finder | None = None) -> None:
        self.found: Counter[str] = Counter()
        self._finder = finder or _finder()
        self._held = ""
        self._before = ""  # the last character that was given: patterns look at what is before them

    def feed(self, text: str) -> str:
        """The next piece; what of all can be given now."""
        self._held += text
        return self._give(_safe(self._held))

    def end(self) -> str:
        """What is left."""
        return self._give(len(self._held))

    def _give(self, cut: int) -> str:
        if not cut:
            return ""
        shift = len(self._before)
        matches = self._finder.matches(self._before + self._held)
        moved = True
        while moved:  # what a match is recognised by stays together with it
            moved = False
            for start, end, _ in matches:
                if start - shift < cut < end - shift:
                    cut, moved = max(0, start - shift), True
        if not cut:
            return ""
        found = _merged([f for _, _, f in matches])
        given = self._held[:cut]
        inside = [
            Found(f.start - shift, f.end - shift, f.kind) for f in found if shift <= f.start and f.end - shift <= cut
        ]
        self._before, self._held = given[-1], self._held[cut:]
        if inside:
            self.found.update(one.kind for one in inside)
        return _replaced(given, inside)


_RUN = re.compile(r"\S+")
_SUSPICIOUS = re.compile(
    r"[0-9=:@+]|-----|[A-Za-z0-9_/-]{16,}|(?i:pass|pwd|secret|token|key|credential|bearer|basic|begin|private)"
)
_OPEN_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY")
_BEGIN = re.compile(r"-----B?E?G?I?N? ?[A-Z0-9 ]{0,40}-{0,5}$")


def _safe(text: str) -> int:
    """How much of a text no later piece can change."""
    end = len(text)
    tail = text.rstrip()
    last_run = len(tail) if tail != text else end
    if tail == text:
        last_run = max((text.rfind(blank) for blank in " \t\r\n\f\v\u00a0\u2028\u2029"), default=-1) + 1
    window = max(0, min(end, last_run) - _REACH)
    hold = last_run
    begin = max((text.rfind(blank, 0, window) for blank in " \t\r\n"), default=-1) + 1
    for run in _RUN.finditer(text, begin, last_run):
        if run.end() > window and _SUSPICIOUS.search(run[0]):
            hold = run.start()
            break
    if (key := _open_key(text)) is not None:
        hold = min(hold, key)
    return max(hold, end - _LONGEST)


def _open_key(text: str) -> int | None:
    """Where a private key begins that has not ended, or what may become the line that begins one."""
    opened = None
    for match in _OPEN_KEY.finditer(text):
        if text.find("PRIVATE KEY", match.end()) < 0 or not re.search(
            r"-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----", text[match.end() :]
        ):
            opened = match.start()
            break
    if opened is None and (half := _BEGIN.search(text, max(0, len(text) - 100))):
        opened = half.start()
    return opened
