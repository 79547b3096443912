"""Chance: ids, keys and random numbers. The only module that asks the system for randomness.

Code that needs an id or a random number takes an `Ids`, by default `SYSTEM_IDS`; `rightseat.testing.SeededIds` gives the
same ids in every run.
"""

from __future__ import annotations

import base64
import os
import random
from typing import Protocol


class Ids(Protocol):
    """A source of ids and chance."""

    def uuid(self) -> str:
        """A version 4 UUID, such as "0b7e0c1a-6c0f-4b8e-9d56-0f6f0a3f9f10"."""
        ...

    def hex(self, chars: int = 32) -> str:
        """Hexadecimal digits."""
        ...

    def token(self, nbytes: int = 24) -> str:
        """A secret of that many random bytes, in the alphabet of URLs (four characters for three bytes)."""
        ...

    def entropy(self, nbytes: int) -> bytes:
        """Random bytes, fit for keys."""
        ...

    def chance(self) -> float:
        """A number from 0 to 1, without 1: for jitter and sampling, not for secrets."""
        ...


class SystemIds:
    """The system's randomness. All but `chance` is made of `entropy`, so a subclass that replaces those two replaces everything."""

    def uuid(self) -> str:
        """See Ids."""
        digits = self.entropy(16).hex()
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

    def hex(self, chars: int = 32) -> str:
        """See Ids."""
        return self.entropy((chars + 1) // 2).hex()[:chars]

    def token(self, nbytes: int = 24) -> str:
        """See Ids."""
        return base64.urlsafe_b64encode(self.entropy(nbytes)).rstrip(b"=").decode()

    def entropy(self, nbytes: int) -> bytes:
        """See Ids."""
        return os.urandom(nbytes)

    def chance(self) -> float:
        """See Ids."""
        return random.random()  # noqa: S311 - jitter, not a secret


SYSTEM_IDS: Ids = SystemIds()
