"""Tools."""

from rightseat import Tool, ToolBinaryResult, ToolInvocation, ToolResult, define_tool
from rightseat.sdk.tools import ToolHandler, ToolResultType
