"""Failures on the way to an HTTP server, as our errors: the log gets the cause, clients do not see the address.

Does not know which client met it.
"""

from __future__ import annotations

from rightseat.errors import ConnectError, ConnectionLostError, HttpTimeoutError
from rightseat.transport.http.base import CUT


def unreachable(where: str, peer: str, cause: object) -> ConnectError:
    """There is no connection; nothing was sent."""
    return ConnectError(f"cannot reach {where}: {cause}", public=f"could not reach {peer}")


def no_connection_in_time(where: str, peer: str) -> HttpTimeoutError:
    """There was no connection within the limit; nothing was sent."""
    return HttpTimeoutError(f"{where}: no connection in time", public=f"could not reach {peer}")


def no_answer_in_time(where: str, peer: str) -> HttpTimeoutError:
    """The request was sent, and there was no head of an answer within the limit."""
    late = HttpTimeoutError(f"{where}: no answer in time", public=f"{peer} did not answer in time")
    late.reached = True
    return late


def silent(where: str, peer: str) -> HttpTimeoutError:
    """The answer has begun, and then nothing came within the limit."""
    late = HttpTimeoutError(f"{where}: no data within the timeout", public=f"{peer} did not answer in time")
    late.reached = True
    return late


def lost_before(where: str, cause: object, *, sent: bool = True) -> ConnectionLostError:
    """The connection ended, or what came is no answer."""
    lost = ConnectionLostError(f"{where}: the connection ended before the answer: {cause}", public=CUT)
    lost.reached = sent
    return lost


def cut_off(where: str, cause: object) -> ConnectionLostError:
    """The answer has begun, and is not whole."""
    lost = ConnectionLostError(f"{where}: the answer was cut off: {cause}", public=CUT)
    lost.reached = True
    return lost
