"""The JSON-RPC client, and its errors under the official names."""

from rightseat.errors import ConnectionLostError as ProcessExitedError
from rightseat.errors import RpcError as JsonRpcError
from rightseat.sdk.jsonrpc_client import JsonRpcClient, RequestHandler
