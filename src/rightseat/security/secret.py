"""A text that never prints itself: not in a log, a traceback, a repr, a pickle or JSON. Who wants it says `reveal()`."""

from __future__ import annotations

from typing import Any, NoReturn, Self

_HIDDEN = "****"


class Secret:
    """A secret.

        key = Secret("sk-...")
        print(key)        # ****
        key.reveal()      # the text itself

    Two secrets are compared in constant time. `json.dumps` and msgspec refuse it, as they refuse everything they do not know.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The text itself."""
        return self.__value

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN})"

    def __str__(self) -> str:
        return _HIDDEN

    def __format__(self, spec: str) -> str:
        return format(_HIDDEN, spec)

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac  # OpenSSL, which few need

        return hmac.compare_digest(self.__value.encode(), other.__value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: what is stored can be read by others")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self
