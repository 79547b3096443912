"""A key: its text, what of it is kept, and what it may do. Pure; does not know where keys are stored.

The text is `rsk_ID_SECRET`. The id is public: it finds the key and names it in logs. Of the secret (190 random bits) only a keyed hash is
kept: with that much chance in it there is nothing to guess, so the hash may be a fast one (BLAKE2b, RFC 7693, keyed by a pepper that is not in
the database).
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import hmac
import re
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from rightseat.errors import ConfigError
from rightseat.ids import SYSTEM_IDS, Ids

PREFIX = "rsk_"
SCOPES = ("chat", "embeddings", "models", "metrics")
USUAL_SCOPES = ("chat", "embeddings", "models")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_ID_CHARS, _SECRET_CHARS = 10, 38  # 5 bits each
_TEXT = re.compile(rf"{PREFIX}([a-z2-7]{{{_ID_CHARS}}})_([a-z2-7]{{{_SECRET_CHARS}}})")
_PATTERN = re.compile(r"[A-Za-z0-9.*?\[\]!_:/@-]{1,100}")


class Key(Struct, frozen=True, kw_only=True):
    """What is kept of a key.

    Attributes:
        id: its public half.
        name: for people.
        digest: of the secret, in hex.
        created_at, expires_at, revoked_at: seconds of the wall clock; None: never.
        scopes: what it may be used for.
        models: patterns as in "gpt-*"; empty: every model.
        requests_per_minute, tokens_per_minute: limits; None: none.
        daily_tokens, monthly_tokens: budgets, in days and months of UTC; None: none; 0: nothing may be used.
        previous_digest, previous_until: the secret before a rotation, and how long it still counts.
    """

    id: str
    name: str
    digest: str
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    scopes: tuple[str, ...] = USUAL_SCOPES
    models: tuple[str, ...] = ()
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    daily_tokens: int | None = None
    monthly_tokens: int | None = None
    previous_digest: str = ""
    previous_until: float | None = None

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > 100 or not self.name.isprintable():
            raise ConfigError("name: a key needs a name of 1 to 100 characters", field="name")
        if not self.scopes or (unknown := sorted(set(self.scopes) - set(SCOPES))):
            raise ConfigError(
                f"scopes: {', '.join(unknown) if self.scopes else 'none'}; there is {', '.join(SCOPES)}", field="scopes"
            )
        for pattern in self.models:
            if not _PATTERN.fullmatch(pattern):
                raise ConfigError(
                    f"models: {pattern[:40]!r} is no name of a model, nor a pattern such as gpt-*", field="models"
                )
        for field in ("requests_per_minute", "tokens_per_minute"):
            value = getattr(self, field)
            if value is not None and not 0 < value < 1e15:
                raise ConfigError(f"{field}: must be more than 0, not {value}", field=field)
        for field in ("daily_tokens", "monthly_tokens"):
            value = getattr(self, field)
            if value is not None and not 0 <= value < 1e15:
                raise ConfigError(f"{field}: must be at least 0, not {value}", field=field)

    @property
    def is_limited(self) -> bool:
        """There is something to count before a request may go on."""
        return self.requests_per_minute is not None or self.limits_tokens

    @property
    def limits_tokens(self) -> bool:
        """There is a limit or a budget of tokens, so that what a request may use is reserved."""
        return not (self.tokens_per_minute is None and self.daily_tokens is None and self.monthly_tokens is None)

    def state(self, now: float) -> str:
        """Whether it counts: "active", "expired" or "revoked"."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "active"

    def matching(self, digest: str, now: float) -> str:
        """The digest that a shown secret's digest fits: this key's, or the one before a rotation while it still counts; "": none of them.

        Takes as long for a wrong one.
        """
        same = hmac.compare_digest(digest, self.digest)
        before = hmac.compare_digest(digest, self.previous_digest or "0" * len(digest))
        in_grace = self.previous_until is not None and now < self.previous_until
        return digest if same or (before and in_grace) else ""

    def fits(self, secret: str, pepper: bytes, now: float) -> bool:
        """Whether this is its secret. Takes as long for a wrong one."""
        return bool(self.matching(digest_of(secret, pepper), now))

    def ends(self) -> list[float]:
        """The times at which it, or the secret before a rotation, stops counting by itself."""
        return [at for at in (self.expires_at, self.previous_until) if at is not None]

    def rotated(self, digest: str, now: float, grace_seconds: float) -> Key:
        """The same with a new secret; the old one counts for `grace_seconds` more."""
        until = now + grace_seconds if grace_seconds > 0 else None
        previous = self.digest if until is not None else ""
        return msgspec.structs.replace(self, digest=digest, previous_digest=previous, previous_until=until)

    def allows(self, model: str) -> bool:
        """Whether it may use a model, by its id."""
        return not self.models or _matches(self.models, model)


def new_text(key_id: str | None = None, ids: Ids = SYSTEM_IDS) -> tuple[str, str, str]:
    """A new key's text, its id and its secret."""
    key_id = key_id or _random(_ID_CHARS, ids)
    secret = _random(_SECRET_CHARS, ids)
    return f"{PREFIX}{key_id}_{secret}", key_id, secret


def split(text: str) -> tuple[str, str] | None:
    """Id and secret of a key's text; None: it is none of ours."""
    match = _TEXT.fullmatch(text)
    return (match[1], match[2]) if match else None


def digest_of(secret: str, pepper: bytes) -> str:
    """What is kept of a secret."""
    return hashlib.blake2b(secret.encode(), key=pepper[:64], digest_size=32, person=b"rightseat key").hexdigest()


def _random(count: int, ids: Ids) -> str:
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in ids.entropy(count))  # 256 is a multiple of 32


@functools.lru_cache(maxsize=4096)
def _matches(patterns: Iterable[str], name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
