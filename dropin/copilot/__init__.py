"""Rightseat under the official SDK's import name. Re-exports only; see the project rightseat for everything else."""

from rightseat import *
from rightseat import __version__
from rightseat.sdk.permissions import PermissionDecision as PermissionRequestResult
from rightseat.sdk.runtime import StdioRuntimeConnection, TcpRuntimeConnection, UriRuntimeConnection
