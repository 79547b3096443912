"""Finding what is secret or personal in text, and taking it out: whole texts, and texts that come in pieces.

What is found is a likely secret and no proof; what is not found may be one.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Collection

from rightseat.masking.finder import Finder, Found, merged, replaced
from rightseat.masking.scans import open_key

# Most that a match of words and numbers with blanks between them is long, and what names a secret before it.
_REACH = 64
_LONGEST = 64 * 1024  # of what is held back in a stream
_LITTLE = 1024  # characters that are looked through with every piece


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
        self._new: list[str] = []
        self._new_chars = 0
        self._before = ""  # the last character that was given: patterns look at what is before them

    def feed(self, text: str) -> str:
        """The next piece; what of all can be given now."""
        self._new.append(text)
        self._new_chars += len(text)
        # A large buffer is not searched again for every few characters: the total work stays linear.
        if self._new_chars * 4 < len(self._held) - _LITTLE:
            return ""
        self._take()
        return self._give(_safe(self._held))

    def end(self) -> str:
        """What is left."""
        self._take()
        return self._give(len(self._held))

    def _take(self) -> None:
        self._held += "".join(self._new)
        self._new.clear()
        self._new_chars = 0

    def _give(self, cut: int) -> str:
        if not cut:
            return ""
        shift = len(self._before)
        matches = self._finder.matches(self._before + self._held)
        for start, end, _ in sorted(matches, reverse=True):  # what a match is recognised by stays together with it
            if start - shift < cut < end - shift:
                cut = max(0, start - shift)
        if not cut:
            return ""
        found = merged([f for _, _, f in matches])
        given = self._held[:cut]
        inside = [
            Found(f.start - shift, f.end - shift, f.kind) for f in found if shift <= f.start and f.end - shift <= cut
        ]
        self._before, self._held = given[-1], self._held[cut:]
        if inside:
            self.found.update(one.kind for one in inside)
        return replaced(given, inside)


_RUN = re.compile(r"\S+")
_SUSPICIOUS = re.compile(
    r"[0-9=:@+]|-----|[A-Za-z0-9_/-]{16,}|(?i:pass|pwd|secret|token|key|credential|bearer|basic|begin|private)"
)
_BEGIN = re.compile(r"-----B?E?G?I?N? ?[A-Z0-9 ]{0,40}-{0,5}$")


def _safe(text: str) -> int:
    """How much of a text no later piece can change."""
    end = len(text)
    tail = text.rstrip()
    last_run = len(tail) if tail != text else _run_start(text, end)
    window = max(0, min(end, last_run) - _REACH)
    hold = last_run
    for run in _RUN.finditer(text, _run_start(text, window), last_run):
        if run.end() > window and _SUSPICIOUS.search(run[0]):
            hold = run.start()
            break
    if (key := _open_key(text)) is not None:
        hold = min(hold, key)
    return max(hold, end - _LONGEST)


def _run_start(text: str, at: int) -> int:
    """Where the run of characters that are no blanks begins that reaches `at`."""
    return max(text.rfind(blank, 0, at) for blank in " \t\r\n\f\v\u00a0\u2028\u2029") + 1


def _open_key(text: str) -> int | None:
    """Where a private key begins that has not ended, or what may become the line that begins one."""
    opened = open_key(text)
    if opened is None and (half := _BEGIN.search(text, max(0, len(text) - 100))):
        opened = half.start()
    return opened
