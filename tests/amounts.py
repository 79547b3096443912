"""How much a test does. The whole suite has minutes; `make test-long` has hours."""

import os

LONG = os.environ.get("RIGHTSEAT_LONG_TESTS", "") not in ("", "0")


def amount(usual: int, long: int) -> int:
    """`usual` in `make test`, `long` in `make test-long`."""
    return long if LONG else usual
