"""Finding by hand what a backtracking regular expression finds in quadratic time, or slowly. Pure, and linear in the length of the text.

Each function gives the spans of its matches from left to right, without overlaps, as the pattern of the same name in `patterns` would.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from rightseat.masking.checks import is_card

Span: TypeAlias = tuple[int, int]
"""Start and end, in characters."""

_KEY_HEAD = re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"(?a)[A-Za-z0-9+/=\s:,\\-]*")  # the lines that begin and end a key, too
_KEY_CHARS = 16  # fewer between the lines are no key


def private_keys(text: str, *, open_ended: bool = False) -> Iterator[Span]:
    """Private keys in PEM (RFC 7468), or armored as PGP does (RFC 4880, section 6.2).

    Args:
        text: any text.
        open_ended: a key whose end is not there counts as one, up to what cannot be part of it: for texts that were cut.
    """
    for begin, head_end, body_end, end in _keys(text):
        if end is not None:
            yield begin, end
        elif open_ended and body_end - head_end >= _KEY_CHARS:
            yield begin, body_end


def open_key(text: str) -> int | None:
    """Where a private key begins that has not ended and that more text may complete."""
    return next((begin for begin, _, body_end, end in _keys(text) if end is None and body_end == len(text)), None)


def _keys(text: str) -> Iterator[tuple[int, int, int, int | None]]:
    """Begin, end of the first line, end of what can be part of a key, end of the key if there is one."""
    at = body_end = 0
    while (begin := text.find("-----BEGIN ", at)) >= 0:
        head = _KEY_HEAD.match(text, begin)
        if head is None:
            at = begin + 1
            continue
        if head.end() > body_end:  # each run of a key's characters is measured once, however many keys begin in it
            body_end = _end_of(_KEY_BODY, text, head.end())
        end = _key_end(text, head.end() + _KEY_CHARS, body_end)
        yield begin, head.end(), body_end, end
        at = body_end if end is None else end  # no other that begins in this run has an end either


def _key_end(text: str, start: int, stop: int) -> int | None:
    while (at := text.find("-----END ", start, stop)) >= 0:
        if found := _KEY_END.match(text, at, stop):
            return found.end()
        start = at + 1
    return None


_JWT_RUN = re.compile(r"[0-9A-Za-z_-]*")
_JWT_CHARS = 8  # of each part
_JWT_START = re.compile(r"(?a)\beyJ")


def jwts(text: str) -> Iterator[Span]:
    """JSON web tokens (RFC 7519): three parts of base64url, the first two beginning as `{"` does."""
    at = 0
    while found := _JWT_START.search(text, at):
        begin = found.start()
        first = _end_of(_JWT_RUN, text, begin)
        second = _jwt_part(text, first, "eyJ") if first - begin >= _JWT_CHARS + 3 else None
        third = _jwt_part(text, second, "") if second is not None else None
        if third is not None:
            yield begin, third
            at = third
        else:
            at = first  # all that begin in this run end with it


def _jwt_part(text: str, at: int, prefix: str) -> int | None:
    """The end of a part behind the dot at `at`."""
    if not text.startswith("." + prefix, at):
        return None
    end = _end_of(_JWT_RUN, text, at + 1)
    return end if end - at - 1 >= _JWT_CHARS + len(prefix) else None


_NAME_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_NAME_LONGEST = 40  # before the word that says it is secret
_EDGE = re.compile(r"(?a)\b")
_NAMED = re.compile(
    r"""(?ai)(?:api[_-]?key|apikey|secret|token|passwd|password|pwd|credential|auth[_-]?key|access[_-]?key|private[_-]?key)"""
    r"""(?:s|[_-]?(?:id|key|value|base64|prod|production|dev|test|live|staging|[0-9]{1,3}))?(?:[ \t]{0,40}["'])?"""
    r"""[ \t]{0,3}(?:=>|:=|[=:])[ \t]{0,40}["'`]?([^\s"'`,;<>(){}\[\]]{8,500})"""
)


def named_secrets(text: str) -> Iterator[tuple[Span, Span]]:
    """`api_key = "..."` and the like: the span of all of it, and of the value. What the value looks like is for others to judge."""
    at = 0
    while found := _NAMED.search(text, at):
        word = found.start()
        name = text[max(at, word - _NAME_LONGEST) : word]
        start = word - (len(name) - len(name.rstrip(_NAME_CHARS)))
        edge = _EDGE.search(text, start, word + 1)
        if edge is None or edge.start() > word:
            at = word + 1
        else:
            yield (edge.start(), found.end()), found.span(1)
            at = found.end()


_DIGITS = re.compile(r"[0-9]+")


def cards(text: str) -> list[Span]:
    """Cards in a row of groups of digits: other numbers may stand before and behind them, and hide them from a greedy pattern."""
    groups = [match.span() for match in _DIGITS.finditer(text)]
    found: list[Span] = []
    first = 0
    while first < len(groups):
        for last in range(min(len(groups), first + 6) - 1, first - 1, -1):
            start, end = groups[first][0], groups[last][1]
            if end - start - (last - first) >= 12 and end - start <= 24 and is_card(text[start:end]):
                found.append((start, end))
                first = last
                break
        first += 1
    return found


def _end_of(run: re.Pattern[str], text: str, at: int) -> int:
    found = run.match(text, at)
    return found.end() if found else at
