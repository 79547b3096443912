"""One tree of errors. The branch says whose fault it was, so a caller can decide without reading the text.

    RightseatError                     status_hint: the HTTP status that fits; retry_after: seconds, if known
    |-- CallerError                    you asked wrongly: asking again the same way is pointless
    |   |-- UnknownOptionError           (TypeError) an option nobody knows; names the nearest known one
    |   |-- InvalidOptionError           (ValueError) an option with a value of the wrong kind
    |   |-- InvalidToolError             (TypeError) a tool or its schema that cannot be offered to a model
    |   |-- EncodeError                  (ValueError) a value that JSON cannot hold
    |   |-- CliNotFoundError             (FileNotFoundError) no Copilot CLI at the place named, or anywhere
    |   |-- CliNotRunnableError          (PermissionError) there is a file, and it cannot be run
    |   |-- NotStartedError              the client or session is not open (never started, or closed)
    |   |-- NotLoggedInError             no account to ask with
    |   |-- ContextTooLargeError         (ValueError) what must be said does not fit into the model's window
    |   `-- ConfigError                  (ValueError) a setting or a stored file that cannot be used; names the place
    |-- PeerError                      they answered wrongly, or answered no
    |   |-- ProtocolError                bytes that are not the protocol; the connection is given up
    |   |-- UnsupportedVersionError      a CLI whose protocol this version cannot speak
    |   |-- RpcError                     a JSON-RPC error: method, code, message, data
    |   |   |-- MethodNotFoundError        the CLI does not know that method
    |   |   |-- SessionNotFoundError       the CLI does not know that session
    |   |   `-- AuthenticationError        not logged in, or a wrong connection token
    |   |-- SessionError                 the session said `session.error`: error_type, status_code
    |   |-- TurnAbortedError             the turn was aborted before its answer was complete
    |   |-- LoginError                   GitHub did not let us in: code (expired, denied, no Copilot ...)
    |   `-- UpstreamError                an HTTP error of the Copilot API: status, code, message, retry_after
    |-- TransportError                 nobody answered
    |   |-- ConnectError                 (ConnectionError) nobody listens at that address
    |   |-- ConnectionLostError          (ConnectionError) the CLI died or hung up: exit_status, stderr_tail
    |   |-- RpcTimeoutError              (TimeoutError) one call went unanswered
    |   |-- StartTimeoutError            (TimeoutError) the CLI started and never became ready
    |   |-- HttpTimeoutError             (TimeoutError) an HTTP peer took too long
    |   |-- TurnTimeoutError             (TimeoutError) a turn did not end in time; says what it was doing
    |   `-- KeyDatabaseError             the gateway's database of keys failed while it was in use
    `-- DeclinedError                  we chose not to ask, or not to go on: never retried, never trips a breaker
        |-- CircuitOpenError             too many calls failed lately: key
        |-- RateLimitedError             our own limit, and the wait would be too long
        |-- QueueFullError               too many wait already, or it waited for too long
        |-- OverloadedError              shed, so that others get through
        |-- DeadlineExceededError        (TimeoutError) the deadline of the call passed
        |-- AnswerTooLongError           an answer grew beyond what the caller allows
        |-- ToolLoopError                the model went on calling tools beyond the limit
        `-- EventsLostError              a consumer was too slow and its bounded buffer overflowed: lost

No error of this tree shows a secret: tokens are never put into a message, the CLI's stderr is masked before it is shown, and what
an error says of itself is masked once more, whoever put it together.
"""

from __future__ import annotations

from typing import Any, ClassVar


class RightseatError(Exception):
    """Root of every error this package raises on purpose.

    Args:
        message: what happened, for the log: it may name accounts, addresses and causes.
        field: what of the request is wrong, as a path such as "messages[0].role".
        code: a name for programs.
        public: what a client over the network is told; the message itself where nothing else is given.

    Attributes:
        status_hint: the HTTP status that fits.
        retry_after: seconds until it is worth asking again; None: not known.
        reached: the request had been sent, at least in part, so it may have cost something.
    """

    status_hint: ClassVar[int] = 500
    field: str | None = None
    code: str | int | None = None
    retry_after: float | None = None
    reached: bool = False
    _public: str | None = None

    def __init__(
        self, message: str = "", *, field: str | None = None, code: str | None = None, public: str | None = None
    ) -> None:
        super().__init__(message)
        if field is not None:
            self.field = field
        if code is not None:
            self.code = code
        if public is not None:
            self._public = public

    @property
    def public(self) -> str:
        """What a client over the network is told."""
        return self._public if self._public is not None else str(self)

    def __str__(self) -> str:
        # Messages quote what somebody gave: a key in the wrong field must not come back in a log.
        from rightseat.security.masking import mask

        return mask(super().__str__())


