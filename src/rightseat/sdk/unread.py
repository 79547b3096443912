"""The unread part of an answer, within bounds. It does not know where it comes from."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

MAX_UNREAD = 16 * 1024 * 1024  # characters of an answer that may wait for a slow reader
MAX_PIECES = 2048  # as many are kept apart; a reader that is slower gets them joined

K = TypeVar("K")


class Unread(Generic[K]):
    """Pieces of text, each of some kind, in order."""

    def __init__(self) -> None:
        self._size = 0
        self._joined: list[tuple[K, str]] = []
        self._pieces: list[tuple[K, str]] = []

    def __bool__(self) -> bool:
        return bool(self._pieces or self._joined)

    def put(self, kind: K, text: str) -> bool:
        """Keep a piece. False: more than MAX_UNREAD characters are unread, and it was not kept."""
        self._size += len(text)
        if self._size > MAX_UNREAD:
            return False
        self._pieces.append((kind, text))
        if len(self._pieces) > MAX_PIECES:
            self._joined += joined(self._pieces)
            self._pieces = []
        return True

    def take(self) -> list[tuple[K, str]]:
        """Everything, oldest first."""
        everything = [*self._joined, *self._pieces]
        self._joined, self._pieces, self._size = [], [], 0
        return everything


def joined(pieces: Iterable[tuple[K, str]]) -> Iterator[tuple[K, str]]:
    """Neighbours of one kind as one piece."""
    for kind, group in itertools.groupby(pieces, key=operator.itemgetter(0)):
        yield kind, "".join(text for _, text in group)
