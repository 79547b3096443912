"""All names of `github_copilot_sdk`: those of the guide, and the public ones of this package.

One differs: `CopilotSession` is what `CopilotSDK.create_session` returns, as the guide has it. The session of the Copilot CLI is
`rightseat.CopilotSession`.
"""

from rightseat import errors
from rightseat.errors import *  # noqa: F403
from rightseat.facade.pool import LazySession, SessionPool
from rightseat.facade.response import ChatChunk, ChatResponse
from rightseat.facade.sdk import CopilotSDK
from rightseat.facade.session import ChatSession, ChatStream
from rightseat.facade.session import ChatSession as CopilotSession
from rightseat.layers.window import ContextWindow, MessagePriority, PrioritizedMessage
from rightseat.patterns.examples import (
    batch_process,
    breaker,
    limiter,
    process_batch,
    process_request,
    queue,
    resilient_chat,
    search_codebase,
    secure_chat_handler,
)
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
    "ChatChunk", "ChatResponse", "ChatSession", "ChatStream", "CircuitBreaker", "ClientOptions", "ContextWindow",
    "CopilotClient", "CopilotSDK", "CopilotSession", "EventStream", "InputValidator", "LazySession",
    "MessagePriority", "MockCopilotSession", "PermissionDecision", "PermissionHandler", "PermissionRequestResult",
    "PrioritizedMessage", "RateLimiter", "Record", "RequestCache", "RequestQueue", "RuntimeConnection",
    "SecureConfig", "SecureLogger", "SensitiveDataFilter", "SessionEvent", "SessionEventType", "SessionOptions",
    "SessionPool", "StreamingUI", "TextStream", "Tool", "ToolBinaryResult", "ToolFailure", "ToolInvocation",
    "ToolResult", "batch_process", "breaker", "copilot_session", "define_tool", "find_cli", "limiter", "measure_time",
    "process_batch", "process_request", "queue", "resilient_chat", "retry_with_backoff", "search_codebase",
    "secure_chat_handler", "stream_with_backpressure",
]  # fmt: skip
__all__ += errors.__all__
