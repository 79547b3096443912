"""The slow way through a body: every sign is looked at, in steps, and what is large is decoded in parts.

For bodies that hold very many values, in which a decoder that skips would keep the event loop. This module knows which lists are counted
and nothing else of what is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from rightseat.clock import SYSTEM_CLOCK
from rightseat.json_types import Json, JsonObject
from rightseat.wire.body import BadRequestError

Body: TypeAlias = JsonObject
Hold: TypeAlias = Callable[[int], None]

MAX_VALUES = 400_000  # members and items of one body, at any depth
MAX_CONTAINERS = 100_000  # objects and lists among them
CONTAINER_BYTES = 232  # that an object takes, with a few members
LARGE = 4 * 1024 * 1024
PART = 64 * 1024  # bytes that are decoded at a time of one that holds many
_TEXT_PART = 1024 * 1024
_TOKENS = 4096  # that are looked at in one step
STEP = 1024 * 1024  # and bytes
_DEPTH = 500
_PART_DEPTH = 64  # of containers that are larger than a part
_TOKEN = re.compile(rb'[]{}[,"]')
_BORDER = re.compile(rb'[]["{}]')  # what ends a list that holds neither texts nor containers, or shows that it does
_FLAT = 65536  # bytes of such a list that are looked at
_TEXT = re.compile(rb'(?:[^"\\]{1,1024}+|\\.){0,1024}+', re.DOTALL)  # some of a text with escapes
_ESCAPED = re.compile(rb"(?:[^\\]{1,1024}+|\\u[0-9a-fA-F]{4}|\\[^u]){1,65536}+", re.DOTALL)
_HALF = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\Z")  # the first half of a character beyond the basic plane
_IS_NAME = re.compile(rb"[ \t\r\n]{0,1024}+:")  # what follows the text that names a member
_OPENING = {0x7B: 0x7D, 0x5B: 0x5D}


def too_many(name: str, limit: int) -> BadRequestError:
    """The error of a list that has more items than it may have."""
    return BadRequestError.at(name, f"must not have more than {limit} items")


class _Node(Struct, gc=False):
    """A container or a text that is too large to be decoded at once.

    Attributes:
        kind: its first byte.
        start, end: where it is; `end` is behind its last byte.
        cuts: of a container: where its commas are.
        nodes: the large ones in it.
    """

    kind: int
    start: int
    end: int
    cuts: list[int]
    nodes: list[_Node]


class BodyScan:
    """Finds the large parts of a body and counts what it holds. Feed it with `step` until that says that it is done."""

    def __init__(self, data: bytes, limits: dict[str, int]) -> None:
        self._data = data
        self._limits = {name.encode(): limit for name, limit in limits.items()}
        self._at = 0
        self._text_at = -1  # where the text begins that is looked at
        self._open: list[_Node] = []
        self._bounds: list[int] = []  # how many items each open container may have
        self._values = 0
        self.containers = 0
        self.texts = 0  # bytes of large texts
        self._key = b""
        self.root: _Node | None = None

    def step(self) -> bool:
        """Go on for a while. True: all is seen. Raises BadRequestError."""
        data, search, until = self._data, _TOKEN.search, self._at + STEP
        for _ in range(_TOKENS):
            if self._at > until:
                break
            if self._text_at >= 0:
                self._in_text()
                continue
            found = search(data, self._at, self._at + STEP)
            if found is None:
                return self._skip()
            self._at = found.end()
            self._take(data[self._at - 1], self._at - 1)
        return False

    def _skip(self) -> bool:
        """There is nothing but digits and white space for a while."""
        if self._at + STEP >= len(self._data):
            return self._ended()
        if self._open:
            raise _not_json(self._at)  # no number is so long
        self._at += STEP
        return False

    def _take(self, sign: int, at: int) -> None:
        if sign == 0x2C:
            self._comma(at)
        elif sign == 0x22:
            self._text(at)
        elif sign in _OPENING:
            self._begin(sign, at)
        else:
            self._finish(sign, at)

    def _comma(self, at: int) -> None:
        if not self._open:
            raise _not_json(at)
        self._count()
        cuts = self._open[-1].cuts
        cuts.append(at)
        if len(cuts) >= self._bounds[-1]:
            raise too_many(self._key.decode("utf-8", "replace"), self._bounds[-1])

    def _text(self, at: int) -> None:
        """A text begins. Nearly always the next quotation mark ends it."""
        data = self._data
        end = data.find(b'"', at + 1)
        if end < 0 or not self._open:
            raise _not_json(at)
        if data[end - 1] == 0x5C and _backslashes(data, at + 1, end) % 2:
            self._text_at, self._at = at, end + 1
        else:
            self._text_ends(at, end)

    def _in_text(self) -> None:
        """Go on in a text with escapes."""
        at = self._at
        found = _TEXT.match(self._data, at)
        self._at = found.end() if found is not None else at
        if self._data[self._at : self._at + 1] == b'"':
            start, self._text_at = self._text_at, -1
            self._text_ends(start, self._at)
        elif self._at == at:
            raise _not_json(at)

    def _text_ends(self, at: int, end: int) -> None:
        self._at = end + 1
        if len(self._open) == 1 and end - at < 32:
            self._key = self._data[at + 1 : end]
        if end - at > _TEXT_PART and not _IS_NAME.match(self._data, end + 1):
            self._open[-1].nodes.append(_Node(0x22, at, end + 1, [], []))
            self.texts += end - at

    def _begin(self, sign: int, at: int) -> None:
        self._count()
        self.containers += 1
        if self.containers > MAX_CONTAINERS:
            raise self._holds_too_much(f"{MAX_CONTAINERS} objects and lists")
        if sign == 0x5B and self._open and (end := self._flat_end(at + 1)):
            self._numbers(at, end)
            return
        if len(self._open) >= _DEPTH or (not self._open and self.root is not None):
            raise BadRequestError("the body is nested too deeply") if self._open else _not_json(at)
        limited = sign == 0x5B and len(self._open) == 1
        self._bounds.append(self._limits.get(self._key, MAX_VALUES + 1) if limited else MAX_VALUES + 1)
        self._open.append(_Node(sign, at, at, [], []))

    def _flat_end(self, start: int) -> int:
        """Where a list ends that holds neither texts nor containers; 0: it holds some, or is too long to say."""
        found = _BORDER.search(self._data, start, start + _FLAT)
        return found.end() if found is not None and found[0] == b"]" else 0

    def _numbers(self, start: int, end: int) -> None:
        """A list that holds neither texts nor containers."""
        self._count(self._data.count(b",", start, end))
        self._at = end
        if end - start > PART:
            cuts = [m.start() for m in re.finditer(b",", self._data[start:end])]
            self._open[-1].nodes.append(_Node(0x5B, start, end, [start + cut for cut in cuts], []))

    def _finish(self, sign: int, at: int) -> None:
        if not self._open or _OPENING[self._open[-1].kind] != sign:
            raise _not_json(at)
        node = self._open.pop()
        self._bounds.pop()
        node.end = at + 1
        if not self._open:
            self.root = node
        elif node.end - node.start > PART:
            self._open[-1].nodes.append(node)

    def _count(self, more: int = 1) -> None:
        self._values += more
        if self._values > MAX_VALUES:
            raise self._holds_too_much(f"{MAX_VALUES} values")

    def _holds_too_much(self, what: str) -> BadRequestError:
        return BadRequestError.at(self._key.decode("utf-8", "replace") or "body", f"must not hold more than {what}")

    def _ended(self) -> bool:
        root = self.root
        if root is None or self._open or self._data[: root.start].strip() or self._data[root.end :].strip():
            raise _not_json(len(self._data))
        return True


async def decode_in_parts(data: bytes, limits: dict[str, int], hold: Hold) -> Body:
    """A body as a dict; see `decode_body`. Raises BadRequestError, and whatever `hold` raises."""
    scan = BodyScan(data, limits)
    while not scan.step():
        await SYSTEM_CLOCK.sleep(0)
    root = scan.root
    if root is None or root.kind != 0x7B:
        raise BadRequestError("the body must be a JSON object")
    wide = 0 if data.isascii() else 3 * scan.texts  # one letter from far away widens all letters of a text
    copy = len(data) if len(data) > LARGE else 0  # what looks through a large text copies it once more
    hold(copy + CONTAINER_BYTES * scan.containers + wide)
    try:
        body: Body = await BodyParts(data).value(root, 0)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise BadRequestError(f"the body is not JSON: {e}") from e
    return body


class BodyParts:
    """Decodes what a scan has found, a part at a time. Raises DecodeError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._due = 0  # bytes that were decoded since others had their turn

    async def value(self, node: _Node, depth: int) -> Json:
        """What a large part is."""
        if depth > _PART_DEPTH:
            raise BadRequestError("the body is nested too deeply")
        if node.kind == 0x22:
            return await self.text(node.start, node.end)
        return await self._container(node, depth)

    async def _container(self, node: _Node, depth: int) -> Json:
        made: Any = {} if node.kind == 0x7B else []
        start, first, nodes = node.start + 1, node.start + 1, iter(node.nodes)
        large = next(nodes, None)
        count = 0
        for cut in (*node.cuts, node.end - 1):
            count += 1
            if large is not None and large.end <= cut:
                await self._items(made, first, start - 1, count - 1)
                await self._large(made, start, cut, large, depth)
                large = next(nodes, None)
                first, count = cut + 1, 0
            elif cut - first >= PART:
                await self._items(made, first, cut, count)
                first, count = cut + 1, 0
            start = cut + 1
        await self._items(
            made, first, node.end - 1, count if node.cuts or self._data[first : node.end - 1].strip() else 0
        )
        return made

    async def _items(self, made: dict[str, Json] | list[Json], start: int, end: int, count: int) -> None:
        """Some small items or members, which stand together."""
        if not count:
            return
        data = self._data[start:end]
        await self._pause(len(data))
        if isinstance(made, list):
            items = msgspec.json.decode(b"[" + data + b"]")
            made += items
            if len(items) != count:
                raise msgspec.DecodeError(f"an item is missing before byte {end}")
        else:
            made.update(msgspec.json.decode(b"{" + data + b"}", type=dict[str, Json]))
            if not data.strip():
                raise msgspec.DecodeError(f"a member is missing before byte {end}")

    async def _large(self, made: dict[str, Json] | list[Json], start: int, end: int, node: _Node, depth: int) -> None:
        """One item or member with a large part in it."""
        rest = self._data[start : node.start] + b"null" + self._data[node.end : end]
        value = await self.value(node, depth + 1)
        if isinstance(made, list):
            msgspec.json.decode(rest)
            made.append(value)
        else:
            (name,) = msgspec.json.decode(b"{" + rest + b"}", type=dict[str, None])
            made[name] = value

    async def text(self, start: int, end: int) -> str:
        """A text with its quotation marks, which is decoded in parts."""
        at, end = start + 1, end - 1
        plain = self._data.find(b"\\", at, end) < 0
        if plain and self._data.isascii():  # a picture, most likely: copied once
            return str(memoryview(self._data)[at:end], "ascii")
        pieces: list[str] = []
        while at < end:
            cut = self._text_cut(at, end, plain=plain)
            pieces.append(msgspec.json.decode(b'"' + self._data[at:cut] + b'"', type=str))
            at = cut
            await self._pause(_TEXT_PART)
        return "".join(pieces)

    def _text_cut(self, at: int, end: int, *, plain: bool) -> int:
        """Where a text can be cut: not inside a character, nor inside what stands for one."""
        cut = min(at + _TEXT_PART, end)
        if cut == end:
            return end
        if not plain:
            found = _ESCAPED.match(self._data, at, cut)
            cut = found.end() if found is not None else at
            if _HALF.search(self._data, max(at, cut - 6), cut):
                cut -= 6
        while cut > at and self._data[cut] & 0xC0 == 0x80:
            cut -= 1
        if cut <= at:
            raise msgspec.DecodeError(f"a text that cannot be read at byte {at}")
        return cut

    async def _pause(self, size: int) -> None:
        self._due += size
        if self._due >= 2 * PART:
            self._due = 0
            await SYSTEM_CLOCK.sleep(0)


def _backslashes(data: bytes, start: int, end: int) -> int:
    """How many backslashes stand right before `end`."""
    count = 0
    while end > start:
        part = data[max(start, end - 4096) : end]
        count += (found := len(part) - len(part.rstrip(b"\\")))
        if found < len(part):
            break
        end -= len(part)
    return count


def _not_json(at: int) -> BadRequestError:
    return BadRequestError(f"the body is not JSON: byte {at} does not fit")
