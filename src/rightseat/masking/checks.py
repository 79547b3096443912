"""Rules that decide whether a match of a pattern is the real thing: check digits, ranges, randomness. Pure."""

from __future__ import annotations


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        n = int(digit)
        if i % 2:
            n = n * 2 - 9 if n > 4 else n * 2
        total += n
    return total % 10 == 0


# First digits and lengths by issuer: Visa, Mastercard, American Express, Discover, Diners, JCB, UnionPay, Maestro.
_ISSUERS: tuple[tuple[range, int, tuple[int, ...]], ...] = (
    (range(4, 5), 1, (13, 16, 19)),
    (range(51, 56), 2, (16,)),
    (range(2221, 2721), 4, (16,)),
    (range(34, 35), 2, (15,)),
    (range(37, 38), 2, (15,)),
    (range(6011, 6012), 4, (16, 19)),
    (range(644, 650), 3, (16, 19)),
    (range(65, 66), 2, (16, 19)),
    (range(300, 306), 3, (14,)),
    (range(36, 37), 2, (14,)),
    (range(38, 40), 2, (14,)),
    (range(3528, 3590), 4, (16, 19)),
    (range(62, 63), 2, (16, 17, 18, 19)),
    (range(50, 51), 2, (16, 19)),
    (range(56, 59), 2, (16, 19)),
)


def is_card(text: str) -> bool:
    """A payment card's number: an issuer's first digits and length, and the check digit."""
    digits = "".join(c for c in text if c.isdigit())
    known = any(len(digits) in lengths and int(digits[:width]) in prefixes for prefixes, width, lengths in _ISSUERS)
    return known and len(set(digits)) > 1 and _luhn(digits)


def is_iban(text: str) -> bool:
    """ISO 13616-1: mod 97 is 1."""
    plain = "".join(text.split()).upper()
    if not 15 <= len(plain) <= 34:
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


def is_ssn(text: str) -> bool:
    """A number of US social security that can have been given: no 000, 666, 9xx; no 00; no 0000."""
    area, group, serial = text.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def is_phone(text: str) -> bool:
    """Ten to fifteen digits (ITU-T E.164), not all the same."""
    digits = [c for c in text if c.isdigit()]
    return 10 <= len(digits) <= 15 and len(set(digits)) > 2


def is_random(text: str) -> bool:
    """Looks made by a machine: for patterns that only a name before them tells."""
    if len(text) < 8 or len(set(text)) < 5:
        return False
    low = text.lower()
    if any(
        word in low
        for word in ("example", "placeholder", "your", "changeme", "dummy", "redacted", "xxxx", "<", "${", "{{", "...")
    ):
        return False
    kinds = sum((any(c.islower() for c in text), any(c.isupper() for c in text), any(c.isdigit() for c in text)))
    return kinds >= 2 and any(c.isdigit() for c in text)
