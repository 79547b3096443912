"""What a model takes, as the API's model list tells it, and how near to what was asked it comes. Pure."""

from __future__ import annotations

import re

from msgspec import Struct

from rightseat.json_types import JsonObject

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")  # from the least to the most
_CLAUDE = re.compile(r"claude-[a-z]{1,20}-(\d{1,2})(?:[.-](\d))?(?![0-9])")


class Abilities(Struct, frozen=True):
    """What a model takes.

    Attributes:
        model: its id.
        efforts: of reasoning; (): it has none. None: not told.
        adaptive_thinking: it decides itself how long it thinks; None: not told.
        least_thinking, most_thinking: tokens that it may be told to think; 0: not told.
    """

    model: str = ""
    efforts: tuple[str, ...] | None = None
    adaptive_thinking: bool | None = None
    least_thinking: int = 0
    most_thinking: int = 0

    def effort(self, asked: str) -> str | None:
        """The effort that is nearest to one that was asked for and not above it, else the least; None: the model has none."""
        if self.efforts is None or asked in self.efforts:
            return asked
        if not self.efforts:
            return None
        if asked not in EFFORTS:
            return asked
        ranked = sorted((effort for effort in self.efforts if effort in EFFORTS), key=EFFORTS.index)
        below = [effort for effort in ranked if EFFORTS.index(effort) <= EFFORTS.index(asked)]
        return below[-1] if below else ranked[0] if ranked else asked

    @property
    def claude(self) -> tuple[int, int] | None:
        """The version of a Claude model, such as (4, 6); None: it is another one."""
        found = _CLAUDE.match(self.model)
        return (int(found[1]), int(found[2] or 0)) if found is not None else None


class FittedBody(Struct, frozen=True):
    """A body as a model takes it.

    Attributes:
        body: the very object that was given where nothing changes.
        dropped: names of what was left out.
        changed: what was changed, in words.
    """

    body: JsonObject
    dropped: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


class Relayed(Struct, frozen=True):
    """A client's body as upstream takes it.

    Attributes:
        data: the bytes to send.
        dropped: names of what was left out.
        changed: what was changed, in words.
    """

    data: bytes
    dropped: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def abilities_of(model: str, supports: JsonObject, efforts: object) -> Abilities:
    """The abilities of an entry of the model list.

    Args:
        model: its id.
        supports: its `capabilities.supports`.
        efforts: the list of efforts, wherever the entry has it.
    """
    named = tuple(e for e in efforts if isinstance(e, str)) if isinstance(efforts, list) else () if supports else None
    return Abilities(
        model,
        named,
        supports.get("adaptive_thinking") is True if supports else None,
        _whole(supports.get("min_thinking_budget")),
        _whole(supports.get("max_thinking_budget")),
    )


def effort_for(budget: object) -> str:
    """The effort that a thinking budget, in tokens, comes to."""
    if not isinstance(budget, (int, float)):
        return "medium"
    return "low" if budget < 4096 else "medium" if budget < 16_384 else "high"


def budget_for(effort: object) -> int:
    """The thinking budget, in tokens, that an effort comes to."""
    return {"minimal": 1024, "low": 2048, "high": 16_384, "xhigh": 32_768, "max": 65_536}.get(str(effort), 8192)


def _whole(value: object) -> int:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else 0
