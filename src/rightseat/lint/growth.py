"""Rules about what grows without a limit: answers and conversations."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from rightseat.lint.names import File, asks, chain, inner, keyword, streams

# RS101 unbounded accumulation


def unbounded(file: File) -> Iterator[tuple[ast.AST, str]]:
    """Pieces of an answer that are kept without a limit."""
    for loop in file.walk(ast.AsyncFor, ast.For):
        assert isinstance(loop, (ast.AsyncFor, ast.For))
        if not _iterates_stream(file, loop) or _has_bound(loop):
            continue
        for node in ast.walk(loop):
            if (
                isinstance(node, ast.AugAssign)
                and isinstance(node.op, ast.Add)
                and _from_chunk(node.value, loop.target)
            ):
                yield node, "a streamed answer is accumulated without a limit"
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("append", "extend", "write")
                and node.args
                and node.func.attr != "write"
                and _from_chunk(node.args[0], loop.target)
            ):
                yield node, "the pieces of a streamed answer are kept without a limit"


def _iterates_stream(file: File, loop: ast.AsyncFor | ast.For) -> bool:
    source = inner(loop.iter)
    if streams(source):
        return True
    if not isinstance(source, ast.Name):
        return False
    where: ast.AST = file.function_of(loop) or file.tree
    for node in ast.walk(where):
        if isinstance(node, ast.Assign) and streams(inner(node.value)):
            if any(isinstance(t, ast.Name) and t.id == source.id for t in node.targets):
                return True
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                bound = item.optional_vars
                if isinstance(bound, ast.Name) and bound.id == source.id and streams(inner(item.context_expr)):
                    return True
    return False


def _has_bound(loop: ast.AST) -> bool:
    """The loop looks at a length or a count, or leaves."""
    for node in ast.walk(loop):
        if isinstance(node, (ast.Break, ast.Return, ast.Raise)):
            return True
        if isinstance(node, ast.Call) and chain(node.func)[-1] == "clear":
            return True
    return False


def _from_chunk(value: ast.AST, target: ast.AST) -> bool:
    if isinstance(value, ast.Call) and chain(value.func)[-1] in ("len", "count", "sum"):
        return False  # a number
    names = {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
    return any(isinstance(node, ast.Name) and node.id in names for node in ast.walk(value))


# RS106 history without a window

_WINDOWS = ("ContextWindow", "Window", "fit", "create_session")


def no_window(file: File) -> Iterator[tuple[ast.AST, str]]:
    """Lists of messages that are sent whole and only grow."""
    if any(isinstance(n, ast.Call) and chain(n.func)[-1] in _WINDOWS[:3] for n in file.walk(ast.Call)):
        return
    sent = {
        value.id
        for node in file.walk(ast.Call)
        if isinstance(node, ast.Call) and asks(node)
        for name in ("messages", "input")
        if isinstance(value := keyword(node, name), ast.Name)
    }
    for node in file.walk(ast.Call):
        assert isinstance(node, ast.Call)
        if (
            isinstance(node.func, ast.Attribute)
            and node.func.attr in ("append", "extend")
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in sent
            and any(
                isinstance(at, (ast.For, ast.While, ast.AsyncFor, ast.FunctionDef, ast.AsyncFunctionDef))
                for at in file.above(node)
            )
            and not _is_cut(file, node.func.value.id)
            and _repeats(file, node)
        ):
            yield node, f"{node.func.value.id} grows with every turn until it exceeds the model's window"


def _repeats(file: File, node: ast.AST) -> bool:
    """In a loop, or a list from outside of the function it is in."""
    function = file.function_of(node)
    for at in file.above(node):
        if isinstance(at, (ast.For, ast.While, ast.AsyncFor)):
            return True
        if at is function:
            break
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Attribute)
    assert isinstance(node.func.value, ast.Name)
    name = node.func.value.id
    own = function is not None and any(
        isinstance(n, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in n.targets)
        for n in ast.walk(function)
    )
    return not own


def _is_cut(file: File, name: str) -> bool:
    """Something takes away from the list: a slice, pop, clear, del."""
    for node in file.walk(ast.Call, ast.Subscript, ast.Delete):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("pop", "clear", "popleft", "remove") and chain(node.func)[0] == name:
                return True
        elif isinstance(node, ast.Subscript):
            if isinstance(node.slice, ast.Slice) and isinstance(node.value, ast.Name) and node.value.id == name:
                return True
        elif isinstance(node, ast.Delete) and any(chain(getattr(t, "value", t))[0] == name for t in node.targets):
            return True
    return False
