"""Which errors are worth another attempt, which count as failures of the server, and which say that it is overloaded. Tables only."""

from __future__ import annotations

from rightseat.errors import ProtocolError, RightseatError, SessionError, TransportError, UpstreamError

# Statuses that may be gone at the next try: too early, too many, and trouble of the server (RFC 9110, section 15; RFC 8470, section
# 5.2; 529 is Anthropic's "overloaded").
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
# Of those, the ones that say nothing of the server's health.
_NO_FAILURE = frozenset({425, 429})
# Statuses by which a server says that it is asked too much. Not 503: that is being down, and the breaker's.
REFUSING = frozenset({429, 529})


def is_transient(error: BaseException) -> bool:
    """Another attempt may help: there was no answer, or its status is one of TRANSIENT. Of errors of others: OSError and TimeoutError."""
    if isinstance(error, UpstreamError):
        return error.status in TRANSIENT
    if isinstance(error, RightseatError):  # some are an OSError as well, and no matter of the way to the other side
        return isinstance(error, TransportError)
    return isinstance(error, OSError)  # TimeoutError is one


def is_failure(error: BaseException) -> bool:
    """The server failed: no answer, an invalid one, or an error of its own; a session of the CLI reports it by its status.

    Of errors of others: OSError and TimeoutError.
    """
    if isinstance(error, (UpstreamError, SessionError)):
        status = error.status if isinstance(error, UpstreamError) else error.status_code
        return status in TRANSIENT and status not in _NO_FAILURE
    if isinstance(error, RightseatError):
        return isinstance(error, (TransportError, ProtocolError))
    return isinstance(error, OSError)


def is_refusal(error: BaseException) -> bool:
    """The server is overloaded."""
    return isinstance(error, UpstreamError) and error.status in REFUSING


_CLIENTS_OWN = frozenset({408, 425, 429})


def is_worth_retrying(error: BaseException) -> bool:
    """Another attempt may help, and should not be left to the client."""
    return is_transient(error) and not (isinstance(error, UpstreamError) and error.status in _CLIENTS_OWN)
