"""What a secret looks like, and how to show text that may hold one.

Pure text in, pure text out: this module refuses to know where the text came from. It is a leaf; every package may use it.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from rightseat.security.patterns import SECRETS

if TYPE_CHECKING:
    from rightseat.security.redaction import Finder

# GitHub's token formats: ghp_, gho_, ghu_, ghs_, ghr_ and github_pat_. Copilot tokens are `tid=...;exp=...:mac`.
_SECRETS = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{8,}|github_pat_\w{8,}|sk-[A-Za-z0-9_-]{8,}|tid=[^\s\"']{16,})"
    r"|(?<=[Bb]earer )[^\s\"']{8,}|(?<=[Tt]oken )(?=\S*\d)[^\s\"']{16,}"
)

_MARKS = ("gh", "github_pat_", "sk-", "tid=", "earer ", "oken ")  # one of them is in whatever _SECRETS finds

# A JSON member whose name says that its value is secret: "apiKey", "gitHubToken", "client_secret" ...
_SECRET_MEMBERS = re.compile(
    r"""(["'][\w-]*(?:api_?key|token|secret|password|passwd|authorization)["']\s*:\s*["'])((?:[^"'\\]|\\.)+)""",
    re.IGNORECASE,
)


_NAMES = tuple(
    name + quote
    for name in ("apikey", "api_key", "token", "secret", "password", "passwd", "authorization")
    for quote in "\"'"
)  # one of them is in whatever _SECRET_MEMBERS finds


def mask_secret(secret: str) -> str:
    """`abcd...wxyz` for a secret long enough to stay secret that way, else `****`."""
    return f"{secret[:4]}...{secret[-4:]}" if len(secret) >= 16 else "****"


def mask(text: str, *, known: tuple[str, ...] = ()) -> str:
    """`text` with everything that looks like a secret, and every `known` one, masked."""
    for secret in known:
        if len(secret) >= 4:
            text = text.replace(secret, mask_secret(secret))
    low = text.lower()
    if any(name in low for name in _NAMES):  # a search for words is a tenth of the price of a pattern
        text = _SECRET_MEMBERS.sub(lambda found: found[1] + mask_secret(found[2]), text)
    if any(mark in text for mark in _MARKS):
        for found in reversed(list(_SECRETS.finditer(_plain(text)))):
            text = text[: found.start()] + mask_secret(text[found.start() : found.end()]) + text[found.end() :]
    for one in reversed(_finder().find(text)):
        text = text[: one.start] + mask_secret(text[one.start : one.end]) + text[one.end :]
    return text


def _plain(text: str) -> str:
    if "\\" not in text:
        return text
    from rightseat.security.redaction import unescaped

    return unescaped(text)


@functools.cache
def _finder() -> Finder:
    from rightseat.security.redaction import Finder  # it takes some milliseconds, and most programs never need it

    return Finder(SECRETS)
