"""No answer: errors on the way to the peer."""

from __future__ import annotations

from typing import Unpack

from rightseat.errors.base import RightseatError, Told


class TransportError(RightseatError):
    """There was no answer."""

    status_hint = 503


class ConnectError(TransportError, ConnectionError):
    """Nothing listens at that address, or it cannot be reached."""

    _public = "could not reach Copilot"


class ConnectionLostError(TransportError, ConnectionError):
    """The connection ended while it was in use.

    Attributes:
        exit_status: the CLI's exit status (negative: killed by that signal), or None for a connection without a child.
        stderr_tail: the last lines the CLI wrote to stderr, masked; "" when there were none.
    """

    _public = "the connection to Copilot was lost"

    def __init__(
        self, message: str, *, exit_status: int | None = None, stderr_tail: str = "", **told: Unpack[Told]
    ) -> None:
        tail = f"\nlast lines of its stderr:\n{stderr_tail}" if stderr_tail else ""
        super().__init__(message + tail, **told)
        self.exit_status = exit_status
        self.stderr_tail = stderr_tail


class RpcTimeoutError(TransportError, TimeoutError):
    """One call went unanswered for longer than its timeout."""

    status_hint = 504


class StartTimeoutError(TransportError, TimeoutError):
    """The CLI was started and did not become ready."""

    status_hint = 504


class HttpTimeoutError(TransportError, TimeoutError):
    """An HTTP peer took too long: to accept, to answer, or to say the next thing."""

    status_hint = 504
    _public = "Copilot took too long"


class TurnTimeoutError(TransportError, TimeoutError):
    """A turn did not end in time. The message says what the session was doing; the fields say it to programs.

    Attributes:
        session_id: the session that was waited for.
        kind: "total" (the whole turn took too long) or "inactivity" (no event for too long).
        waited: seconds since the message was sent.
        last_event: type of the last event seen, or None.
        last_event_age: seconds since that event, or None.
        pending_tools: names of the tools that were running.
        pending_permissions: kinds of the permission requests that were not answered.
    """

    status_hint = 504

    def __init__(
        self,
        *,
        session_id: str,
        kind: str,
        limit: float,
        waited: float,
        last_event: str | None,
        last_event_age: float | None,
        pending_tools: tuple[str, ...],
        pending_permissions: tuple[str, ...],
        **told: Unpack[Told],
    ) -> None:
        what = f"no answer within {limit:g} s" if kind == "total" else f"nothing happened for {limit:g} s"
        seen = f"last event {last_event}, {last_event_age:.1f} s ago" if last_event else "no event at all"
        tools = f"; tools still running: {', '.join(pending_tools)}" if pending_tools else ""
        asks = f"; permission requests unanswered: {', '.join(pending_permissions)}" if pending_permissions else ""
        super().__init__(
            f"session {session_id}: {what} ({seen}{tools}{asks}). The turn goes on; abort() ends it.", **told
        )
        self.session_id = session_id
        self.kind = kind
        self.waited = waited
        self.last_event = last_event
        self.last_event_age = last_event_age
        self.pending_tools = pending_tools
        self.pending_permissions = pending_permissions


class KeyDatabaseError(TransportError):
    """The gateway's database of keys failed while it was in use: it cannot be reached, is full, or is locked."""

    retry_after = 1.0
    code = "key_database"
    _public = "the gateway's keys cannot be checked at the moment"  # where the database is, is not for clients
