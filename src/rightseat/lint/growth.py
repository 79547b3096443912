"""Rules about what grows without a limit: answers and conversations."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from rightseat.lint.names import File, asks, chain, inner, keyword, role_of, streams

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

_WINDOWS = ("ContextWindow", "Window", "fit")
Chain: TypeAlias = tuple[str, ...]
_LOOPS = (ast.For, ast.While, ast.AsyncFor)


def no_window(file: File) -> Iterator[tuple[ast.AST, str]]:
    """Lists of messages that are sent whole and only grow."""
    if any(isinstance(n, ast.Call) and chain(n.func)[-1] in _WINDOWS for n in file.walk(ast.Call)):
        return
    sent, in_loops = _sent(file)
    growing = _growing(file)
    if file.is_fragment:  # what it sends may stand elsewhere
        sent |= {name for name, calls in growing.items() if _keeps_both_sides(calls) and not _is_made(file, name)}
    for name, calls in growing.items():
        if name not in sent or _is_cut(file, name):
            continue
        for node in calls:
            if _repeats(file, node, name, in_loops):
                yield node, f"{'.'.join(name)} grows with every turn until it exceeds the model's window"


def _sent(file: File) -> tuple[set[Chain], dict[ast.AST, set[Chain]]]:
    """Lists that models are asked with, and loop -> those that are sent in it."""
    sent: set[Chain] = set()
    in_loops: dict[ast.AST, set[Chain]] = {}
    for node in file.walk(ast.Call):
        assert isinstance(node, ast.Call)
        if not asks(node):
            continue
        given = (keyword(node, name) for name in ("messages", "input"))
        names = {chain(value) for value in given if isinstance(value, (ast.Name, ast.Attribute))}
        sent |= names
        for at in file.above(node) if names else ():
            if isinstance(at, _LOOPS):
                in_loops.setdefault(at, set()).update(names)
    return sent, in_loops


def _growing(file: File) -> dict[Chain, list[ast.Call]]:
    """Lists that something is added to: a name, or an attribute of an object."""
    found: dict[Chain, list[ast.Call]] = {}
    for node in file.walk(ast.Call):
        assert isinstance(node, ast.Call)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("append", "extend"):
            name = chain(node.func.value)
            if name[0] != "?" and len(name) <= 2:
                found.setdefault(name, []).append(node)
    return found


def _keeps_both_sides(calls: list[ast.Call]) -> bool:
    """What the user said and what the model said."""
    return {"user", "assistant"} <= {role_of(arg) for call in calls for arg in call.args}


def _is_made(file: File, name: Chain) -> bool:
    return any(_is_set(node, name) for node in file.walk(ast.Assign, ast.AnnAssign))


def _is_set(node: ast.AST, name: Chain) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(isinstance(t, (ast.Name, ast.Attribute)) and chain(t) == name for t in targets)


def _repeats(file: File, node: ast.Call, name: Chain, in_loops: Mapping[ast.AST, set[Chain]]) -> bool:
    """In a loop that sends it, too, or a list from outside of the function it is in."""
    function = file.function_of(node)
    for at in file.above(node):
        if name in in_loops.get(at, ()):
            return True
        if at is function:
            break
    if function is None:
        return file.is_fragment
    return function.name != "__init__" and not any(_is_set(inside, name) for inside in ast.walk(function))


def _is_cut(file: File, name: Chain) -> bool:
    """Something takes away from the list: a slice, pop, clear, del; of an attribute also that it begins anew outside of `__init__`."""
    for node in file.walk(ast.Call, ast.Subscript, ast.Delete):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("pop", "clear", "popleft", "remove") and chain(node.func.value) == name:
                return True
        elif isinstance(node, ast.Subscript):
            if isinstance(node.slice, ast.Slice) and chain(node.value) == name:
                return True
        elif isinstance(node, ast.Delete) and any(chain(getattr(t, "value", t)) == name for t in node.targets):
            return True
    return len(name) > 1 and any(
        _is_set(node, name) and (function := file.function_of(node)) is not None and function.name != "__init__"
        for node in file.walk(ast.Assign, ast.AnnAssign)
    )
