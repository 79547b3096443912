"""Which of several accounts is asked: a pure decision, and the state it is made from.

A conversation stays with its account as long as that account can serve it: thinking signatures and encrypted content belong to the
account that made them. An account, or one model of it, that was refused cools down for as long as the server said. This module
refuses to know tokens and HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field

# How long an account rests after a refusal without a retry-after, by HTTP status.
COOL_DOWN_SECONDS = {402: 3600.0, 403: 300.0, 429: 60.0}
# Copilot's codes that concern one model and not the account.
_OF_ONE_MODEL = frozenset(
    {"user_model_rate_limited", "model_overloaded", "model_not_supported", "upstream_provider_rate_limit"}
)


class Candidate(Struct):
    """What the choice knows of an account.

    Attributes:
        name: the account.
        models: the ids on its live list; None: not known yet.
        load: requests under way.
        resting: model id, or "" for the whole account -> until when, in seconds of the caller's clock.
        reason: why it rests, for people.
        quota: kind -> what is left of it, from 0 to 1, as an answer told.
        quota_at: when it was looked at, in seconds of the caller's clock.
    """

    name: str
    models: frozenset[str] | None = None
    load: int = 0
    resting: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    quota: dict[str, float] = field(default_factory=dict)
    quota_at: float = float("-inf")

    def rests_until(self, model: str, now: float) -> float | None:
        """When the account can serve the model again; None: now."""
        until = max(self.resting.get("", 0.0), self.resting.get(model, 0.0))
        return until if until > now else None


class Choice(Struct, frozen=True):
    """The account to ask; or, when all rest, None and the seconds until one is back."""

    name: str | None
    wait: float | None = None


def pick_next(
    candidates: Iterable[Candidate],
    model: str,
    now: float,
    *,
    conversation: str = "",
    tried: frozenset[str] = frozenset(),
) -> Choice:
    """The account for a request.

    Args:
        candidates: the accounts, in the owner's order.
        model: the model's id.
        now: the caller's clock, in seconds.
        conversation: what ties requests together; "" for nothing.
        tried: accounts that have refused this request already.

    Returns:
        Among those that have the model and do not rest: for a conversation always the same one (rendezvous hashing: when one drops
        out, only its own conversations move), else the least loaded, else the first.
    """
    able = [c for c in candidates if c.name not in tried and (c.models is None or model in c.models)]
    awake = [c for c in able if c.rests_until(model, now) is None]
    if awake:
        if conversation:
            return Choice(max(awake, key=lambda c: _weight(conversation, c.name)).name)
        return Choice(min(awake, key=lambda c: c.load).name)
    ends = [until for c in able if (until := c.rests_until(model, now)) is not None]
    return Choice(None, min(ends) - now if ends else None)


def rest(
    candidate: Candidate,
    model: str,
    now: float,
    *,
    status: int,
    code: str | None,
    retry_after: float | None,
    whole: bool = False,
) -> bool:
    """Note a refusal. True: another account may be asked instead.

    A 403 is about the model, unless `whole` says that the account itself was refused.
    """
    if status not in COOL_DOWN_SECONDS:
        return False
    scope = model if code in _OF_ONE_MODEL or (status == 403 and not whole) else ""
    seconds = retry_after if retry_after is not None else COOL_DOWN_SECONDS[status]
    candidate.resting[scope] = max(candidate.resting.get(scope, 0.0), now + seconds)
    candidate.reason = code or f"HTTP {status}"
    return True


def _weight(conversation: str, name: str) -> bytes:
    return hashlib.blake2b(f"{conversation}\0{name}".encode(), digest_size=8).digest()


_HEADERS = (
    "x-claude-code-session-id",
    "x-session-id",
    "x-session-affinity",
    "session-id",
    "thread-id",
    "x-interaction-id",
)


def conversation_of(headers: Mapping[str, str], body: Mapping[str, Any]) -> str:
    """What ties the requests of one conversation together: a session header, a cache key, else how it began; "" for nothing."""
    for name in _HEADERS:
        if headers.get(name):
            return headers[name]
    metadata = body.get("metadata")
    for value in (
        body.get("prompt_cache_key"),
        metadata.get("user_id") if isinstance(metadata, Mapping) else None,
        body.get("user"),
    ):
        if isinstance(value, str) and value:
            return value
    messages = body.get("messages") or body.get("input")
    first = (
        next((m for m in messages if isinstance(m, Mapping) and m.get("role") == "user"), None)
        if isinstance(messages, list)
        else None
    )
    if first is None:
        return ""
    return hashlib.blake2b(repr(first.get("content")).encode("utf-8", "replace"), digest_size=16).hexdigest()
