"""Saying what is wrong with a limit, when it is set and not when it is hit."""

from __future__ import annotations

import math
from typing import Any

from rightseat.errors import InvalidOptionError


def number(
    name: str,
    value: Any,
    *,
    least: float = 0.0,
    above: float | None = None,
    most: float | None = None,
    whole: bool = False,
) -> None:
    """Check a number.

    Raises:
        InvalidOptionError: it is none, or not within its bounds; the message names it.
    """
    kind = "a whole number" if whole else "a number"
    right = isinstance(value, int) if whole else isinstance(value, (int, float))
    if not right or isinstance(value, bool) or math.isnan(value):
        raise InvalidOptionError(f"{name}: must be {kind}, not {value!r}")
    if above is not None and value <= above:
        raise InvalidOptionError(f"{name}: must be more than {above:g}, not {value!r}")
    if above is None and value < least:
        raise InvalidOptionError(f"{name}: must be at least {least:g}, not {value!r}")
    if most is not None and value > most:
        raise InvalidOptionError(f"{name}: must be at most {most:g}, not {value!r}")
