"""What makes a tool easy for a model to use rightly: one purpose, and parameters that say what they are.

`problems` is pure: a tool's description in, what is wrong with it out. `check_rules` makes a warning or an error of that.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from rightseat.errors import InvalidToolError

Rules: TypeAlias = Literal["warn", "error", "off"]

_VAGUE = re.compile(
    r"(?:do|run|execute|perform|handle|process|call|invoke|manage)"
    r"(?:_?(?:stuff|it|all|any|anything|everything|task|action|operation|request|command|tool|thing))?"
)
_CATCH_ALL = frozenset({"action", "operation", "op", "method", "task", "data", "payload", "params", "args", "kwargs", "options"})  # fmt: skip
# What says which values there are.
_CONSTRAINTS = frozenset({
    "enum", "const", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "minItems", "maxItems", "properties", "oneOf", "anyOf", "allOf", "$ref", "default",
})  # fmt: skip


class ToolRulesWarning(UserWarning):
    """A tool that a model will find hard to use rightly. `define_tool(..., rules="off")` says that it is meant so."""


def check_rules(name: str, description: str, schema: Mapping[str, Any] | None, rules: Rules) -> None:
    """Warn about what is wrong with a tool, or refuse it, as `rules` say.

    Raises:
        InvalidToolError: `rules` are none, or with "error": something is wrong.
    """
    if rules not in ("warn", "error", "off"):
        raise InvalidToolError(f"tool {name!r}: rules must be 'warn', 'error' or 'off', not {rules!r}")
    found = problems(name, description, schema) if rules != "off" else []
    if not found:
        return
    text = f"tool {name!r}: {'; '.join(found)}"
    if rules == "error":
        raise InvalidToolError(text)
    warnings.warn(text, ToolRulesWarning, stacklevel=_callers_level())


def _callers_level() -> int:
    """How far up the line stands that defines the tool: the first that is not of this package, nor of a dataclass."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("rightseat."):
        level, frame = level + 1, frame.f_back
    return level


def problems(name: str, description: str, schema: Mapping[str, Any] | None) -> list[str]:
    """What is wrong with a tool, in words; nothing: [].

    Args:
        name: its name.
        description: what the model reads of it.
        schema: the JSON Schema of its parameters.
    """
    found = []
    if len(description.strip()) < 10:
        found.append("say in a sentence what it does (description)")
    properties = (schema or {}).get("properties") or {}
    free = sorted(p for p, inner in properties.items() if p in _CATCH_ALL and not _says_values(inner))
    if _VAGUE.fullmatch(name) or len(free) >= 2:
        found.append(f"one tool for one purpose: {name!r} may be anything")
    found += [f"parameter {p!r} accepts any value: name its values (enum, pattern, properties)" for p in free]
    if schema is not None and not properties and schema.get("additionalProperties") not in (None, False):
        found.append("it takes any parameters: name them")
    for parameter, inner in properties.items():
        if not isinstance(inner, Mapping):
            continue
        if not str(inner.get("description", "")).strip():
            found.append(f"parameter {parameter!r} has no description")
        if inner.get("type") in ("integer", "number") and not _says_values(inner):
            found.append(f"parameter {parameter!r} is a number without bounds or default")
    return found


def _says_values(schema: object) -> bool:
    return isinstance(schema, Mapping) and (
        bool(_CONSTRAINTS & set(schema))
        or (schema.get("type") in ("boolean", "integer", "number") and "default" in schema)
    )


_SECTION = re.compile(r"^(?:Args|Arguments|Parameters|Params):\s*$", re.MULTILINE)
_OTHER = re.compile(r"^(?:Returns?|Raises|Yields?|Examples?|Notes?):\s*$", re.MULTILINE)
_ENTRY = re.compile(r"^(\*{0,2}\w+)\s*(?:\([^)]*\))?:\s*(.*)$")


def described(docstring: str | None) -> tuple[str, dict[str, str]]:
    """A docstring in Google's style as (what it says before its sections, parameter -> description)."""
    text = inspect.cleandoc(docstring or "")
    section = _SECTION.search(text)
    other = _OTHER.search(text)
    cut = min((m.start() for m in (section, other) if m is not None), default=len(text))
    found: dict[str, str] = {}
    if section is not None:
        end = _OTHER.search(text, section.end())
        name = ""
        for line in text[section.end() : end.start() if end else len(text)].splitlines():
            if not line.strip():
                continue
            entry = _ENTRY.match(line.strip())
            if entry is not None and len(line) - len(line.lstrip()) <= 4:
                name = entry[1].lstrip("*")
                found[name] = entry[2].strip()
            elif name:
                found[name] = f"{found[name]} {line.strip()}".strip()
    return text[:cut].strip(), found
