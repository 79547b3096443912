"""State that several processes share, as small async protocols. Does not know what is behind them: memory, SQLite, PostgreSQL.

Every method may raise KeyDatabaseError: the store did not answer within its time limit, or failed. None of them blocks the event loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from msgspec import Struct

from rightseat.state.budget import Decision, Settle, Spent
from rightseat.state.key_record import Key


class KeyTable(Protocol):
    """The gateway's keys. Secrets never come here, only their digests."""

    async def version(self) -> int:
        """Grows with every change of a key, by whatever process."""
        ...

    async def list(self) -> list[Key]:
        """All keys, the oldest first; revoked ones too."""
        ...

    async def create(self, key: Key) -> None:
        """Keep a new key."""
        ...

    async def revoke(self, key_id: str) -> Key | None:
        """Revoke a key. None: there is none of that id."""
        ...

    async def rotate(self, key_id: str, digest: str, grace_seconds: float = 0.0) -> Key | None:
        """Give a key a new secret; the old one counts for `grace_seconds` more. None: there is no such key that is not revoked."""
        ...


class Ledger(Protocol):
    """What keys used, and what is reserved for requests under way.

    A reservation is written to disk before `reserve` returns, and ended once: by `settle`, or, if this worker dies, by booking all of it.
    """

    async def enter(self, key: Key) -> Decision:
        """Count a request of a limited key, or refuse it by what is known before its body is."""
        ...

    async def reserve(self, key: Key, hold: str, input_tokens: int, most: int) -> Decision:
        """Reserve `most` tokens for a request, under an id that the caller chooses.

        If it fails or is cancelled, it may have been done all the same: settle it, which comes after it in any case.
        """
        ...

    async def settle(self, settlements: Sequence[Settle]) -> list[bool]:
        """End reservations. Each gives False if it had ended already; so asking again is harmless."""
        ...

    async def add(self, spent: Mapping[str, Spent]) -> None:
        """Book what keys without limits used, by key id."""
        ...

    async def spent(self) -> dict[str, dict[str, Spent]]:
        """Key id -> "day" and "month" -> what was used, by the store's clock (UTC)."""
        ...

    async def beat(self) -> None:
        """This worker is alive, which renews its reservations; those of workers that have died are booked in full."""
        ...


class StoredCooldown(Struct, frozen=True):
    """Why something is cooling down, and for how long.

    Attributes:
        seconds: what is left of it, by the store's clock.
        reason: for people.
        detail: what the owner of the cooldown keeps with it.
    """

    seconds: float
    reason: str = ""
    detail: bytes = b""


class Cooldowns(Protocol):
    """What is not used for some time: an account, or a model of an account."""

    async def put(self, name: str, seconds: float, reason: str = "", detail: bytes = b"") -> None:
        """Start a cooldown. One that lasts longer stays."""
        ...

    async def clear(self, name: str) -> None:
        """End a cooldown."""
        ...

    async def all(self) -> dict[str, StoredCooldown]:
        """The cooldowns that have not ended, by name."""
        ...


class Logins(Protocol):
    """Device logins under way, or how they ended, as JSON; the oldest are forgotten."""

    async def put(self, login_id: str, data: bytes) -> None:
        """Note how it stands."""
        ...

    async def get(self, login_id: str) -> bytes | None:
        """How it stands; None: there is no such login any more."""
        ...

    async def remove(self, login_id: str) -> None:
        """Forget it."""
        ...


class State(Protocol):
    """All stores of one process. `async with open_state(...) as state`."""

    @property
    def keys(self) -> KeyTable:
        """The gateway's keys."""
        ...

    @property
    def ledger(self) -> Ledger:
        """What they used."""
        ...

    @property
    def cooldowns(self) -> Cooldowns:
        """Cooldowns of accounts and of their models."""
        ...

    @property
    def logins(self) -> Logins:
        """Device logins."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None, /
    ) -> None: ...

    async def close(self) -> None:
        """Release everything. Unsettled reservations of this worker are booked in full."""
        ...

    async def crash(self) -> None:
        """Release everything as a killed process would: nothing is settled, nothing is booked. For tests."""
        ...
