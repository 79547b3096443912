"""JSON-RPC 2.0 over Content-Length frames, both sides of it: values in, bytes out; bytes in, values out.

`Peer` is symmetrical: two of them, back to back, hold a conversation. It keeps the ids of the calls that are open and knows
who may say what. It does not know what any method means, who waits for an answer, and where bytes go. (JSON-RPC 2.0
specification, sections 4 and 5; cancellation as in LSP 3.17, `$/cancelRequest`.)

Like the frame decoder below it, a Peer never raises on what it is fed: the first violation is kept in `failure`, after all
that came before it has been handed out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from rightseat.errors import EncodeError, ProtocolError
from rightseat.json_types import Json
from rightseat.masking import mask
from rightseat.wire.framing import MAX_FRAME_BYTES, FrameDecoder, encode_frame

Id: TypeAlias = int | str

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REQUEST_CANCELLED = -32800  # LSP 3.17

_CANCEL = "$/cancelRequest"
_NO_PARAMS = Raw(b"{}")
_NULL = Raw(b"null")
_SHOWN = 80


class Called(Struct, frozen=True, gc=False):
    """The peer calls a method and waits: reply with `Peer.answer` or `Peer.refuse`."""

    id: Id
    method: str
    params: Raw


class Notified(Struct, frozen=True, gc=False):
    """The peer tells something. `params` is a value of the type registered for the method, else raw JSON."""

    method: str
    params: Json


class Answered(Struct, frozen=True, gc=False):
    """The peer answers our call `id`."""

    id: Id
    result: Raw


class Refused(Struct, frozen=True, gc=False):
    """The peer answers our call `id` of `method` with an error."""

    id: Id
    method: str
    code: int
    message: str
    data: Json = None


class Cancelled(Struct, frozen=True, gc=False):
    """The peer no longer waits for our answer to its call `id`."""

    id: Id


Incoming: TypeAlias = Called | Notified | Answered | Refused | Cancelled


class _Error(Struct, gc=False):
    code: int = INTERNAL_ERROR
    message: str = ""
    data: Json = None


class _RawMessage(Struct, gc=False):
    """Any message, before anybody decided what it is."""

    id: int | str | UnsetType | None = UNSET
    method: str | None = None
    params: Raw = _NO_PARAMS
    result: Raw = _NULL
    error: _Error | None = None


class _Out(Struct, gc=False, omit_defaults=True, tag_field="jsonrpc", tag="2.0"):
    """Any message we write; what is unset is left out."""

    id: Id | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Json = UNSET
    result: Json = UNSET
    error: Json = UNSET


def _encode_foreign(value: object) -> Json:
    """What JSON can hold of the values users bring: Pydantic models, paths, sets."""
    if callable(dump := getattr(value, "model_dump", None)):
        return dump(mode="json", by_alias=True)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"a value of type {type(value).__name__} is not JSON")


_encode = msgspec.json.Encoder(enc_hook=_encode_foreign).encode
_decode_message = msgspec.json.Decoder(_RawMessage).decode


def encode_json(value: object, what: str) -> bytes:
    """`value` as JSON.

    Args:
        value: built-in types, dataclasses, msgspec Structs, Pydantic models, paths.
        what: what the value is, for the error.

    Raises:
        EncodeError: naming `what`.
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, NotImplementedError, RecursionError, OverflowError) as e:
        why = "a lone surrogate cannot be UTF-8" if isinstance(e, UnicodeEncodeError) else str(e)
        raise EncodeError(f"{what} cannot be written as JSON: {why}") from e


def _mend(body: bytes) -> bytes:
    r"""The same JSON with lone surrogate escapes (``\ud83d``) replaced by U+FFFD.

    JavaScript cuts strings between UTF-16 units and escapes the halves; that is legal JSON, and no Unicode string.
    """
    text = json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


