"""Frames of the responses socket as they come in: what is looked at of one, and its items as JSON. Pure."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from rightseat.json_types import Json
from rightseat.wire.body import BadRequestError
from rightseat.wire.openai_responses.compaction import TRIGGER

_MEMBERS_BYTES = 256 * 1024  # of a frame beside its large members
_NONE = Raw(b"null")


class Given(Struct):
    """What is looked at of a frame, and what may be large in it."""

    type: Raw = _NONE
    generate: Raw = _NONE
    previous_response_id: Raw = _NONE
    initiator: Raw = _NONE
    input: Raw = _NONE
    tools: Raw = _NONE
    instructions: Raw = _NONE
    text: Raw = _NONE
    prompt: Raw = _NONE

    @property
    def large(self) -> int:
        """Bytes of what may be large."""
        return sum(len(memoryview(raw)) for raw in (self.input, self.tools, self.instructions, self.text, self.prompt))


class _Called(Struct):
    """What is looked at of an item, to see which call it makes or answers."""

    type: Json = None
    call_id: Json = None


_called = msgspec.json.Decoder(list[_Called | None]).decode


def check_calls(before: bytes, new: bytes) -> None:
    """Raises BadRequestError: a result in what is new answers a call that nobody has made."""
    if b"_call_output" not in new:
        return
    made: set[str] = set()
    for items in (before, new):
        for item in _read(items):
            kind, call_id = (item.type, item.call_id) if item is not None else (None, None)
            if not isinstance(kind, str) or not isinstance(call_id, str):
                continue
            if kind.endswith("_call"):
                made.add(call_id)
            elif kind.endswith("_call_output") and items is new and call_id not in made:
                raise BadRequestError(
                    f"input: no tool call found for the output with call_id {call_id[:64]!r}", field="input"
                )


def is_compacted(items: bytes) -> bool:
    """Whether a turn has asked for a compaction: what it was made of is not said again."""
    if TRIGGER.encode() not in items[-256:]:
        return False
    read = _read(items)
    return bool(read) and read[-1] is not None and read[-1].type == TRIGGER


def _read(items: bytes) -> list[_Called | None]:
    try:
        return _called(b"[" + items + b"]")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []  # whoever reads them says what is wrong


def given_in(frame: bytes) -> Given:
    """What is looked at of a frame. Raises BadRequestError: it is no JSON object."""
    try:
        return msgspec.json.decode(frame, type=Given)
    except msgspec.ValidationError as e:
        raise BadRequestError("a frame must be a JSON object") from e
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise BadRequestError(f"the frame is not JSON: {e}") from e


def members_of(frame: bytes, given: Given) -> dict[str, Raw]:
    """All members of a frame, as JSON. Raises BadRequestError: there is too much beside what may be large."""
    if len(frame) - given.large > _MEMBERS_BYTES:
        raise BadRequestError(
            f"a frame must not hold more than {_MEMBERS_BYTES} bytes beside its input, tools and texts"
        )
    return msgspec.json.decode(frame, type=dict[str, Raw])


def items_of(given: Raw) -> bytes:
    """The items of an input, separated by commas."""
    data = bytes(given).strip()
    if data[:1] == b'"':
        return b'{"type":"message","role":"user","content":%b}' % data
    if data == b"null":
        return b""
    if data[:1] != b"[":
        raise BadRequestError.at("input", "must be a string or a list of items")
    return data[1:-1].strip()
