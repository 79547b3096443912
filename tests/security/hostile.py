"""Texts that make a backtracking matcher slow, made from its own pattern, and a way to see that its work is linear."""

import time
from collections.abc import Callable, Iterator
from re import _constants, _parser
from typing import Any

FLOOR = 0.002  # seconds of CPU: what takes less is not judged
RATIO = 3.0  # of the work for twice the text
_POOL = "a1 -._/x@\"'\\~"


def fragments(pattern: str | bytes, flags: int = 0) -> dict[str, str]:
    """Beginnings of what the pattern matches, each with its last part."""
    parsed = _parser.parse(pattern, flags)
    found = {}
    for repeats in (0, 1, 3, 20):
        for pick in range(3):
            parts = _parts(parsed, repeats, pick)
            for end in range(1, len(parts) + 1):
                found["".join(parts[:end])] = parts[end - 1]
    return found


def hostile(pattern: str | bytes, size: int, flags: int = 0) -> Iterator[str]:
    """Each beginning over and over, and each beginning with a long run behind it that ends as it should not."""
    for begin, last in fragments(pattern, flags).items():
        for between in ("", "-", " ", "\n", '"', "."):
            yield _filled("", begin + between, size)
        for unit in (last, last[-1], " ", "-", "\\"):
            yield _filled(begin, unit, size)
            yield _filled(begin, unit, size - 1) + "!"


def cpu(work: Callable[[Any], object], value: Any, rounds: int = 1) -> float:
    """Seconds of CPU of this thread, the least of some rounds: what else the machine does is not counted."""
    times = []
    for _ in range(rounds):
        begun = time.thread_time()
        work(value)
        times.append(time.thread_time() - begun)
    return min(times)


def is_linear(work: Callable[[Any], object], once: Any, twice: Any) -> bool:
    """Twice the text costs about twice the work. Measured again before the answer is no."""
    if cpu(work, twice) < FLOOR:
        return True
    return any(cpu(work, twice, rounds) <= RATIO * cpu(work, once, rounds) for rounds in (1, 3, 5, 9))


def worse_than_linear(
    work: Callable[[str], object], pattern: str | bytes, size: int = 4000, flags: int = 0
) -> list[str]:
    """The first text that is hostile to a pattern and costs more than it should, if there is one."""
    pairs = zip(hostile(pattern, size, flags), hostile(pattern, 2 * size, flags), strict=True)
    return next(([twice[:80]] for once, twice in pairs if not is_linear(work, once, twice)), [])


def _filled(begin: str, unit: str, size: int) -> str:
    return (begin + unit * (size // len(unit) + 1))[:size]


def _parts(parsed: Any, repeats: int, pick: int) -> list[str]:
    parts: list[str] = []
    literal = False
    for op, value in parsed:
        name = str(op)
        if name == "LITERAL":
            if literal:
                parts[-1] += chr(value)
            else:
                parts.append(chr(value))
            literal = True
            continue
        literal = False
        if name == "IN":
            chars = _chars(value)
            parts.append(chars[pick % len(chars)])
        elif name == "BRANCH":
            parts += _parts(value[1][pick % len(value[1])], repeats, pick)
        elif name == "SUBPATTERN":
            parts += _parts(value[3], repeats, pick)
        elif name == "ATOMIC_GROUP":
            parts += _parts(value, repeats, pick)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, inner = value
            count = max(least, repeats) if most is _constants.MAXREPEAT else min(most, max(least, repeats))
            parts.append("".join(_parts(inner, min(repeats, 3), pick)) * count)
        elif name not in ("AT", "ASSERT", "ASSERT_NOT"):
            parts.append("a")
    return [part for part in parts if part]


def _chars(items: Any) -> str:
    """Some characters of a class."""
    negated, chars, ranges = False, "", []
    for op, value in items:
        match str(op):
            case "NEGATE":
                negated = True
            case "LITERAL":
                chars, ranges = chars + chr(value), [*ranges, (value, value)]
            case "RANGE":
                chars, ranges = chars + chr(value[0]), [*ranges, value]
            case "CATEGORY":
                sort = str(value)
                char = " " if sort.endswith("CATEGORY_SPACE") else "1" if sort.endswith("CATEGORY_DIGIT") else "a"
                chars, ranges = chars + char, [*ranges, (ord(char), ord(char))]
    if not negated:
        return chars[:6]
    return "".join(c for c in _POOL if not any(low <= ord(c) <= high for low, high in ranges)) or "a"
