"""Why requests are refused, counted by a closed set of reasons, which become labels of metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TypeAlias, TypeVar, get_args

from rightseat.errors import CallerError
from rightseat.json_types import JsonObject

T = TypeVar("T")

Reason: TypeAlias = Literal[
    "missing",  # a key is needed and none was shown
    "wrong",
    "token",  # a token of another service instead of a key
    "expired",
    "revoked",
    "replaced",  # the secret before a rotation
    "locked_out",
    "management",  # the management key is needed and was not shown
    "scope",
    "model",
    "content",  # what is said does not leave here
    "requests_per_minute",
    "tokens_per_minute",
    "daily_tokens",
    "monthly_tokens",
    "reserved",  # the rest of a budget is reserved by requests under way
]
REASONS: tuple[Reason, ...] = get_args(Reason)


class Refusals(Mapping[str, int]):
    """Reason -> how many requests; only reasons that have occurred are in it."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = dict.fromkeys(REASONS, 0)

    def count(self, reason: str) -> None:
        """A request was refused. Raises KeyError: there is no such reason."""
        self._counts[reason] += 1

    def __getitem__(self, reason: str) -> int:
        return self._counts[reason]

    def __iter__(self) -> Iterator[str]:
        return (reason for reason, count in self._counts.items() if count)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def counted(refusals: Refusals, inspect: Callable[[JsonObject], T], body: JsonObject) -> T:
    """Inspect a body; one that is blocked counts as refused. Raises what `inspect` does."""
    try:
        return inspect(body)
    except CallerError:
        refusals.count("content")
        raise
