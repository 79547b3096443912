"""What can be wrong with a head before anybody knows what it asks for, and the opening handshake of WebSockets. Does not know who answers it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from rightseat.errors import CallerError, DeclinedError, RightseatError

REFUSED = (
    "rightseat.refused"  # in a scope: what our own server has found wrong with the head; it is answered by that error
)
_LINE_BYTES, _LINES = 8000, 100  # of a handshake, which the library reads again by limits of its own
_KEY_BYTES = 16  # RFC 6455, section 4.1


class MalformedRequestError(CallerError):
    """What came is no HTTP request, or could be read in more than one way."""

    status_hint = 400

    def __init__(self) -> None:
        super().__init__("the request is not valid HTTP", code="malformed_request")


class HeadTooLargeError(CallerError):
    """The head of the request is larger than the settings allow."""

    status_hint = 431

    def __init__(self) -> None:
        super().__init__("the head of the request is too large", code="head_too_large")


class HeadTooSlowError(CallerError):
    """The head of the request did not come in time."""

    status_hint = 408

    def __init__(self, seconds: float) -> None:
        message = f"the head of the request did not come in time (within {seconds:g} s)"
        super().__init__(message, code="head_timeout")


class HandshakeError(CallerError):
    """A WebSocket is asked for in a way that is none."""

    status_hint = 400


class TooManyConnectionsError(DeclinedError):
    """There are as many connections as the settings allow."""

    status_hint = 503
    retry_after = 1.0

    def __init__(self) -> None:
        super().__init__("too many connections are open; try again in a moment", code="too_many_connections")


def fault_of_handshake(method: bytes, version: str, fields: Sequence[tuple[bytes, bytes]]) -> RightseatError | None:
    """What is wrong with the head that asks for a WebSocket (RFC 6455, section 4.2.1).

    Args:
        method: of the request.
        version: of HTTP, as "1.1".
        fields: names in lower case.
    """
    if len(fields) > _LINES or any(len(name) + len(value) > _LINE_BYTES for name, value in fields):
        return HeadTooLargeError()
    keys = [value for name, value in fields if name == b"sec-websocket-key"]
    versions = [value.strip() for name, value in fields if name == b"sec-websocket-version"]
    if method != b"GET" or version != "1.1":
        return HandshakeError("a WebSocket is opened by GET over HTTP/1.1", code="handshake")
    if versions != [b"13"]:
        return HandshakeError("must be 13", field="sec-websocket-version", code="handshake")
    if len(keys) != 1 or not is_websocket_key(keys[0].strip()):
        return HandshakeError("must be 16 bytes in base64", field="sec-websocket-key", code="handshake")
    return None


def is_websocket_key(text: bytes) -> bool:
    """Whether a handshake's key is one."""
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False
