"""What a file imports, what its names stand for, and small questions to a syntax tree."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from typing import TypeAlias

# Packages whose users this is for.
PACKAGES = ("rightseat", "copilot", "github_copilot_sdk", "openai", "anthropic")
FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# Calls that ask a model, by the last names of the chain: session.chat(...), client.chat.completions.create(...).
_ASKING = {("chat",), ("stream",), ("send_and_wait",), ("ask",)}
_CREATING = {("completions", "create"), ("responses", "create"), ("messages", "create"), ("messages", "stream"), ("responses", "stream"), ("completions", "parse"), ("responses", "parse")}  # fmt: skip


class File:
    """A parsed file.

    Attributes:
        tree: its syntax tree.
        is_test: it is a test, by its name; of a fragment, by what it defines.
        is_fragment: it imports nothing that is installed, and still speaks to a model: a piece of a file, as in a review or on a page.
        relevant: it imports one of PACKAGES, or is a fragment.
    """

    def __init__(self, tree: ast.Module, name: str) -> None:
        self.tree = tree
        base = name.replace("\\", "/").rsplit("/", 1)[-1]
        self.is_test = base.startswith("test_") or base.endswith("_test.py") or base == "conftest.py"
        self.parents: dict[ast.AST, ast.AST] = {}
        self._by_kind: dict[type[ast.AST], list[ast.AST]] = {}
        for node in ast.walk(tree):
            self._by_kind.setdefault(type(node), []).append(node)
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
        imported = set(self._imports())
        self.packages = imported & set(PACKAGES)
        self.is_fragment = imported <= sys.stdlib_module_names and self._speaks_to_a_model()
        self.relevant = bool(self.packages) or self.is_fragment
        if self.is_fragment:
            names = (node.name for node in self.walk(*FUNCTIONS) if isinstance(node, FUNCTIONS))
            self.is_test = self.is_test or any(name.startswith("test_") for name in names)

    def walk(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        """All nodes of some kinds, kind by kind."""
        for kind in kinds:
            yield from self._by_kind.get(kind, ())

    def function_of(self, node: ast.AST) -> FunctionNode | None:
        """The function that a node is in, if any."""
        at = self.parents.get(node)
        while at is not None and not isinstance(at, (ast.FunctionDef, ast.AsyncFunctionDef)):
            at = self.parents.get(at)
        return at

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """What a node is in, from the inside out."""
        at = self.parents.get(node)
        while at is not None:
            yield at
            at = self.parents.get(at)

    def _speaks_to_a_model(self) -> bool:
        """Something in it is one of ours without doubt: who only has a method named `chat` is not."""
        return (
            any(asks_session(inner(node)) for node in self.walk(ast.Await))
            or any(
                isinstance(node, ast.AsyncFor) and asks_session(inner(node.iter)) for node in self.walk(ast.AsyncFor)
            )
            or any(isinstance(node, ast.Call) and _is_ours(node) for node in self.walk(ast.Call))
            or any(isinstance(node, ast.Dict) and _is_tool(node) for node in self.walk(ast.Dict))
        )

    def _imports(self) -> Iterator[str]:
        for node in self.walk(ast.Import, ast.ImportFrom):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0]


def chain(node: ast.AST) -> tuple[str, ...]:
    """`a.b.c` as ("a", "b", "c"); what is no name in front becomes "?"."""
    found: list[str] = []
    while isinstance(node, ast.Attribute):
        found.append(node.attr)
        node = node.value
    found.append(node.id if isinstance(node, ast.Name) else "?")
    return tuple(reversed(found))


def asks(node: ast.AST) -> bool:
    """The node is a call that asks a model."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    names = chain(node.func)
    if names[-2:] in _CREATING:
        return True
    # A chat or a stream of something that looks like a session or a client, and is asked something.
    return names[-1:] in _ASKING and bool(node.args or node.keywords) and len(names) > 1


def streams(node: ast.AST) -> bool:
    """The node is a call that gives an answer in pieces."""
    if not asks(node):
        return False
    assert isinstance(node, ast.Call)
    if chain(node.func)[-1] == "stream":
        return True
    value = keyword(node, "stream")
    return isinstance(value, ast.Constant) and value.value is True


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword of a call, or None."""
    return next((k.value for k in call.keywords if k.arg == name), None)


def inner(node: ast.AST) -> ast.AST:
    """A value without what is around it: `await x`, `x` in `async with x`."""
    return node.value if isinstance(node, ast.Await) else node


def fields(node: ast.Dict) -> dict[str, ast.expr]:
    """The values of a dict by those of its keys that are texts."""
    return {
        key.value: value
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def role_of(node: ast.AST) -> str | None:
    """The role of a message that is written as a dict."""
    role = fields(node).get("role") if isinstance(node, ast.Dict) else None
    return role.value if isinstance(role, ast.Constant) and isinstance(role.value, str) else None


def asks_session(node: ast.AST) -> bool:
    """A call that asks something named as a session is."""
    if not isinstance(node, ast.Call) or not asks(node):
        return any(asks_session(arg) for arg in node.args) if isinstance(node, ast.Call) else False
    return any(word in chain(node.func)[-2].lower() for word in ("session", "sdk", "copilot"))


def _is_ours(node: ast.Call) -> bool:
    """It makes a client of Copilot, runs a question to a session on a loop, or keeps a message for a model."""
    name = chain(node.func)[-1]
    if name == "run_until_complete":
        return any(asks_session(arg) for arg in node.args)
    return name in ("CopilotSDK", "CopilotClient") or (name == "append" and any(role_of(arg) for arg in node.args))


def _is_tool(node: ast.Dict) -> bool:
    """A tool as models are told of it."""
    return {"name", "description", "parameters"} <= set(fields(node))
