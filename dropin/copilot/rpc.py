"""RPC by name."""

from rightseat.sdk.rpc import Rpc