class CallerError(RightseatError):
    """You asked wrongly."""

    status_hint = 400


class UnknownOptionError(CallerError, TypeError):
    """An option that nobody knows."""


class InvalidOptionError(CallerError, ValueError):
    """An option whose value is of the wrong kind."""


class InvalidToolError(CallerError, TypeError):
    """A tool that cannot be offered to a model."""


class EncodeError(CallerError, ValueError):
    """A value that cannot be written as JSON."""


class CliNotFoundError(CallerError, FileNotFoundError):
    """No Copilot CLI where one was expected."""


class CliNotRunnableError(CallerError, PermissionError):
    """A file stands where the CLI should be, and the system will not run it."""


class NotStartedError(CallerError, RuntimeError):
    """The client or session is not open."""


class NotLoggedInError(CallerError):
    """There is no account to ask with."""

    status_hint = 503
    code = "not_logged_in"


class ConfigError(CallerError, ValueError):
    """A setting, or a file that holds some, that cannot be used. The message names the place."""

    status_hint = 500


class ContextTooLargeError(CallerError, ValueError):
    """What must be kept of a conversation is larger than the window.

    Attributes:
        tokens: how large it is.
        limit: how large it may be.
    """

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(
            f"the system messages and the current question have {tokens} tokens; the window holds {limit}. "
            f"Shorten them, or choose a model with a larger window."
        )
        self.tokens = tokens
        self.limit = limit


class PeerError(RightseatError):
    """The peer answered wrongly, or answered no."""

    status_hint = 502


class ProtocolError(PeerError):
    """Bytes that are not the protocol. The connection cannot be trusted any more and is given up."""


class UnsupportedVersionError(PeerError):
    """The CLI speaks a protocol version that this package does not."""