class Peer:
    """One side of a JSON-RPC conversation, without any I/O.

    Args:
        max_frame_bytes: the largest message accepted, in bytes.
        params_types: types to decode the parameters of certain notifications to, in the same pass over the bytes. Where
            the parameters do not fit, `Notified.params` is raw JSON.

    Attributes:
        failure: the violation that ended the conversation, or None.
    """

    def __init__(
        self, *, max_frame_bytes: int = MAX_FRAME_BYTES, params_types: Mapping[str, type] | None = None
    ) -> None:
        self.failure: ProtocolError | None = None
        self._frames = FrameDecoder(max_frame_bytes)
        self._calls: dict[Id, str] = {}  # ours, open: id -> method
        self._asked: set[Id] = set()  # theirs, open
        self._last_id = 0
        self._seen = 0
        self._typed = [self._typed_decoder(method, kind) for method, kind in (params_types or {}).items()]

    @staticmethod
    def _typed_decoder(method: str, kind: type) -> tuple[bytes, str, Callable[[bytes], Any]]:
        shape = msgspec.defstruct("TypedNotification", [("method", str), ("params", kind)], gc=False)
        return msgspec.json.encode(method), method, msgspec.json.Decoder(shape).decode

    # What we say.

    def call(self, method: str, params: Json) -> tuple[int, bytes]:
        """Open a call: its id, and the bytes to send.

        Raises:
            EncodeError: `params` cannot be written as JSON; no call was opened.
        """
        call_id = self._last_id + 1
        data = self._write(_Out(id=call_id, method=method, params=params), f"params of {method}")
        self._last_id = call_id
        self._calls[call_id] = method
        return call_id, data

    def notify(self, method: str, params: object) -> bytes:
        """The bytes of a notification. Raises EncodeError as `call` does."""
        return self._write(_Out(method=method, params=params), f"params of {method}")

    def answer(self, call_id: Id, result: Json) -> bytes:
        """The bytes that answer the peer's call. b"" when the peer no longer waits. Raises EncodeError as `call` does."""
        if call_id not in self._asked:
            return b""
        data = self._write(_Out(id=call_id, result=result), "the result")
        self._asked.discard(call_id)
        return data

    def refuse(self, call_id: Id, code: int, message: str, data: object = None) -> bytes:
        """The bytes that answer the peer's call with an error. b"" when the peer no longer waits."""
        if call_id not in self._asked:
            return b""
        self._asked.discard(call_id)
        error = {"code": code, "message": message} if data is None else {"code": code, "message": message, "data": data}
        return self._write(_Out(id=call_id, error=error), "the error")

    def cancel(self, call_id: Id) -> bytes:
        """Give up one of our calls: the bytes that tell the peer. Its answer, should one come, is dropped."""
        return self.notify(_CANCEL, {"id": call_id}) if self._calls.pop(call_id, None) else b""

    def method_of(self, call_id: Id) -> str | None:
        """The method of one of our open calls."""
        return self._calls.get(call_id)

    @property
    def open_calls(self) -> Mapping[Id, str]:
        """Our calls that wait for an answer: id -> method."""
        return self._calls

    @staticmethod
    def _write(message: _Out, what: str) -> bytes:
        return encode_frame(encode_json(message, what))

    # What they say.

    def feed(self, data: bytes) -> list[Incoming]:
        """Take the next bytes; return what the peer said, in order. Empty after a failure."""
        if self.failure is not None:
            return []
        said: list[Incoming] = []
        append = said.append
        for body in self._frames.feed(data):
            self._seen += 1
            try:
                message = self._typed_notification(body) or self._read(body)
            except ProtocolError as e:
                self.failure = e
                return said
            if message is not None:
                append(message)
        self.failure = self._frames.failure
        return said

    def feed_eof(self) -> None:
        """The peer has hung up. Inside a message, that is a failure."""
        self._frames.feed_eof()
        self.failure = self.failure or self._frames.failure

    def _typed_notification(self, body: bytes) -> Notified | None:
        for needle, method, decode in self._typed:
            if body.find(needle, 0, 96) < 0:  # a hint, not a proof: the decoded method decides
                continue
            try:
                body.decode()  # all of it, also what is decoded later
                message = decode(body)
            except (ValueError, RecursionError):
                return None
            if message.method == method:
                return Notified(method, message.params)
        return None

    def _read(self, body: bytes) -> Incoming | None:
        message = self._decode(body)
        method, message_id = message.method, message.id
        if method is not None:
            if message_id is UNSET or message_id is None:
                return self._told(method, message.params)
            self._asked.add(message_id)
            return Called(message_id, method, message.params)
        if message_id is UNSET or message_id is None:
            if message.error is not None:
                raise ProtocolError(f"the peer could not read one of our messages: {message.error.message}")
            raise self._broken("it is neither a call nor an answer (no method and no id)", body)
        called = self._calls.pop(message_id, None)
        if called is None:
            return None  # the answer to a call that was given up
        if (error := message.error) is not None:
            return Refused(message_id, called, error.code, error.message, error.data)
        return Answered(message_id, message.result)

    def _told(self, method: str, params: Raw) -> Incoming | None:
        if method != _CANCEL:
            return Notified(method, params)
        try:
            call_id = msgspec.json.decode(params)["id"]
        except (ValueError, KeyError, TypeError):
            return None
        if not isinstance(call_id, (int, str)) or call_id not in self._asked:
            return None
        self._asked.discard(call_id)
        return Cancelled(call_id)

    def _decode(self, body: bytes) -> _RawMessage:
        try:
            body.decode()
            return _decode_message(body)
        except UnicodeDecodeError as e:
            raise self._broken(f"it is not UTF-8 (byte {e.start})", body) from None
        except msgspec.ValidationError as e:
            raise self._broken(f"it is not a JSON-RPC message ({e})", body) from None
        except (msgspec.DecodeError, RecursionError) as e:
            try:
                return _decode_message(_mend(body))
            except (ValueError, RecursionError):
                raise self._broken(f"it is not JSON ({e})", body) from None

    def _broken(self, why: str, body: bytes) -> ProtocolError:
        quoted = mask(repr(body[:_SHOWN])[1:]) + ("..." if len(body) > _SHOWN else "")
        return ProtocolError(f"message {self._seen} of the connection is broken: {why}: {quoted}")
