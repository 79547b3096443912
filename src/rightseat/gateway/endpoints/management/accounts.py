"""The accounts at GitHub: shown with their tokens masked, given a fresh token, forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from rightseat.accounts.quota import Quota
from rightseat.accounts.selection import Candidate
from rightseat.accounts.store import Account, AccountStore
from rightseat.backends.base import AccountBackend
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.gateway.endpoints.management.endpoint import NotFoundError, Operation, Result
from rightseat.gateway.request import Request
from rightseat.masking import mask_secret


class AccountOperations:
    """Operations on the accounts of a backend.

    Args:
        backend: the backend.
        store: where they are kept.
        quota: asks GitHub what an account may still use.
        clock: time.
    """

    def __init__(
        self,
        backend: AccountBackend,
        store: AccountStore,
        quota: Callable[[Account], Awaitable[Quota]],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._backend = backend
        self._store = store
        self._quota = quota
        self._clock = clock

    @property
    def operations(self) -> dict[str, Operation]:
        """By the names in `routes`."""
        return {
            "accounts": self._list,
            "account_remove": self._remove,
            "account_refresh": self._refresh,
            "account_quota": self._ask_quota,
        }

    async def shown(self) -> list[dict[str, object]]:
        """All accounts, for people."""
        await self._backend.look()
        return [self._one(account, candidate) for account, candidate in self._backend.accounts()]

    def quotas(self) -> Mapping[str, Mapping[str, float]]:
        """Account -> kind of quota -> what is left of it, from 0 to 1, as answers told."""
        return {account.name: candidate.quota for account, candidate in self._backend.accounts()}

    def under_way(self) -> int:
        """Requests that accounts are serving now."""
        return sum(candidate.load for _, candidate in self._backend.accounts())

    async def _list(self, _: Request) -> Result:
        return {"accounts": await self.shown(), "problems": self._backend.problems()}

    async def _remove(self, request: Request) -> Result:
        account, _ = await self._named(request.value)
        await self._store.remove(account.name)
        self._backend.reload()
        return {"removed": account.name}

    async def _refresh(self, request: Request) -> Result:
        await self._named(request.value)
        await self._backend.refresh(request.value)
        return self._one(*await self._named(request.value))

    async def _ask_quota(self, request: Request) -> Result:
        account, _ = await self._named(request.value)
        return msgspec.to_builtins(await self._quota(account))

    async def _named(self, name: str) -> tuple[Account, Candidate]:
        await self._backend.look()
        for account, candidate in self._backend.accounts():
            if account.name == name:
                return account, candidate
        raise NotFoundError(f"there is no account {name[:100]!r}")

    def _one(self, account: Account, candidate: Candidate) -> dict[str, object]:
        now = self._clock.now()
        cooling = candidate.cooling_models(now)
        left = max(0, int(account.expires_at - self._clock.wall())) if account.access_token else 0
        return {
            "name": account.name,
            "host": account.host,
            "requests_go_to": account.address,
            "github_token": mask_secret(account.github_access_token),
            "copilot_token": mask_secret(account.access_token) if account.access_token else None,
            "token_seconds_left": left,
            "under_way": candidate.load,
            "cooldowns": {model: round(one.until - now, 1) for model, one in cooling.items()},
            "reason": next((one.reason for one in cooling.values()), None),
        }
