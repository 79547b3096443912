"""Encrypted reasoning, marked with the dialect it was made in.

Models refuse what others have encrypted. When one dialect carries what another has made, the mark tells so, and whoever goes back
upstream gives only what is its own. What is not marked was made in the dialect in which it stands; inside chat values, in
`openai_chat`.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

MARK = "rs1:"
CHAT, RESPONSES, MESSAGES = "chat", "responses", "messages"


def seal(origin: str, data: str, item_id: str = "") -> str:
    """Encrypted reasoning with a mark. `item_id` goes with it where the dialect has ids."""
    return f"{MARK}{origin}:{quote(item_id, safe='')}:{data}"


def unseal(text: str) -> tuple[str, str, str]:
    """The origin, the id and the data; the origin of what has no mark is CHAT."""
    if not text.startswith(MARK):
        return CHAT, "", text
    origin, _, rest = text[len(MARK) :].partition(":")
    item_id, _, data = rest.partition(":")
    return origin, unquote(item_id), data


def own(text: str, origin: str) -> tuple[str, str] | None:
    """The id and the data, if the reasoning was made in this dialect; else None."""
    found, item_id, data = unseal(text)
    return (item_id, data) if found == origin else None


def shown(text: str, origin: str) -> str:
    """How a dialect carries it: its own bare, that of others with their mark."""
    found, item_id, data = unseal(text)
    if found == origin:
        return data
    return text if text.startswith(MARK) else seal(found, data, item_id)


def taken(text: str, origin: str) -> str:
    """What `shown` has written, read back."""
    if not text.startswith(MARK):
        return text if origin == CHAT or not text else seal(origin, text)
    found, _, data = unseal(text)
    return data if found == CHAT else text
