"""What a rule is and what it finds, as values."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from msgspec import Struct

from rightseat.lint.names import File


class Finding(Struct, frozen=True, order=True):
    """Something that is likely wrong.

    Attributes:
        path: the file.
        line, column: where, both from 1.
        code: the rule, such as "RS101".
        message: what is there.
    """

    path: str
    line: int
    column: int
    code: str
    message: str


class LintRule(Struct, frozen=True):
    """A rule.

    Attributes:
        code: never changes its meaning.
        name: the anti-pattern.
        why: what goes wrong.
        instead: what to write.
        check: finds it: (file) -> (node, message).
        more: finds what is meant in many programs, and is no fault in them; for those who ask for it.
    """

    code: str
    name: str
    why: str
    instead: str
    check: Callable[[File], Iterator[tuple[ast.AST, str]]]
    more: Callable[[File], Iterator[tuple[ast.AST, str]]] | None = None
