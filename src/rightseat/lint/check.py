"""All rules over one text, without what the text says to leave out. It does not know any rule."""

from __future__ import annotations

import ast
import re
import tokenize
from io import StringIO

from rightseat.lint.finding import Finding
from rightseat.lint.names import File
from rightseat.lint.rules import RULES

_IGNORE = re.compile(r"#\s*rightseat:\s*ignore(?:\[([A-Z0-9,\s]+)\])?")
_IGNORE_FILE = re.compile(r"^#\s*rightseat:\s*ignore-file(?:\[([A-Z0-9,\s]+)\])?", re.MULTILINE)


def check_source(
    source: str, path: str = "<text>", *, codes: frozenset[str] | None = None, strict: bool = True
) -> list[Finding]:
    """The findings in a text of Python, in order.

    Args:
        source: the text.
        path: for messages; the name also tells whether it is a test.
        codes: only these rules; None: all.
        strict: also what is meant in many programs, such as a client of openai with the limit of time that it has by itself.

    Raises:
        SyntaxError: it is not Python.
    """
    file = File(ast.parse(source, path), path)
    if not file.relevant:
        return []
    ignored_here, ignored_lines = _suppressed(source)
    found = set()
    for rule in RULES:
        if (codes is not None and rule.code not in codes) or rule.code in ignored_here or "*" in ignored_here:
            continue
        more = rule.more(file) if strict and rule.more is not None else ()
        for node, message in (*rule.check(file), *more):
            line = getattr(node, "lineno", 1)
            lines = range(line, (getattr(node, "end_lineno", None) or line) + 1) if _is_short(node) else (line,)
            if not any(rule.code in ignored_lines.get(n, ()) or "*" in ignored_lines.get(n, ()) for n in lines):
                found.add(Finding(path, line, getattr(node, "col_offset", 0) + 1, rule.code, message))
    return sorted(found)


def _is_short(node: ast.AST) -> bool:
    """A comment anywhere in the node counts: an expression over several lines, but not a whole function."""
    return isinstance(node, ast.expr)


def _suppressed(source: str) -> tuple[frozenset[str], dict[int, frozenset[str]]]:
    """Codes that a file says to leave out, and those of single lines; "*" for all."""
    whole: set[str] = set()
    lines: dict[int, frozenset[str]] = {}
    if not _IGNORE.search(source) and not _IGNORE_FILE.search(source):  # nearly every file; taking it apart is slow
        return frozenset(), lines
    try:
        tokens = list(tokenize.generate_tokens(StringIO(source).readline))
    except tokenize.TokenError:
        tokens = []
    for token in tokens:
        if token.type == tokenize.COMMENT:
            if match := _IGNORE_FILE.match(token.string):
                whole |= _codes(match[1])
            elif match := _IGNORE.search(token.string):
                lines[token.start[0]] = lines.get(token.start[0], frozenset()) | _codes(match[1])
    return frozenset(whole), lines


def _codes(text: str | None) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip()) if text else frozenset("*")
