"""All names of `github_copilot_sdk`: those of the guide, and the public ones of this package.

One differs: `CopilotSession` is what `CopilotSDK.create_session` returns, as the guide has it. The session of the Copilot CLI is
`rightseat.CopilotSession`.
"""

from rightseat.errors import (
    AnswerTooLongError,
    AuthenticationError,
    CallerError,
    CircuitOpenError,
    CliNotFoundError,
    CliNotRunnableError,
    ConfigError,
    ConnectError,
    ConnectionLostError,
    ContextTooLargeError,
    DeadlineExceededError,
    DeclinedError,
    EncodeError,
    EventsLostError,
    HttpTimeoutError,
    InvalidOptionError,
    InvalidToolError,
    LoginError,
    MethodNotFoundError,
    NotLoggedInError,
    NotStartedError,
    OverloadedError,
    PeerError,
    ProtocolError,
    QueueFullError,
    RateLimitedError,
    RightseatError,
    RpcError,
    RpcTimeoutError,
    SessionError,
    SessionNotFoundError,
    StartTimeoutError,
    ToolLoopError,
    TransportError,
    TurnAbortedError,
    TurnTimeoutError,
    UnknownOptionError,
    UnsupportedVersionError,
    UpstreamError,
)
from rightseat.facade.pool import LazySession, SessionPool
from rightseat.facade.sdk import CopilotSDK
from rightseat.facade.session import ChatChunk, ChatResponse, ChatSession, ChatStream
from rightseat.facade.session import ChatSession as CopilotSession
from rightseat.layers.window import ContextWindow, MessagePriority, PrioritizedMessage
from rightseat.patterns.limits import MinuteLimiter as RateLimiter
from rightseat.patterns.limits import RequestCache, RequestQueue
from rightseat.patterns.recovery import CircuitBreaker, measure_time, retry_with_backoff
from rightseat.patterns.safety import InputValidator, SecureConfig, SecureLogger, SensitiveDataFilter
from rightseat.patterns.showing import StreamingUI, copilot_session, stream_with_backpressure
from rightseat.sdk.client import CopilotClient
from rightseat.sdk.options import ClientOptions, SessionOptions
from rightseat.sdk.permissions import PermissionDecision, PermissionHandler, PermissionRequestResult
from rightseat.sdk.runtime import RuntimeConnection, find_cli
from rightseat.sdk.subscriptions import EventStream
from rightseat.sdk.text_stream import TextStream
from rightseat.sdk.tool_definition import define_tool
from rightseat.sdk.tools import Tool, ToolBinaryResult, ToolFailure, ToolInvocation, ToolResult
from rightseat.testing.mock_session import MockCopilotSession
from rightseat.wire.events import SessionEvent
from rightseat.wire.record import Record
from rightseat.wire.session_events import SessionEventType

__all__ = [
    "AnswerTooLongError",
    "AuthenticationError",
    "CallerError",
    "ChatChunk",
    "ChatResponse",
    "ChatSession",
    "ChatStream",
    "CircuitBreaker",
    "CircuitOpenError",
    "CliNotFoundError",
    "CliNotRunnableError",
    "ClientOptions",
    "ConfigError",
    "ConnectError",
    "ConnectionLostError",
    "ContextTooLargeError",
    "ContextWindow",
    "CopilotClient",
    "CopilotSDK",
    "CopilotSession",
    "DeadlineExceededError",
    "DeclinedError",
    "EncodeError",
    "EventStream",
    "EventsLostError",
    "HttpTimeoutError",
    "InputValidator",
    "InvalidOptionError",
    "InvalidToolError",
    "LazySession",
    "LoginError",
    "MessagePriority",
    "MethodNotFoundError",
    "MockCopilotSession",
    "NotLoggedInError",
    "NotStartedError",
    "OverloadedError",
    "PeerError",
    "PermissionDecision",
    "PermissionHandler",
    "PermissionRequestResult",
    "PrioritizedMessage",
    "ProtocolError",
    "QueueFullError",
    "RateLimitedError",
    "RateLimiter",
    "Record",
    "RequestCache",
    "RequestQueue",
    "RightseatError",
    "RpcError",
    "RpcTimeoutError",
    "RuntimeConnection",
    "SecureConfig",
    "SecureLogger",
    "SensitiveDataFilter",
    "SessionError",
    "SessionEvent",
    "SessionEventType",
    "SessionNotFoundError",
    "SessionOptions",
    "SessionPool",
    "StartTimeoutError",
    "StreamingUI",
    "TextStream",
    "Tool",
    "ToolBinaryResult",
    "ToolFailure",
    "ToolInvocation",
    "ToolLoopError",
    "ToolResult",
    "TransportError",
    "TurnAbortedError",
    "TurnTimeoutError",
    "UnknownOptionError",
    "UnsupportedVersionError",
    "UpstreamError",
    "copilot_session",
    "define_tool",
    "find_cli",
    "measure_time",
    "retry_with_backoff",
    "stream_with_backpressure",
]
