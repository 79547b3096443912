"""The rule about tools that take anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from rightseat.lint.names import File, FunctionNode, chain, fields, keyword

# RS107 over-generic tools

_CATCH_ALL = frozenset({"action", "operation", "command", "op", "method", "task", "data", "payload", "params", "args", "kwargs", "options", "input"})  # fmt: skip
_KEYWORDS = frozenset({"type", "properties", "$ref", "anyOf", "oneOf", "allOf", "additionalProperties"})
_VAGUE_NAMES = re.compile(
    r"^(?:do|run|execute|perform|handle|process|call|invoke|manage)(?:_?(?:stuff|it|all|any|anything|everything|task|action|operation|request|command|tool|thing))?$"
)


def generic_tools(file: File) -> Iterator[tuple[ast.AST, str]]:
    """Tools whose parameters say nothing."""
    for node in file.walk(ast.Dict):
        assert isinstance(node, ast.Dict)
        yield from _as_dict(node)
    for node in file.walk(ast.Call):
        assert isinstance(node, ast.Call)
        if chain(node.func)[-1] in ("Tool", "FunctionTool"):
            name = keyword(node, "name") or (node.args[0] if node.args else None)
            yield from _as_schema(node, _text(name), keyword(node, "parameters"))
    for node in file.walk(ast.FunctionDef, ast.AsyncFunctionDef):
        assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        yield from _as_function(node)


def _as_dict(node: ast.Dict) -> Iterator[tuple[ast.AST, str]]:
    given = fields(node)
    yield from _as_schema(node, _text(given.get("name")), given.get("parameters") or given.get("input_schema"))


def _as_schema(node: ast.AST, name: str | None, schema: ast.expr | None) -> Iterator[tuple[ast.AST, str]]:
    if name is None or not isinstance(schema, ast.Dict):
        return
    keywords = fields(schema)
    properties = keywords.get("properties")
    if not _KEYWORDS & set(keywords):
        properties = schema  # parameters that stand where only keywords may
    found = fields(properties) if isinstance(properties, ast.Dict) else {}
    free = {p for p, v in found.items() if p in _CATCH_ALL and isinstance(v, ast.Dict) and _is_free(fields(v))}
    anything = keywords.get("additionalProperties")
    if not found and isinstance(anything, ast.Constant) and anything.value is True:
        free = {"any parameter"}
    if len(free) >= 2 or (free and (_VAGUE_NAMES.match(name) or not found)):
        yield node, f"tool {name!r} accepts anything ({', '.join(sorted(free))}): one tool for one purpose"


def _as_function(node: FunctionNode) -> Iterator[tuple[ast.AST, str]]:
    if not any(
        chain(d.func if isinstance(d, ast.Call) else d)[-1] in ("define_tool", "tool") for d in node.decorator_list
    ):
        return
    free = {a.arg for a in (*node.args.args, *node.args.kwonlyargs) if a.arg in _CATCH_ALL and _is_open(a.annotation)}
    if node.args.kwarg is not None or len(free) >= 2 or (free and _VAGUE_NAMES.match(node.name)):
        what = ", ".join(sorted(free)) or "**" + (node.args.kwarg.arg if node.args.kwarg else "")
        yield node, f"tool {node.name!r} accepts anything ({what}): one tool for one purpose"


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_free(schema: Mapping[str, ast.expr]) -> bool:
    """Nothing says what values there are."""
    return not ({"enum", "const", "pattern", "properties", "format", "oneOf", "anyOf"} & set(schema))


def _is_open(annotation: ast.expr | None) -> bool:
    """No annotation, or one that says little."""
    return annotation is None or chain(annotation if not isinstance(annotation, ast.Subscript) else annotation.value)[-1] in ("str", "dict", "Any", "object", "Mapping", "Dict")  # fmt: skip
