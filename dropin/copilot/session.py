"""Sessions."""

from rightseat.sdk.permissions import PermissionDecision as PermissionRequestResult
from rightseat.sdk.permissions import PermissionHandler
from rightseat.sdk.session import CopilotSession