class RpcError(PeerError):
    """A JSON-RPC error answer (JSON-RPC 2.0, section 5.1).

    Attributes:
        method: the method that was called.
        code: the JSON-RPC error code.
        message: the peer's text.
        data: the peer's extra data, or None.
    """

    def __init__(self, method: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{method}: {message} (JSON-RPC error {code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class MethodNotFoundError(RpcError):
    """The CLI does not know the method (-32601): it is older or newer than what was asked of it."""

    status_hint = 501


class SessionNotFoundError(RpcError):
    """The CLI does not know the session: never created, deleted, or lost with a crash before its first turn ended."""

    status_hint = 404


class AuthenticationError(RpcError):
    """Not logged in, or a wrong connection token."""

    status_hint = 401


class SessionError(PeerError):
    """The session reported an error while it worked on a message (event `session.error`).

    Attributes:
        error_type: the CLI's own class of error, such as "query" or "authentication".
        status_code: the model API's HTTP status, or None.
        session_id: the session that failed.
    """

    def __init__(
        self,
        message: str,
        *,
        error_type: str | None = None,
        status_code: int | None = None,
        session_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_type = error_type
        self.status_code = status_code
        self.session_id = session_id


class TurnAbortedError(PeerError):
    """The turn was aborted before its answer was complete."""

    status_hint = 499


class LoginError(PeerError):
    """GitHub did not let us in.

    Attributes:
        code: the reason by name: "expired_token", "access_denied", a notification id such as "no_copilot_access" ...
    """

    status_hint = 403

    def __init__(self, code: str, message: str, *, public: str | None = None) -> None:
        super().__init__(message, public=public)
        self.code = code


class UpstreamError(PeerError):
    """An HTTP error of the Copilot API or of GitHub's.

    Attributes:
        status: the HTTP status.
        code: the error's code, or None.
        message: the server's text.
        retry_after: seconds, where the server said.
        request_id: the server's id for the request, or None.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
        public: str | None = None,
    ) -> None:
        super().__init__(f"HTTP {status}: {message}", public=message if public is None else public)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.request_id = request_id


class TransportError(RightseatError):
    """Nobody answered."""

    status_hint = 503


class ConnectError(TransportError, ConnectionError):
    """Nobody listens at that address, or the address cannot be reached."""

    _public = "could not reach Copilot"


class ConnectionLostError(TransportError, ConnectionError):
    """The connection ended while somebody was waiting on it.

    Attributes:
        exit_status: the CLI's exit status (negative: killed by that signal), or None for a connection without a child.
        stderr_tail: the last lines the CLI wrote to stderr, masked; "" when there were none.
    """

    _public = "the connection to Copilot was lost"

    def __init__(
        self, message: str, *, exit_status: int | None = None, stderr_tail: str = "", public: str | None = None
    ) -> None:
        tail = f"\nlast lines of its stderr:\n{stderr_tail}" if stderr_tail else ""
        super().__init__(message + tail, public=public)
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
        pending_permissions: kinds of the permission requests that nobody had answered.
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
    ) -> None:
        what = f"no answer within {limit:g} s" if kind == "total" else f"nothing happened for {limit:g} s"
        seen = f"last event {last_event}, {last_event_age:.1f} s ago" if last_event else "no event at all"
        tools = f"; tools still running: {', '.join(pending_tools)}" if pending_tools else ""
        asks = f"; permission requests unanswered: {', '.join(pending_permissions)}" if pending_permissions else ""
        super().__init__(f"session {session_id}: {what} ({seen}{tools}{asks}). The turn goes on; abort() ends it.")
        self.session_id = session_id
        self.kind = kind
        self.waited = waited
        self.last_event = last_event
        self.last_event_age = last_event_age
        self.pending_tools = pending_tools
        self.pending_permissions = pending_permissions


class KeyDatabaseError(TransportError):
    """The gateway's database of keys failed while it was in use: it is away, full, or somebody holds it."""

    retry_after = 1.0
    code = "key_database"
    _public = "the gateway's keys cannot be checked at the moment"


class DeclinedError(RightseatError):
    """We chose not to go on."""

    status_hint = 503


class CircuitOpenError(DeclinedError):
    """Too many calls failed lately; asking now would make it worse.

    Attributes:
        key: what fails: a model, or an account and a model.
    """

    def __init__(self, key: str, retry_after: float) -> None:
        super().__init__(f"{key}: too many calls failed lately; next try in {retry_after:.1f} s (circuit open)")
        self.key = key
        self.retry_after = retry_after


class RateLimitedError(DeclinedError):
    """Our own rate limit, and waiting for it would take too long."""

    status_hint = 429

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFullError(DeclinedError):
    """Too many calls wait already, or this one has waited for too long."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OverloadedError(DeclinedError):
    """Shed: the upstream refuses so much that this call is not worth a try."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineExceededError(DeclinedError, TimeoutError):
    """The deadline of the call passed before its answer was complete."""

    status_hint = 504


class AnswerTooLongError(DeclinedError):
    """An answer grew beyond the limit that the caller set.

    Attributes:
        limit: characters.
    """

    status_hint = 502

    def __init__(self, limit: int) -> None:
        super().__init__(f"the answer is longer than {limit} characters, which is the limit that was set")
        self.limit = limit


class ToolLoopError(DeclinedError):
    """The model went on calling tools.

    Attributes:
        steps: how many times it was asked.
    """

    def __init__(self, steps: int) -> None:
        super().__init__(f"no answer after {steps} steps: the model went on calling tools (max_steps={steps})")
        self.steps = steps


class EventsLostError(DeclinedError):
    """A consumer was slower than its session, and its bounded buffer overflowed.

    Attributes:
        lost: how many events were not delivered.
    """

    def __init__(self, lost: int, capacity: int) -> None:
        super().__init__(
            f"{lost} events were lost: the consumer was slower than the session and its buffer of {capacity} events was "
            f"full. Read faster, raise max_buffered, or choose overflow='drop_oldest'."
        )
        self.lost = lost
