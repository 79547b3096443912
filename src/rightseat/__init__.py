"""Rightseat: run GitHub Copilot in production from Python.

The public names, imported when first used, so that `import rightseat` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rightseat.errors import (
        AnswerFormatError,
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
        PromptTooLongError,
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
        WrongLoopError,
    )
    from rightseat.facade.pool import LazySession, SessionPool
    from rightseat.facade.response import ChatChunk, ChatResponse
    from rightseat.facade.sdk import CopilotSDK
    from rightseat.facade.session import ChatSession, ChatStream
    from rightseat.layers.window import ContextWindow, MessagePriority
    from rightseat.sdk.client import CopilotClient
    from rightseat.sdk.options import ClientOptions, SessionOptions
    from rightseat.sdk.permissions import PermissionDecision, PermissionHandler, PermissionRequestResult
    from rightseat.sdk.runtime import RuntimeConnection, find_cli
    from rightseat.sdk.session import CopilotSession
    from rightseat.sdk.subscriptions import EventStream
    from rightseat.sdk.text_stream import TextStream
    from rightseat.sdk.tool_definition import define_tool
    from rightseat.sdk.tools import Tool, ToolBinaryResult, ToolFailure, ToolInvocation, ToolResult
    from rightseat.wire.events import SessionEvent
    from rightseat.wire.record import Record
    from rightseat.wire.session_events import SessionEventType

__version__ = "0.1.0"

_HOME = {
    "rightseat.errors": (
        "AnswerFormatError", "AnswerTooLongError", "AuthenticationError", "CallerError", "CircuitOpenError", "CliNotFoundError",
        "CliNotRunnableError", "ConfigError", "ConnectError", "ConnectionLostError", "ContextTooLargeError",
        "DeadlineExceededError", "DeclinedError", "EncodeError", "EventsLostError", "HttpTimeoutError",
        "InvalidOptionError", "InvalidToolError", "LoginError", "MethodNotFoundError", "NotLoggedInError",
        "NotStartedError", "OverloadedError", "PeerError", "PromptTooLongError", "ProtocolError", "QueueFullError", "RateLimitedError",
        "RightseatError", "RpcError", "RpcTimeoutError", "SessionError", "SessionNotFoundError", "StartTimeoutError",
        "ToolLoopError", "TransportError", "TurnAbortedError", "TurnTimeoutError", "UnknownOptionError",
        "UnsupportedVersionError", "UpstreamError", "WrongLoopError",
    ),
    "rightseat.facade.pool": ("LazySession", "SessionPool"),
    "rightseat.facade.sdk": ("CopilotSDK",),
    "rightseat.facade.response": ("ChatChunk", "ChatResponse"),
    "rightseat.facade.session": ("ChatSession", "ChatStream"),
    "rightseat.layers.window": ("ContextWindow", "MessagePriority"),
    "rightseat.sdk.client": ("CopilotClient",),
    "rightseat.sdk.options": ("ClientOptions", "SessionOptions"),
    "rightseat.sdk.permissions": ("PermissionDecision", "PermissionHandler", "PermissionRequestResult"),
    "rightseat.sdk.runtime": ("RuntimeConnection", "find_cli"),
    "rightseat.sdk.session": ("CopilotSession",),
    "rightseat.sdk.subscriptions": ("EventStream",),
    "rightseat.sdk.text_stream": ("TextStream",),
    "rightseat.sdk.tool_definition": ("define_tool",),
    "rightseat.sdk.tools": ("Tool", "ToolBinaryResult", "ToolFailure", "ToolInvocation", "ToolResult"),
    "rightseat.wire.events": ("SessionEvent",),
    "rightseat.wire.record": ("Record",),
    "rightseat.wire.session_events": ("SessionEventType",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "AnswerFormatError",
    "AnswerTooLongError",
    "AuthenticationError",
    "CallerError",
    "ChatChunk",
    "ChatResponse",
    "ChatSession",
    "ChatStream",
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
    "InvalidOptionError",
    "InvalidToolError",
    "LazySession",
    "LoginError",
    "MessagePriority",
    "MethodNotFoundError",
    "NotLoggedInError",
    "NotStartedError",
    "OverloadedError",
    "PeerError",
    "PermissionDecision",
    "PermissionHandler",
    "PermissionRequestResult",
    "PromptTooLongError",
    "ProtocolError",
    "QueueFullError",
    "RateLimitedError",
    "Record",
    "RightseatError",
    "RpcError",
    "RpcTimeoutError",
    "RuntimeConnection",
    "SessionError",
    "SessionEvent",
    "SessionEventType",
    "SessionNotFoundError",
    "SessionOptions",
    "SessionPool",
    "StartTimeoutError",
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
    "WrongLoopError",
    "define_tool",
    "find_cli",
]


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'rightseat' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
