"""Server-sent events (WHATWG HTML, "Server-sent events"), the writing half."""

from __future__ import annotations

DONE = b"data: [DONE]\n\n"


def encode_sse(data: bytes) -> bytes:
    """One event. `data` must not hold a line break; JSON never does."""
    return b"data: " + data + b"\n\n"
