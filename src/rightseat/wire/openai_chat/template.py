"""Reading the text out of chunks that differ in nothing else, without decoding the rest of them."""

from __future__ import annotations

import msgspec

from rightseat.json_types import JsonObject

_decode_text = msgspec.json.Decoder(str).decode
_MEMBER = b'"content":'  # within what a model says JSON escapes quotes, so these bytes are the member
_BACKSLASH = ord("\\")
_DELTA = frozenset({"content", "role"})


class Template:
    """What most chunks of an answer share: everything but the text."""

    TRIES = 4
    LONGEST = 4096

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self._tries = self.TRIES

    def text(self, data: bytes) -> str | None:
        """The text of a chunk that differs from the last one in nothing else; None when it may differ."""
        head = self._head
        if not head or not data.startswith(head) or not data.endswith(self._tail):
            return None
        try:
            return _decode_text(data[len(head) : -len(self._tail)])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def learn(self, data: bytes, chunk: JsonObject) -> None:
        """Another chunk that was decoded; one that holds text and nothing that ends or adds anything is a template."""
        self._head = b""
        if not self._tries or len(data) > self.LONGEST or data.count(_MEMBER) != 1 or not _is_text_alone(chunk):
            return
        start = data.find(b'"', data.find(_MEMBER) + len(_MEMBER))
        end = _end_of_text(data, start)
        if self._fits(data[start:end], chunk["choices"][0]["delta"]["content"]) and end < len(data):
            self._head, self._tail = data[:start], data[end:]
            self._tries -= 1  # streams whose chunks differ in more than the text are not tried any longer

    @staticmethod
    def _fits(data: bytes, text: str) -> bool:
        try:
            return _decode_text(data) == text
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False


def _is_text_alone(chunk: JsonObject) -> bool:
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return False
    delta = choices[0].get("delta")
    if choices[0].get("finish_reason") or not isinstance(delta, dict) or not isinstance(delta.get("content"), str):
        return False
    return bool(delta["content"]) and all(value is None or name in _DELTA for name, value in delta.items())


def _end_of_text(data: bytes, start: int) -> int:
    """Where a JSON text that begins at `start` ends: behind the first quote that is not escaped."""
    end = data.find(b'"', start + 1)
    while end > 0:
        first = end
        while data[first - 1] == _BACKSLASH:
            first -= 1
        if (end - first) % 2 == 0:
            return end + 1
        end = data.find(b'"', end + 1)
    return len(data)
