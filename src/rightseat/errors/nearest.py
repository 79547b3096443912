"""The hint at a name that may have been meant. Does not know what is named."""

from __future__ import annotations

from collections.abc import Iterable

_SHOWN = 60  # characters of a name that are looked at


def did_you_mean(name: object, known: Iterable[str], prefix: str = "", *, quote: bool = False) -> str:
    """A hint at the nearest known name, to be put after an error; "" where none is near. `quote`: as Python writes text."""
    import difflib  # for errors alone

    near = difflib.get_close_matches(str(name)[:_SHOWN], list(known), n=1)
    if not near:
        return ""
    found = prefix + near[0]
    return f"; did you mean {found!r}?" if quote else f"; did you mean {found}?"
