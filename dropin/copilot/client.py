"""The client."""

from rightseat.sdk.client import CopilotClient
from rightseat.sdk.runtime import RuntimeConnection, StdioRuntimeConnection, TcpRuntimeConnection, UriRuntimeConnection
