"""What a caller may do: the only place where scopes and models are checked."""

from __future__ import annotations

from rightseat.errors import CallerError
from rightseat.gateway.access.caller import Caller
from rightseat.gateway.access.refusals import Refusals


class ScopeError(CallerError):
    """The key is not allowed to use this."""

    status_hint = 403


class Authorizer:
    """Checks callers.

    Args:
        refusals: where refusals are counted.
    """

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    def check_scope(self, caller: Caller, scope: str) -> None:
        """Raises ScopeError: the key is not allowed to use this."""
        if caller.key is not None and scope not in caller.key.scopes:
            self._refusals.count("scope")
            raise ScopeError(f"this key is not allowed to use {scope}; it is allowed {', '.join(caller.key.scopes)}")

    def check_model(self, caller: Caller, model_id: str) -> None:
        """Raises ScopeError: the key may not use the model. It is asked by its id: a name may stand for another model."""
        if not self.allows(caller, model_id):
            self._refusals.count("model")
            assert caller.key is not None
            usable = ", ".join(caller.key.models)
            raise ScopeError(f"model: this key may not use {model_id[:100]!r}; it may use {usable}", field="model")

    def allows(self, caller: Caller, model_id: str) -> bool:
        """Whether it may use a model, for lists."""
        return caller.key is None or caller.key.allows(model_id)
