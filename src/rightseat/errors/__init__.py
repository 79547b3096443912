"""One tree of errors. The branch says whose fault it was, so a caller can decide without reading the text.

    RightseatError                     status_hint: the HTTP status that fits; retry_after: seconds, if known
    |-- CallerError                    you asked wrongly: asking again the same way is pointless
    |   |-- UnknownOptionError           (TypeError) an unknown option; names the nearest known one
    |   |-- InvalidOptionError           (ValueError) an option with a value of the wrong kind
    |   |-- InvalidToolError             (TypeError) a tool or its schema that cannot be offered to a model
    |   |-- EncodeError                  (ValueError) a value that JSON cannot hold
    |   |-- CliNotFoundError             (FileNotFoundError) no Copilot CLI at the place named, or anywhere
    |   |-- CliNotRunnableError          (PermissionError) there is a file, and it cannot be run
    |   |-- NotStartedError              the client or session is not open (never started, or closed)
    |   |-- WrongLoopError               (RuntimeError) an object of one event loop, used in another
    |   |-- NotLoggedInError             no account to ask with
    |   |-- ContextTooLargeError         (ValueError) what must be said does not fit into the model's window
    |   `-- ConfigError                  (ValueError) a setting or a stored file that cannot be used; names the place
    |-- PeerError                      they answered wrongly, or answered no
    |   |-- ProtocolError                bytes that are not the protocol; the connection is given up
    |   |-- AnswerFormatError            (ValueError) an answer is not of the type that was asked for: text, reason
    |   |-- UnsupportedVersionError      a CLI whose protocol this version cannot speak
    |   |-- RpcError                     a JSON-RPC error: method, code, message, data
    |   |   |-- MethodNotFoundError        the CLI does not know that method
    |   |   |-- SessionNotFoundError       the CLI does not know that session
    |   |   `-- AuthenticationError        not logged in, or a wrong connection token
    |   |-- SessionError                 the session said `session.error`: error_type, status_code
    |   |-- TurnAbortedError             the turn was aborted before its answer was complete
    |   |-- LoginError                   GitHub did not let us in: code (expired, denied, no Copilot ...)
    |   `-- UpstreamError                an HTTP error of the Copilot API: status, code, message, retry_after
    |       `-- PromptTooLongError         what was sent does not fit into the model's window: tokens, limit
    |-- TransportError                 no answer
    |   |-- ConnectError                 (ConnectionError) nothing listens at that address
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
an error says of itself is masked once more, wherever it comes from.
"""

from rightseat.errors.base import (
    RightseatError,
)
from rightseat.errors.caller import (
    CallerError,
    CliNotFoundError,
    CliNotRunnableError,
    ConfigError,
    ContextTooLargeError,
    EncodeError,
    InvalidOptionError,
    InvalidToolError,
    NotLoggedInError,
    NotStartedError,
    UnknownOptionError,
    WrongLoopError,
)
from rightseat.errors.declined import (
    AnswerTooLongError,
    CircuitOpenError,
    DeadlineExceededError,
    DeclinedError,
    EventsLostError,
    OverloadedError,
    QueueFullError,
    RateLimitedError,
    ToolLoopError,
)
from rightseat.errors.peer import (
    AnswerFormatError,
    AuthenticationError,
    LoginError,
    MethodNotFoundError,
    PeerError,
    PromptTooLongError,
    ProtocolError,
    RpcError,
    SessionError,
    SessionNotFoundError,
    TurnAbortedError,
    UnsupportedVersionError,
    UpstreamError,
)
from rightseat.errors.transport import (
    ConnectError,
    ConnectionLostError,
    HttpTimeoutError,
    KeyDatabaseError,
    RpcTimeoutError,
    StartTimeoutError,
    TransportError,
    TurnTimeoutError,
)

__all__ = [
    "AnswerFormatError",
    "AnswerTooLongError",
    "AuthenticationError",
    "CallerError",
    "CircuitOpenError",
    "CliNotFoundError",
    "CliNotRunnableError",
    "ConfigError",
    "ConnectError",
    "ConnectionLostError",
    "ContextTooLargeError",
    "DeadlineExceededError",
    "DeclinedError",
    "EncodeError",
    "EventsLostError",
    "HttpTimeoutError",
    "InvalidOptionError",
    "InvalidToolError",
    "KeyDatabaseError",
    "LoginError",
    "MethodNotFoundError",
    "NotLoggedInError",
    "NotStartedError",
    "OverloadedError",
    "PeerError",
    "PromptTooLongError",
    "ProtocolError",
    "QueueFullError",
    "RateLimitedError",
    "RightseatError",
    "RpcError",
    "RpcTimeoutError",
    "SessionError",
    "SessionNotFoundError",
    "StartTimeoutError",
    "ToolLoopError",
    "TransportError",
    "TurnAbortedError",
    "TurnTimeoutError",
    "UnknownOptionError",
    "UnsupportedVersionError",
    "UpstreamError",
    "WrongLoopError",
]
