"""Files and folders in, findings out, as text, JSON or SARIF 2.1.0."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rightseat import __version__
from rightseat.json_types import JsonObject
from rightseat.lint.check import check_source
from rightseat.lint.finding import Finding
from rightseat.lint.rules import RULES

SYNTAX = "RS100"
_SKIPPED = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", "site-packages", "build", "dist", ".tox"})


def python_files(paths: Sequence[Path]) -> Iterator[Path]:
    """The Python files among some files and folders, each once. Raises FileNotFoundError."""
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        found: Iterable[Path] = [path]
        if path.is_dir():
            found = sorted(p for p in path.rglob("*.py") if not _SKIPPED & set(p.relative_to(path).parts))
        for file in found:
            if file not in seen:
                seen.add(file)
                yield file


def check_paths(
    paths: Sequence[Path], *, codes: frozenset[str] | None = None, strict: bool = False
) -> tuple[list[Finding], int]:
    """The findings in files and folders, and how many files were read. A file that is no Python is a finding itself (RS100).

    Args:
        paths: files and folders.
        codes: only these rules; None: all.
        strict: see `check_source`; not the default here.

    Raises:
        FileNotFoundError: a path that is not there.
    """
    found: list[Finding] = []
    files = 0
    for path in python_files(paths):
        files += 1
        try:
            found += check_source(path.read_text(encoding="utf-8"), str(path), codes=codes, strict=strict)
        except (SyntaxError, ValueError, RecursionError) as e:
            line = getattr(e, "lineno", None) or 1
            found.append(Finding(str(path), line, 1, SYNTAX, f"not read: {type(e).__name__}: {e}"))
    return found, files


def as_json(found: Sequence[Finding]) -> str:
    """A list of findings."""
    names = {rule.code: rule.name for rule in RULES}
    return json.dumps(
        [
            {"path": f.path, "line": f.line, "column": f.column, "code": f.code, "name": names.get(f.code, "syntax"), "message": f.message}
            for f in found
        ],
        indent=1,
    )  # fmt: skip


def as_sarif(found: Sequence[Finding]) -> str:
    """SARIF 2.1.0 (OASIS), as code hosts read it."""
    rules: list[JsonObject] = [
        {
            "id": rule.code,
            "name": "".join(word.capitalize() for word in rule.name.replace("-", " ").split()),
            "shortDescription": {"text": rule.name},
            "fullDescription": {"text": rule.why},
            "help": {"text": f"{rule.why} Instead: {rule.instead}."},
        }
        for rule in RULES
    ]
    rules.append({"id": SYNTAX, "name": "Syntax", "shortDescription": {"text": "a file that cannot be read"}})
    results = [
        {
            "ruleId": f.code,
            "level": "error" if f.code == SYNTAX else "warning",
            "message": {"text": f.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": Path(f.path).as_posix()},
                        "region": {"startLine": f.line, "startColumn": f.column},
                    }
                }
            ],
        }
        for f in found
    ]
    driver = {"name": "rightseat lint", "version": __version__, "rules": rules}
    value = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(value, indent=1)
