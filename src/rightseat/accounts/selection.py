"""Selection of one of several accounts: a pure decision, and the state it needs.

A conversation stays with its account as long as that account can serve it: thinking signatures and encrypted content belong to the
account that made them. The smallest thing that was refused cools down: one model of one account, for as long as the server said; the
account as a whole only where the refusal names it. A 403 may be the caller's own doing (its content, its model), so it counts for that
caller alone, and only as a preference for other accounts. This module does not know tokens and HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, field

# How long something cools down after a refusal without a retry-after, by HTTP status.
COOLDOWN_SECONDS = {402: 3600.0, 403: 300.0, 429: 60.0}
MOST_SECONDS = 7 * 86400.0  # a server that says more is not believed
FAILED_SECONDS = 10.0  # after a token could not be fetched
# Codes of refusals that concern the account as a whole, as far as the colon; all others concern the model that was asked.
WHOLE_ACCOUNT = frozenset(
    {"user_global_rate_limited", "user_weekly_rate_limited", "integration_rate_limited", "extension_blocked"}
)
# Codes by which a 403 is about what was said; no other account would say otherwise.
_ABOUT_CONTENT = ("content", "policy", "off_topic", "safety", "filter")
_MOST_COOLDOWNS = 1000  # of an account


class Cooldown(Struct, frozen=True):
    """A model or an account that is not used for some time after a refusal.

    Attributes:
        until: in seconds of the caller's clock.
        status, code, message: the refusal as the server said it, for callers that are refused meanwhile.
        avoid: asked nevertheless where no other account can serve.
    """

    until: float
    status: int = 429
    code: str | None = None
    message: str = ""
    avoid: bool = False

    @property
    def reason(self) -> str:
        """A short text, for people."""
        return self.code or f"HTTP {self.status}"


class Refusal(Struct, frozen=True):
    """What an account answered instead of serving a request.

    Attributes:
        status, code, message: as the server said it.
        retry_after: seconds, where it said.
        whole: the account itself was refused, such as by the token exchange.
    """

    status: int
    code: str | None = None
    message: str = ""
    retry_after: float | None = None
    whole: bool = False


class Candidate(Struct):
    """What the choice knows of an account.

    Attributes:
        name: the account.
        models: the ids on its live list; None: not known yet.
        load: requests under way.
        cooldowns: (model, caller) -> cooldown; "" means every model, or every caller.
        quota: kind -> what is left of it, from 0 to 1, as an answer told.
        quota_at: when it was looked at, in seconds of the caller's clock.
    """

    name: str
    models: frozenset[str] | None = None
    load: int = 0
    cooldowns: dict[tuple[str, str], Cooldown] = field(default_factory=dict)
    quota: dict[str, float] = field(default_factory=dict)
    quota_at: float = float("-inf")

    def cooling(self, model: str, now: float, caller: str = "") -> Cooldown | None:
        """What keeps the account from serving a model for a caller; of several the one that lasts longest. None: nothing."""
        if not self.cooldowns:
            return None
        keys = {("", ""), (model, ""), (model, caller)}
        found = [one for key in keys if (one := self.cooldowns.get(key)) is not None and one.until > now]
        return max(found, key=lambda one: (not one.avoid, one.until), default=None)

    def cooling_models(self, now: float) -> dict[str, Cooldown]:
        """Model, or "*" for the whole account -> what is cooling down now, for people. A single caller's are left out."""
        return {model or "*": one for (model, caller), one in self.cooldowns.items() if one.until > now and not caller}

    def cool(self, model: str, caller: str, cooldown: Cooldown, now: float) -> None:
        """Note a cooldown; one that lasts longer stays."""
        old = self.cooldowns.get((model, caller))
        if old is None or old.until < cooldown.until:
            self.cooldowns[model, caller] = cooldown
        if len(self.cooldowns) > _MOST_COOLDOWNS:
            self.cooldowns = {key: one for key, one in self.cooldowns.items() if one.until > now}
            while len(self.cooldowns) > _MOST_COOLDOWNS:
                del self.cooldowns[next(iter(self.cooldowns))]


class Choice(Struct, frozen=True):
    """The account to ask; or, when all are cooling down, None, the seconds until one is back, and what that one waits for."""

    name: str | None
    wait: float | None = None
    cooldown: Cooldown | None = None


