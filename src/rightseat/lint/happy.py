"""The rule about tests that know good days only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from rightseat.lint.names import File, asks, chain

# RS108 tests of the happy path only

_FAILURES = re.compile(
    r"(?:error|fail|timeout|time_out|invalid|refus|reject|retry|limit|cancel|abort|empty|broken|bad|wrong|missing|denied|except|"
    r"raises|closed|malformed|unavailable|down|lost|cut)",
    re.IGNORECASE,
)


def happy_only(file: File) -> Iterator[tuple[ast.AST, str]]:
    """Tests of calls without a case of failure."""
    if not file.is_test:
        return
    tests = [
        node
        for node in file.walk(ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test")
    ]
    asking = [test for test in tests if any(asks(node) for node in ast.walk(test))]
    if not asking:
        return
    for test in tests:
        if _FAILURES.search(test.name):
            return
        for node in ast.walk(test):
            if isinstance(node, ast.Try) or (
                isinstance(node, ast.Call) and chain(node.func)[-1] in ("raises", "assertRaises", "assertRaisesRegex")
            ):
                return
    yield asking[0], f"{len(asking)} tests ask a model, and none of them tests what happens when it fails"
