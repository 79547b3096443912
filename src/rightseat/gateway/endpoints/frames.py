"""Frames that clients send over `/v1/ws`: read part by part, each with a bound of its own. Does not know what is done about them."""

from __future__ import annotations

import contextlib

import msgspec
from msgspec import Raw, Struct

from rightseat.errors import RightseatError
from rightseat.gateway.endpoints.sockets import small, trace_fields
from rightseat.gateway.http.exchange import Head
from rightseat.gateway.http.headers import header_fields
from rightseat.wire.body import BadRequestError

PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/models")
_HEADERS = ("anthropic-version", "anthropic-beta", "x-initiator", "x-request-id", "traceparent", "tracestate")
_HEADERS_BYTES = 64 * 1024
ID_BYTES = 700  # of an id as JSON
_NONE = Raw(b"null")


class Frame(Struct):
    """A frame of the client. Its parts are read when they are needed, and the body not at all."""

    type: Raw = _NONE
    id: Raw = _NONE
    path: Raw = _NONE
    body: Raw = _NONE
    headers: Raw = _NONE
    seq: Raw = _NONE
    key: Raw = _NONE
    session: Raw = _NONE


def head_in(frame: Frame, of_socket: Head) -> Head:
    """The head of the request in a frame; what it does not say is taken from the socket's. Raises BadRequestError."""
    path = "/v1/chat/completions" if bytes(frame.path) == b"null" else small(frame.path)
    if path not in PATHS:
        raise BadRequestError.at("path", f"must be one of {', '.join(PATHS)}")
    mine = {name: value for name, value in of_socket.headers.items() if name in _HEADERS[:4]}
    if len(memoryview(frame.headers)) > _HEADERS_BYTES:
        raise BadRequestError.at("headers", f"must not have more than {_HEADERS_BYTES} bytes")
    mine |= trace_fields(of_socket.headers) | header_fields(small(frame.headers, _HEADERS_BYTES), _HEADERS)
    return Head("GET" if path == "/v1/models" else "POST", path, mine, "", of_socket.address)


def asked_in(frame: Frame, of_socket: Head) -> Head | None:
    """The head of a request that cannot be made, as far as it can be read; None: the frame is no request."""
    with contextlib.suppress(RightseatError):
        if small(frame.type) == "request":
            path = small(frame.path)
            known = path if path in PATHS else of_socket.path
            return Head("GET" if path == "/v1/models" else "POST", known, {}, "", of_socket.address)
    return None


def read_frame(data: bytes) -> Frame:
    """A frame. Raises BadRequestError: it is none."""
    try:
        return msgspec.json.decode(data, type=Frame)
    except msgspec.ValidationError as e:
        raise BadRequestError("a frame must be a JSON object") from e
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise BadRequestError(f"the frame is not JSON: {e}") from e


def id_in(frame: Frame) -> str | None:
    """The id of the stream that a frame is about, if it names one that can be read."""
    with contextlib.suppress(RightseatError):
        found = small(frame.id, ID_BYTES)
        return found if isinstance(found, str) else None
    return None


def seq_in(frame: Frame) -> int:
    """The number that a frame acknowledges. Raises BadRequestError."""
    seq = small(frame.seq)
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
        raise BadRequestError.at("seq", "must be a number, 0 or more")
    return seq
