"""Whose fault an error is, as far as the next try is concerned. Tables, and nothing else."""

from __future__ import annotations

from rightseat.errors import ProtocolError, TransportError, UpstreamError

# Statuses that may be gone at the next try: too early, too many, and trouble of the server (RFC 9110, section 15; RFC 8470, section
# 5.2; 529 is Anthropic's "overloaded").
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
# Of those, the ones that say nothing of the server's health.
_NO_FAILURE = frozenset({425, 429})
# Statuses by which a server says that it is asked too much. Not 503: that is being down, and the breaker's.
REFUSING = frozenset({429, 529})


def is_transient(error: BaseException) -> bool:
    """Another try may help: nobody answered, or the answer was one of TRANSIENT."""
    if isinstance(error, UpstreamError):
        return error.status in TRANSIENT
    return isinstance(error, TransportError)


def is_failure(error: BaseException) -> bool:
    """The other side is in trouble: it did not answer, answered nonsense, or said that it cannot."""
    if isinstance(error, UpstreamError):
        return error.status in TRANSIENT and error.status not in _NO_FAILURE
    return isinstance(error, (TransportError, ProtocolError))


def is_refusal(error: BaseException) -> bool:
    """The other side is asked too much."""
    return isinstance(error, UpstreamError) and error.status in REFUSING


_CLIENTS_OWN = frozenset({408, 425, 429})


def is_worth_retrying(error: BaseException) -> bool:
    """Another try may help, and is not better left to a client at the other end, who knows what the request is for."""
    return is_transient(error) and not (isinstance(error, UpstreamError) and error.status in _CLIENTS_OWN)
