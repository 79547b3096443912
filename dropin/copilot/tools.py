"""Tools."""

from rightseat.sdk.tools import (
    Tool,
    ToolBinaryResult,
    ToolHandler,
    ToolInvocation,
    ToolResult,
    ToolResultType,
    define_tool,
)
