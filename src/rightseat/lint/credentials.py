"""The rule about keys in code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from rightseat.lint.names import File, chain

# RS104 hard-coded keys

_KEY_NAMES = re.compile(r"(?:api_?key|token|secret|password|bearer)$", re.IGNORECASE)
_KEY_SHAPES = re.compile(
    r"(?:gh[pousr]_\w{4,}|github_pat_\w{4,}|sk-[\w-]{8,}|tid=\S{8,}|xox[baprs]-\S{8,}|AKIA[0-9A-Z]{12,}|AIza[\w-]{20,})"
)
_PLACEHOLDERS = re.compile(
    r"^(?:any|none|unused|not[-_ ]?needed|x+|\.+|<.*>|your[-_ ].*|\$\{.*\}|[A-Z][A-Z0-9_]*)$|(?i:dummy|fake|example|placeholder|simulated|ignored|unused|not[-_ ]?(?:set|used|required)|no[-_ ]?key|lm[-_ ]?studio|ollama)"
)


def hard_coded(file: File) -> Iterator[tuple[ast.AST, str]]:
    """Keys that stand in the code."""
    for node in file.walk(ast.Constant):
        assert isinstance(node, ast.Constant)
        if not isinstance(node.value, str):
            continue
        if _PLACEHOLDERS.search(node.value):
            continue
        if _KEY_SHAPES.match(node.value):
            yield node, "a key is written in the code"
            continue
        name = _named(file, node)
        if name and _KEY_NAMES.search(name) and not file.is_test and _may_be_key(name, node.value):
            yield node, f"a value for {name} is written in the code"


def _may_be_key(name: str, value: str) -> bool:
    """Long enough, and one word: of all keys only a password has several."""
    return len(value) >= 8 and (len(value.split()) == 1 or name.lower().endswith("password"))


def _named(file: File, node: ast.AST) -> str | None:
    """The name that a literal is given to: a keyword, a variable, a key of a dict."""
    parent = file.parents.get(node)
    if isinstance(parent, ast.keyword):
        return parent.arg
    if isinstance(parent, (ast.Assign, ast.AnnAssign)) and parent.value is node:
        target = parent.targets[0] if isinstance(parent, ast.Assign) else parent.target
        return chain(target)[-1] if isinstance(target, (ast.Name, ast.Attribute)) else None
    return None
