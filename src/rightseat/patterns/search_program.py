"""The search of `search_codebase`, as a program of its own, so that a pattern which never ends can be ended. Standard library only.

It reads one JSON object from standard input (root, pattern, file_pattern, max_results) and writes one to standard output. It knows no caller.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FILE_BYTES = 1 << 20  # larger files are passed over, as binary ones are
MAX_LINE = 500  # characters of a line that are looked at and shown
_HEAD = 1024  # bytes in which a binary file has a zero


def search(root: str, pattern: str, file_pattern: str, max_results: int) -> dict[str, object]:
    """What a program that searches says."""
    try:
        wanted = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as e:
        return failure("invalid_pattern", f"Invalid regex pattern: {e}")
    try:
        found = list(itertools.islice(matches(Path(root), wanted, file_pattern), max_results))
    except (OSError, ValueError, NotImplementedError) as e:
        return failure("search_error", f"Search failed: {e}")
    return {"success": True, "results": found, "count": len(found)}


def failure(kind: str, text: str) -> dict[str, object]:
    """An error, for programs and for people."""
    return {"success": False, "error": text, "error_type": kind}


def matches(root: Path, wanted: re.Pattern[str], file_pattern: str) -> Iterator[dict[str, object]]:
    """The lines that match, with their files and numbers."""
    for path in files(root, file_pattern):
        for number, line in enumerate(lines(path), 1):
            if wanted.search(line):
                yield {"file": path.relative_to(root).as_posix(), "line": number, "text": line}


def files(root: Path, file_pattern: str) -> Iterator[Path]:
    """Files below the folder; no hidden ones, and none that a link or `..` finds elsewhere."""
    for path in root.glob(file_pattern):
        within = path.is_relative_to(root) and path.resolve().is_relative_to(root)
        if within and path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path


def lines(path: Path) -> list[str]:
    """The lines of a file of text, cut to their limit; none of a file that cannot be read."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return []
        data = path.read_bytes()
    except OSError:
        return []
    if b"\0" in data[:_HEAD]:
        return []
    return [line[:MAX_LINE] for line in data.decode("utf-8", "replace").splitlines()]


if __name__ == "__main__":
    json.dump(search(**json.load(sys.stdin)), sys.stdout)