def pick_next(
    candidates: Iterable[Candidate],
    model: str,
    now: float,
    *,
    conversation: str = "",
    caller: str = "",
    tried: frozenset[str] = frozenset(),
) -> Choice:
    """The account for a request.

    Args:
        candidates: the accounts, in the owner's order.
        model: the model's id.
        now: the caller's clock, in seconds.
        conversation: what ties requests together; "" for nothing.
        caller: the caller; "" if unknown.
        tried: accounts that have refused this request already.

    Returns:
        Among those that have the model and are not cooling down: for a conversation always the same one (rendezvous hashing: when one
        drops out, only its own conversations move), else the least loaded, else the first.
    """
    able = [c for c in candidates if c.name not in tried and (c.models is None or model in c.models)]
    cooling = [c.cooling(model, now, caller) for c in able]
    ready = [c for c, one in zip(able, cooling, strict=True) if one is None] or [
        c for c, one in zip(able, cooling, strict=True) if one is not None and one.avoid
    ]
    if ready:
        if conversation and len(ready) > 1:
            return Choice(max(ready, key=lambda c: _weight(conversation, c.name)).name)
        return Choice(min(ready, key=lambda c: c.load).name)
    first = min((one for one in cooling if one is not None), key=lambda one: one.until, default=None)
    return Choice(None) if first is None else Choice(None, first.until - now, first)


def cool_down(candidate: Candidate, model: str, now: float, refusal: Refusal, *, caller: str = "") -> bool:
    """Note a refusal. True: another account may be asked instead."""
    seconds = COOLDOWN_SECONDS.get(refusal.status)
    if seconds is None:
        return False
    if refusal.retry_after is not None:
        seconds = min(refusal.retry_after, MOST_SECONDS)
    kind = (refusal.code or "").partition(":")[0].lower()
    if refusal.status == 403 and not refusal.whole:
        if any(word in kind for word in _ABOUT_CONTENT):
            return False
        cooldown = Cooldown(now + seconds, refusal.status, refusal.code, refusal.message, avoid=True)
        candidate.cool(model, caller, cooldown, now)
        return True
    scope = "" if refusal.whole or kind in WHOLE_ACCOUNT else model
    candidate.cool(scope, "", Cooldown(now + seconds, refusal.status, refusal.code, refusal.message), now)
    return True


def avoid(candidate: Candidate, now: float, refusal: Refusal) -> None:
    """An account whose token cannot be fetched at the moment: others are asked first."""
    cooldown = Cooldown(now + FAILED_SECONDS, refusal.status, refusal.code, refusal.message, avoid=True)
    candidate.cool("", "", cooldown, now)


def _weight(conversation: str, name: str) -> bytes:
    return hashlib.blake2b(f"{conversation}\0{name}".encode(), digest_size=8).digest()


_LONGEST_NAME = 200  # characters
_HEADERS = (
    "x-claude-code-session-id",
    "x-session-id",
    "x-session-affinity",
    "session-id",
    "thread-id",
    "x-interaction-id",
)


def conversation_of(headers: Mapping[str, str], body: Mapping[str, object]) -> str:
    """What ties the requests of one conversation together: a session header, a cache key, else how it began; "" for nothing."""
    for name in _HEADERS:
        if headers.get(name):
            return _as_header(headers[name])
    metadata = body.get("metadata")
    for value in (
        body.get("prompt_cache_key"),
        metadata.get("user_id") if isinstance(metadata, Mapping) else None,
        body.get("user"),
    ):
        if isinstance(value, str) and value:
            return _as_header(value)
    messages = body.get("messages") or body.get("input")
    first = (
        next((m for m in messages if isinstance(m, Mapping) and m.get("role") == "user"), None)
        if isinstance(messages, list)
        else None
    )
    if first is None:
        return ""
    content = first.get("content")
    return _digest(*_strings(content if isinstance(content, list) else [content]))


def _strings(parts: Sequence[object]) -> Iterator[str]:
    """What a message says. Texts are taken as they are: writing out megabytes of line ends would hold everybody up."""
    for part in parts:
        for value in part.values() if isinstance(part, Mapping) else (part,):
            yield value if isinstance(value, str) else repr(value)


def _as_header(name: str) -> str:
    """A client's name for a conversation. A backend may send it on as a header (RFC 9110, section 5.5), so it is short and printable."""
    return name if len(name) <= _LONGEST_NAME and name.isascii() and name.isprintable() else _digest(name)


def _digest(*texts: str) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(text.encode("utf-8", "replace"))
        digest.update(b"\n")
    return digest.hexdigest()
