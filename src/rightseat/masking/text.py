"""Text that may hold secrets, made fit to be shown: in an error, a log, a trace, an answer.

Text is cut before it is masked: nobody reads 60 kB of a path, and its sender must not be able to make masking expensive.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from rightseat.masking.finder import Finder, unescaped
from rightseat.masking.patterns import SECRETS
from rightseat.masking.scans import Span, jwts, private_keys

MAX_SHOWN = 2048
"""Characters of a text that are shown unless a caller says otherwise."""

_clean: set[str] = set()
_CLEAN, _SHORT = 256, 200  # texts that are known to hold nothing, and characters of the longest
_MARGIN = 512  # characters beyond a cut that are looked at, so that a secret lying across it is known for one

# GitHub's token formats: ghp_, gho_, ghu_, ghs_, ghr_ and github_pat_. Copilot tokens are `tid=...;exp=...:mac`.
_SECRETS = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{8,}|github_pat_\w{8,}|sk-[A-Za-z0-9_-]{8,}|tid=[^\s\"']{16,})"
    r"|(?<=[Bb]earer )[^\s\"']{8,}|(?<=[Tt]oken )(?=\S*\d)[^\s\"']{16,}"
)

_MARKS = ("gh", "github_pat_", "sk-", "tid=", "earer ", "oken ")  # one of them is in whatever _SECRETS finds

# A JSON member whose name says that its value is secret: "apiKey", "gitHubToken", "client_secret" ...
_SECRET_MEMBERS = re.compile(
    r"""(?i)["'][\w-]{0,64}(?:api_?key|token|secret|password|passwd|authorization)["']\s{0,40}:\s{0,40}["']((?:[^"'\\]|\\.)+)"""
)

_NAMES = tuple(
    name + quote
    for name in ("apikey", "api_key", "token", "secret", "password", "passwd", "authorization")
    for quote in "\"'"
)  # one of them is in whatever _SECRET_MEMBERS finds


def cut(text: str, limit: int = MAX_SHOWN) -> str:
    """The beginning of a text, for an echo: a path, a header, a name that a client sent.

    Args:
        text: any text.
        limit: characters of it that are kept; a longer one says how many more there were.
    """
    return text if len(text) <= limit else f"{text[:limit]}...({len(text) - limit} more characters)"


def mask_secret(secret: str) -> str:
    """`abcd...wxyz` for a secret long enough to stay secret that way, else `****`."""
    return f"{secret[:4]}...{secret[-4:]}" if len(secret) >= 16 else "****"


def mask(text: str, *, known: tuple[str, ...] = (), limit: int | None = MAX_SHOWN) -> str:
    """A text to be shown: everything in it that looks like a secret, and every `known` one, is masked, and what is too long is cut.

    Args:
        text: any text.
        known: secrets that are in use; masked wherever they stand.
        limit: characters that are shown, three quarters from the beginning and one from the end, with a word between them on what was left
            out; None: all of them, for what is not shown but kept.
    """
    for secret in known:
        if len(secret) >= 4:
            text = text.replace(secret, mask_secret(secret))
    if limit is None or len(text) <= limit:
        return _masked(text, _secrets(text))
    # What is recognised by its end, however far away, is looked for in all of the text.
    text = _masked(text, [*private_keys(text, open_ended=True), *jwts(text)])
    if len(text) <= limit:
        return _masked(text, _secrets(text))
    return _ends(text, limit)


def mask_short(text: str) -> str:
    """The same, of 200 characters at most, for what comes again and again, such as paths and names of models: what is clean is remembered."""
    if text in _clean:
        return text
    masked = mask(text, limit=_SHORT)
    if masked == text:
        if len(_clean) >= _CLEAN:
            _clean.clear()
        _clean.add(text)
    return masked


def _ends(text: str, limit: int) -> str:
    """Beginning and end, masked."""
    head, tail = limit - limit // 4, len(text) - limit // 4
    window = max(head, tail - _MARGIN)
    # What stands in a run that began long before may be the rest of a secret, and nothing would tell.
    run = _UNBROKEN.match(text, window)
    if run is not None and run.end() > tail:
        tail = run.end()
    first, last = text[: head + _MARGIN], text[window:]
    return (
        _masked(first, _secrets(first), 0, head)
        + f" ...({tail - head} characters left out)... "
        + _masked(last, _secrets(last), tail - window)
    )


_UNBROKEN = re.compile(r"[^\s\"',]*")


def _masked(text: str, spans: Iterable[Span], start: int = 0, end: int | None = None) -> str:
    """What stands between `start` and `end`, each span that reaches into it masked as a whole."""
    end = len(text) if end is None else end
    parts, at = [], start
    for a, b in _merged(spans):
        if a < end and b > at:
            parts += [text[at : max(at, a)], mask_secret(text[a:b])]
            at = b
    return "".join([*parts, text[at:end]])


def _secrets(text: str) -> list[Span]:
    found: list[Span] = []
    lower = text.lower()
    if any(name in lower for name in _NAMES):  # to look for words is a tenth of the price of a pattern
        found += [match.span(1) for match in _SECRET_MEMBERS.finditer(text)]
    if any(mark in text for mark in _MARKS):
        found += [match.span() for match in _SECRETS.finditer(unescaped(text))]
    found += private_keys(text, open_ended=True)
    return found + [(one.start, one.end) for one in _finder().find(text)]


def _merged(spans: Iterable[Span]) -> list[Span]:
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start < result[-1][1]:
            result[-1] = result[-1][0], max(result[-1][1], end)
        else:
            result.append((start, end))
    return result


@functools.cache
def _finder() -> Finder:
    return Finder(SECRETS)  # it takes some milliseconds, and most programs never need it
