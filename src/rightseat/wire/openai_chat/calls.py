"""Tool calls out of the pieces in which chunks bring them."""

from __future__ import annotations

from collections.abc import Callable

from rightseat.chat import ToolCall
from rightseat.json_types import JsonObject
from rightseat.wire.reading import Text, size_of

_OTHER = 256  # bytes that a field or a call counts as, besides its text
_PIECES = ("name", "arguments", "input")


class Calls:
    """The tool calls of one answer. The last one may still grow.

    Args:
        hold: told how many bytes more are kept; may raise.
    """

    def __init__(self, hold: Callable[[int], None]) -> None:
        self.found: list[PartialCall] = []
        self._hold = hold
        self._open: dict[tuple[str, str], PartialCall] = {}

    def take(self, choice: str, delta: JsonObject) -> None:
        """A piece of a call: a new id begins a new call, whatever the index says; without an id it continues one."""
        key = (choice, repr(delta.get("index")))
        call = self._open.get(key)
        if call is None or (delta.get("id") and delta["id"] != call.id):
            call = PartialCall(
                str(delta.get("id") or f"call_{len(self.found)}"), "custom" if "custom" in delta else "function"
            )
            self._hold(_OTHER)
            self._open[key] = call
            self.found.append(call)
        pieces = delta.get(call.kind)
        for name, value in pieces.items() if isinstance(pieces, dict) else ():
            if isinstance(value, str):
                self._hold(size_of(value))
                call.pieces.setdefault(name, Text()).add(value)
            elif value is not None and name not in _PIECES:
                self._hold(_OTHER if name not in call.others else 0)
                call.others[name] = value


class PartialCall:
    """One call.

    Attributes:
        pieces: field -> its text so far.
        others: fields that are no text, as they came.
    """

    __slots__ = ("id", "kind", "others", "pieces")

    def __init__(self, call_id: str, kind: str) -> None:
        self.id = call_id
        self.kind = kind
        self.pieces = {"name": Text(), "input" if kind == "custom" else "arguments": Text()}
        self.others: JsonObject = {}

    def body(self) -> JsonObject:
        """As an answer that was not streamed has it."""
        texts = {name: str(text) for name, text in self.pieces.items()}
        return {"id": self.id, "type": self.kind, self.kind: {**texts, **self.others}}

    def value(self) -> ToolCall:
        """As a chat value. A function without arguments is called with none."""
        name = "input" if self.kind == "custom" else "arguments"
        text = str(self.pieces[name]) or ("" if self.kind == "custom" else "{}")
        return ToolCall(self.id, str(self.pieces["name"]), text, self.kind)
