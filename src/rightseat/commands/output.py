"""How commands show what they found: in blocks of lines that fit the terminal, with names and numbers unbroken."""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Iterable

import click

_NARROWEST = 40
_WIDEST = 120


def width() -> int:
    """Columns of the terminal, or of COLUMNS; 80 where it is unknown."""
    given = os.environ.get("COLUMNS", "")
    columns = (
        int(given) if given.isdecimal() and 0 < int(given) < 10_000 else shutil.get_terminal_size((80, 24)).columns
    )
    return max(_NARROWEST, min(columns, _WIDEST))


def show_block(title: str, rows: Iterable[tuple[str, str]]) -> None:
    """Print a title, and below it labelled texts, each wrapped beside its label. Empty texts are left out."""
    click.echo(title)
    told = [(label, text) for label, text in rows if text]
    indent = max((len(label) for label, _ in told), default=0) + 4
    for label, text in told:
        show_beside(f"  {label:<{indent - 2}}", text)


def show_beside(label: str, text: str, colour: str | None = None) -> None:
    """Print a label, and beside it a text that is wrapped; below it where a word is too long for that. Words are never broken."""
    indent = len(label)
    if max(map(len, text.split()), default=0) > width() - indent:
        click.echo(click.style(label.rstrip(), fg=colour))
        indent = 4
    lines = textwrap.wrap(text, width() - indent, break_on_hyphens=False, break_long_words=False) or [""]
    click.echo((click.style(label, fg=colour) if indent == len(label) else " " * indent) + lines[0])
    for line in lines[1:]:
        click.echo(" " * indent + line)


def show_table(head: tuple[str, ...], rows: list[tuple[str, ...]], *, right: frozenset[int] = frozenset()) -> None:
    """Print a table whose last column wraps; the others are as wide as their widest cell.

    Args:
        head: names of the columns.
        rows: their cells.
        right: columns of numbers.
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    indent = sum(widths[:-1]) + 2 * (len(head) - 1)
    room = max(width() - indent, 16)
    for row in (head, *rows):
        cells = [
            cell.rjust(w) if i in right else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(row[:-1], widths, strict=False))
        ]
        lines = textwrap.wrap(row[-1], room, break_on_hyphens=False) or [""]
        click.echo("  ".join([*cells, lines[0]]).rstrip())
        for line in lines[1:]:
            click.echo(f"{'':<{indent}}{line}")


class Wrapped:
    """A text that comes in pieces, broken between words at the width of the terminal.

    Args:
        indent: columns before each line; the first line's are printed already.
    """

    def __init__(self, indent: int = 0) -> None:
        self._indent = indent
        self._column = indent
        self._word = ""
        self._gap = ""  # blanks that are printed if the next word is on the same line

    def feed(self, piece: str) -> str:
        """What can be printed now: all but the last word, which may go on."""
        *whole, self._word = re.split(r"(?<=\s)", self._word + piece)
        return "".join(map(self._placed, whole))

    def end(self) -> str:
        """The rest."""
        word, self._word = self._word, ""
        return self._placed(word)

    def _placed(self, word: str) -> str:
        text, new_line = word.rstrip(), "\n" + " " * self._indent
        before = self._gap
        if text and self._column + len(before) + len(text) > width() and self._column > self._indent:
            before, self._column = new_line, self._indent
        elif text:
            self._column += len(before)
        self._column += len(text)
        self._gap = word[len(text) :] if text else self._gap + word
        if "\n" in self._gap:
            lines, self._gap, self._column = self._gap.count("\n"), "", self._indent
            return (before if text else "") + text + "\n" * (lines - 1) + new_line
        return before + text if text else ""
