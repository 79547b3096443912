"""Bodies of requests, from bytes to a dict, within limits of what they hold and without keeping the event loop.

A JSON decoder does not give way to anything while it works, also not in a thread. So a small body is decoded at once, and a large one part
by part. Knows which lists are counted and nothing else of what is asked.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rightseat.clock import SYSTEM_CLOCK
from rightseat.gateway.http.body_scan import (
    CONTAINER_BYTES,
    LARGE,
    MAX_CONTAINERS,
    MAX_VALUES,
    PART,
    STEP,
    Body,
    BodyParts,
    BodyScan,
    Hold,
    decode_in_parts,
    too_many,
)
from rightseat.json_types import Json
from rightseat.wire.body import BadRequestError, check_depth, json_object


def _anything(size: int) -> None:
    """There is no bound."""


_TINY = 64 * 1024  # bytes: what such a body becomes is not counted
_SMALL = 256 * 1024  # bytes: decoded at once whatever they hold, which takes 10 ms at most
_HUGE = 32 * 1024 * 1024  # bytes: what is larger is looked at sign by sign, for to skip a text of that size takes 20 ms
_LEVELS = 8  # of containers larger than a part, one within another, that are looked through once more each

_DEEPEST = 200  # containers in each other, of a small body
_NO_SIGNS = bytes(byte for byte in range(256) if byte not in b",[{")
_decode = msgspec.json.Decoder().decode
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


async def decode_body(data: bytes, max_messages: int, max_tools: int, hold: Hold = _anything) -> Body:
    """A body as a dict.

    Args:
        data: JSON.
        max_messages: items of `messages` and of `input` at most.
        max_tools: items of `tools` at most.
        hold: is told how many bytes the dict takes, about, beyond as many as the body has; before it is made. It raises where that is
            too much.

    Raises:
        BadRequestError: it is not a JSON object, or holds too much; names the field. Whatever `hold` raises.
    """
    if len(data) > _SMALL:
        body = await _decode_large(data, max_messages, max_tools, hold)
    else:
        containers = data.count(b"{") + data.count(b"[")
        if len(data) > _TINY:
            hold(CONTAINER_BYTES * containers)
        body = json_object(data)
        if containers > _DEEPEST:
            check_depth(body, _DEEPEST)
    if type(found := body.get("messages")) is list and len(found) > max_messages:
        raise too_many("messages", max_messages)
    if type(found := body.get("input")) is list and len(found) > max_messages:
        raise too_many("input", max_messages)
    if type(found := body.get("tools")) is list and len(found) > max_tools:
        raise too_many("tools", max_tools)
    return body


async def _decode_large(data: bytes, max_messages: int, max_tools: int, hold: Hold) -> Body:
    signs, containers = await _count(data)
    if signs <= MAX_VALUES and containers <= MAX_CONTAINERS and len(data) <= _HUGE:
        hold(CONTAINER_BYTES * containers + (len(data) if len(data) > LARGE else 0))
        return await _decode_by_structure(data, hold)
    limits = {"messages": max_messages, "input": max_messages, "tools": max_tools}
    return await decode_in_parts(data, limits, hold)


async def _count(data: bytes) -> tuple[int, int]:
    """How many values and containers the body can hold at most: each value comes after a comma or an opening bracket. Signs within texts count too."""
    signs = commas = 0
    for at in range(0, len(data), STEP):
        found = data[at : at + STEP].translate(None, _NO_SIGNS)
        signs += len(found)
        commas += found.count(b",")
        await SYSTEM_CLOCK.sleep(0)
    return signs, signs - commas


async def _decode_by_structure(data: bytes, hold: Hold) -> Body:
    try:
        body = await _Structure(hold).value(data, 0)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise BadRequestError(f"the body is not JSON: {e}") from e
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    return body


class _Structure:
    """Decodes a body along its own structure: the decoder skips what is large, and that is decoded next, with pauses in between.

    To skip takes a fifth of the time of decoding. Raises DecodeError.
    """

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._due = 0  # bytes that were decoded since others had their turn

    async def value(self, raw: bytes | msgspec.Raw, depth: int) -> Json:
        """What a part is, within containers that are themselves large."""
        size = len(raw)
        sign = bytes(memoryview(raw)[:PART]).lstrip()[:1]
        if sign in (b"{", b"[") and depth > _LEVELS:
            return await self._scanned(bytes(raw))
        if sign == b"{":
            members = _MEMBERS.decode(raw)
            await self._pause(size)
            return dict(zip(members, await self._all(members.values(), depth), strict=True))
        if sign == b"[":
            items = _ITEMS.decode(raw)
            await self._pause(size)
            return await self._all(items, depth)
        if sign == b'"':
            return await self._text(bytes(raw))
        return _decode(raw)

    async def _all(self, parts: Iterable[msgspec.Raw], depth: int) -> list[Json]:
        made: list[Json] = []
        for part in parts:
            if len(part) > PART:
                made.append(await self.value(part, depth + 1))
            else:
                made.append(self._small(part, depth + 1))
                self._due += len(part)
                if self._due >= 2 * PART:
                    await self._pause(0)
        return made

    def _small(self, raw: bytes | msgspec.Raw, depth: int) -> Json:
        found = _decode(raw)
        view = bytes(raw)
        if view.count(b"[") + view.count(b"{") > _DEEPEST - depth:
            check_depth({"": found}, _DEEPEST - depth)
        return found

    async def _text(self, raw: bytes) -> str:
        if not raw.isascii():
            self._hold(3 * len(raw))  # one letter from far away widens all letters of a text
        return await BodyParts(raw).text(0, len(raw))

    async def _scanned(self, raw: bytes) -> Json:
        """So deep inside, large parts are not looked through once more for each level."""
        scan = BodyScan(raw, {})
        while not scan.step():
            await SYSTEM_CLOCK.sleep(0)
        return _decode(raw) if scan.root is None else await BodyParts(raw).value(scan.root, _LEVELS)

    async def _pause(self, size: int) -> None:
        self._due += size
        if self._due >= 2 * PART:
            self._due = 0
            await SYSTEM_CLOCK.sleep(0)
