"""The root of the tree of errors: what every error carries."""

from __future__ import annotations

from typing import ClassVar, TypedDict

from rightseat.masking import mask

_FIELD_CHARS = 256


class Words(TypedDict, total=False):
    """What an error that has its own code takes besides its message; see `RightseatError`."""

    field: str | None
    public: str | None


class Told(Words, total=False):
    """What every other error of the tree takes besides its message; see `RightseatError`."""

    code: str | None


class RightseatError(Exception):
    """Root of every error this package raises on purpose.

    Args:
        message: what happened, for the log: it may name accounts, addresses and causes.
        field: what of the request is wrong, as a path such as "messages[0].role".
        code: a name for programs.
        public: the message for clients over the network; the message itself if not given.

    Attributes:
        field, code: see above; None: not known.
        status_hint: the HTTP status that fits.
        retry_after: seconds until it is worth asking again; None: not known.
        reached: the request had been sent, at least in part, so it may have cost something.
    """

    status_hint: ClassVar[int] = 500
    field: str | None = None
    code: str | int | None = None
    retry_after: float | None = None
    reached: bool = False
    _public: str | None = None

    def __init__(
        self, message: str = "", *, field: str | None = None, code: str | None = None, public: str | None = None
    ) -> None:
        super().__init__(message)
        if field is not None:
            self.field = mask(field, limit=_FIELD_CHARS)  # clients name fields as they like, and keys end up there
        if code is not None:
            self.code = code
        if public is not None:
            self._public = public

    @property
    def public(self) -> str:
        """The message for clients over the network."""
        return mask(self._public) if self._public is not None else str(self)

    def __str__(self) -> str:
        # Messages quote input: a key in the wrong field must not come back in a log, nor 60 kB of a path.
        return mask(super().__str__())
