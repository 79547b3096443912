"""Who may do what: answers to the CLI's permission requests.

Before a tool touches anything, the CLI asks. The answer is a decision; this module knows the decisions and the default
policy, and does not know how an answer travels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection

from rightseat.errors import InvalidOptionError
from rightseat.log import logger
from rightseat.sdk.calling import call
from rightseat.sdk.failures import Failures
from rightseat.wire.record import Record, to_camel

# Decisions, by every name that SDKs have used for them -> the CLI's own.
_KINDS = {
    "approve-once": "approve-once",
    "approved": "approve-once",
    "approve": "approve-once",
    "reject": "reject",
    "denied": "reject",
    "denied-interactively-by-user": "reject",
    "denied-by-rules": "reject",
    "denied-no-approval-rule-and-could-not-request-from-user": "user-not-available",
    "user-not-available": "user-not-available",
    "approve-for-session": "approve-for-session",
    "approve-for-location": "approve-for-location",
    "approve-permanently": "approve-permanently",
    "approve-read-only-for-session": "approve-read-only-for-session",
}
NO_RESULT = "no-result"  # leave the request to another client of the same session

_READS = frozenset({"read"})


@dataclasses.dataclass(frozen=True, slots=True)
class PermissionDecision:
    """An answer to a permission request.

    Attributes:
        kind: "approve-once", "reject", "user-not-available", "approve-for-session", "approve-for-location",
            "approve-permanently", "approve-read-only-for-session", or "no-result" to leave it to another client.
        feedback: with "reject": text for the model.
        approval, location_key: with the lasting approvals: what is approved, as the CLI describes it.
    """

    kind: str
    feedback: str | None = None
    approval: object = None
    location_key: str | None = None


PermissionRequestResult = PermissionDecision


class PermissionHandler:
    """Ready-made handlers for `on_permission_request`. Any function `(request, invocation) -> decision` is one too.

    `request` is a Record: `request.kind` ("shell", "write", "read", "url", "mcp", "custom-tool" ...), `request.tool_call_id`
    and what the kind adds, such as `request.full_command_text`. The function may be async. It may return a
    PermissionDecision, a kind as text, a dict with "kind", or True and False.
    """

    @staticmethod
    def approve_all(request: Record, invocation: object = None) -> PermissionDecision:  # noqa: ARG004
        """Everything may run. For trusted prompts in a sandbox of your own."""
        return PermissionDecision("approve-once")

    @staticmethod
    def deny_all(request: Record, invocation: object = None) -> PermissionDecision:  # noqa: ARG004
        """Nothing may run."""
        return PermissionDecision("reject", "this application runs no tools")

    @staticmethod
    def approve_reads(request: Record, invocation: object = None) -> PermissionDecision:  # noqa: ARG004
        """Reading may run; all else may not."""
        if request.kind in _READS:
            return PermissionDecision("approve-once")
        return PermissionDecision("reject", f"this application allows reading only, not {request.kind!r}")

    @staticmethod
    def no_result(request: Record, invocation: object = None) -> PermissionDecision:  # noqa: ARG004
        """Say nothing: another client of the same session answers. With no such client the tool waits forever."""
        return PermissionDecision(NO_RESULT)


class DefaultPolicy:
    """With no handler: the caller's own tools run; all else is refused, with a reason and one warning."""

    def __init__(self, own_tools: Collection[str]) -> None:
        self._own = own_tools
        self._warned = False

    def __call__(self, request: Record, invocation: object = None) -> PermissionDecision:  # noqa: ARG002
        """Decide."""
        if request.get("kind") == "custom-tool" and request.get("toolName") in self._own:
            return PermissionDecision("approve-once")
        if not self._warned:
            self._warned = True
            logger.warning(
                "a tool asked for %r and was refused: the session has no on_permission_request handler "
                "(PermissionHandler.approve_all allows everything). Logged once per session.",
                request.get("kind"),
            )
        return PermissionDecision(
            "reject", "The application that runs this session has no permission handler, so only its own tools may run."
        )


async def decide(
    handler: Callable[..., object], request: Record, invocation: object, failures: Failures
) -> dict[str, object] | None:
    """Ask a handler; the answer in the CLI's spelling, or None to leave the request alone.

    A handler that raises, or returns something unknown, refuses: the tool must not run, and must not wait.
    """
    try:
        return decision_to_wire(await call(handler, request, invocation))
    except Exception:
        failures.note(handler, "permission requests, which are refused then,")
        return {"kind": "reject", "feedback": "The application's permission handler failed."}


def decision_to_wire(decision: object) -> dict[str, object] | None:
    """Any spelling of a decision in the CLI's own; None for "no-result".

    Raises:
        InvalidOptionError: it is no decision.
    """
    if isinstance(decision, bool):
        decision = {"kind": "approve-once" if decision else "reject"}
    elif isinstance(decision, str):
        decision = {"kind": decision}
    elif dataclasses.is_dataclass(decision) and not isinstance(decision, type):
        decision = {name: value for name, value in dataclasses.asdict(decision).items() if value is not None}
    if not isinstance(decision, dict) or not isinstance(decision.get("kind"), str):
        raise InvalidOptionError(f"a permission handler must return a decision, not {decision!r}")
    if decision["kind"] == NO_RESULT:
        return None
    kind = _KINDS.get(decision["kind"])
    if kind is None:
        raise InvalidOptionError(
            f"unknown permission decision {decision['kind']!r}; known: {', '.join(sorted(set(_KINDS.values())))}"
        )
    return {**{to_camel(key): value for key, value in decision.items()}, "kind": kind}
