"""Who asks: decided once, by the head of a request, and carried as a value."""

from __future__ import annotations

from msgspec import Struct

from rightseat.state.key_record import Key

MANAGEMENT = "management"  # the id of callers with the management key


class Caller(Struct, frozen=True):
    """Who asks.

    Attributes:
        id: of the key; "" where no key is needed.
        name: of the key, for people.
        key: one of the gateway's own, as it was when the caller was let in; None for others.
        digest: of the secret that was shown, so that its end can be noticed; "" where none was needed.
        address: where the request came from.
    """

    id: str = ""
    name: str = ""
    key: Key | None = None
    digest: str = ""
    address: str = ""


ANONYMOUS = Caller()
