"""The accounts in use, what is known of their health, and which of them a request is tried on.

Does not know what is asked and how it is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from rightseat.accounts.selection import Candidate, Refusal, avoid, cool_down, pick_next
from rightseat.accounts.shared_cooldowns import Found, SharedCooldowns
from rightseat.accounts.store import Account, AccountStore
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import LoginError, NotLoggedInError, RightseatError, UpstreamError
from rightseat.log import logger
from rightseat.state.base import Cooldowns

RELOAD_SECONDS = 1.0  # how often the accounts are looked up: a login is seen soon, and a request costs no file access
NO_ACCOUNT = "no account: run `rightseat login`"


class AccountPool:
    """The accounts of a store.

    Args:
        store: the accounts.
        clock: time.
        cooldowns: where cooldowns are shared with other processes; None: they are not.
    """

    def __init__(self, store: AccountStore, clock: Clock = SYSTEM_CLOCK, cooldowns: Cooldowns | None = None) -> None:
        self.store = store
        self._shared = SharedCooldowns(cooldowns, self._merge, clock) if cooldowns is not None else None
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._changes = 0
        self._candidates: dict[str, Candidate] = {}
        self._were_shared: frozenset[tuple[str, str]] = frozenset()

    @property
    def last(self) -> Mapping[str, Account]:
        """The accounts by name, as they were last read."""
        return self._accounts

    async def known(self) -> Mapping[str, Account]:
        """The accounts by name, read again about once a second. The same object as long as nothing has changed."""
        if self._is_old:
            async with self._reading:
                if self._is_old:  # else another request has read them meanwhile
                    await self._read()
        if self._shared is not None:
            self._shared.look()
        return self._accounts

    @property
    def _is_old(self) -> bool:
        return self._clock.now() - self._read_at >= RELOAD_SECONDS

    async def _read(self) -> None:
        now, changes = self._clock.now(), self._changes
        fresh = {account.name: account for account in await self.store.list()}
        if fresh != self._accounts:
            self._take(fresh)
        if changes == self._changes:
            self._read_at = now

    def candidate(self, name: str) -> Candidate:
        """What is known of an account's health."""
        candidate = self._candidates.get(name)
        if candidate is None:
            candidate = self._candidates[name] = Candidate(name)
        return candidate

    def reload(self) -> None:
        """The accounts have changed: they are read again before the next request."""
        self._changes += 1
        self._read_at = float("-inf")

    def forget(self, name: str) -> None:
        """An account has a new token: its cooldowns are over."""
        self._candidates.pop(name, None)
        if self._shared is not None:
            self._shared.clear(name)

    def cooled(self, candidate: Candidate, model: str) -> None:
        """A cooldown of an account has begun: other processes learn of it."""
        if self._shared is not None:
            for key in ((model, ""), ("", "")):
                if (one := candidate.cooldowns.get(key)) is not None:
                    self._shared.note(candidate.name, key[0], one)

    async def aclose(self) -> None:
        """Stop what is running in the background."""
        if self._shared is not None:
            await self._shared.aclose()

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the store: files that cannot be read, a place that cannot be written. They name places."""
        problem = self.store.problem
        return (*self.store.problems(), *((problem,) if problem else ()))

    def public_problems(self) -> tuple[str, ...]:
        """The same for anybody."""
        damaged = ("an account cannot be read",) if self.store.problems() else ()
        return (*damaged, *(("accounts cannot be saved",) if self.store.problem else ()))

    async def attempts(self, model: str, conversation: str, caller: str) -> Attempts:
        """The accounts that a request is tried on. Raises NotLoggedInError: there is none."""
        known = await self.known()
        if not known:
            raise NotLoggedInError(NO_ACCOUNT)
        return Attempts(self, known, self._clock, model, conversation, caller)

    def _take(self, fresh: dict[str, Account]) -> None:
        for name, old in self._accounts.items():
            new = fresh.get(name)
            if new is None or new.github_access_token != old.github_access_token:  # gone, or logged in anew
                self.forget(name)
        self._accounts = fresh

    def _merge(self, found: Found) -> None:
        """Take over the cooldowns that all processes share. Those of single callers stay, and those that were never in the store."""
        now = self._clock.now()
        for name in self._accounts:
            candidate = self.candidate(name)
            own = {
                key: one
                for key, one in candidate.cooldowns.items()
                if key[1] or (one.until > now and (name, key[0]) not in self._were_shared)
            }
            shared = {(model, ""): one for (account, model), one in found.items() if account == name}
            candidate.cooldowns = {**own, **shared}
        self._were_shared = frozenset(found)


class Attempts:
    """The accounts that one request is tried on, one after another, until one serves it.

    Args:
        pool: the accounts' health.
        known: the accounts.
        clock: time.
        model: what is asked.
        conversation, caller: see `pick_next`.
    """

    def __init__(
        self, pool: AccountPool, known: Mapping[str, Account], clock: Clock, model: str, conversation: str, caller: str
    ) -> None:
        self._pool = pool
        self._known = known
        self._clock = clock
        self._model = model
        self._conversation = conversation
        self._caller = caller
        self._tried: frozenset[str] = frozenset()
        self._refusal: RightseatError | None = None

    def next(self) -> tuple[Account, Candidate]:
        """The next account.

        Raises:
            UpstreamError: none is left: the refusal of the last one that was asked, or what all of them are cooling down from, as the
                server said it, with the seconds until one is back.
            LoginError: GitHub refused the last one.
        """
        candidates = [self._pool.candidate(name) for name in self._known]
        now = self._clock.now()
        choice = pick_next(
            candidates, self._model, now, conversation=self._conversation, caller=self._caller, tried=self._tried
        )
        if choice.name is not None:
            self._tried |= {choice.name}
            return self._known[choice.name], self._pool.candidate(choice.name)
        if self._refusal is not None:
            raise self._refusal
        if choice.cooldown is None:
            raise UpstreamError(404, f"no account has the model {self._model[:200]!r}", code="model_not_found")
        waits = [(c, c.cooling(self._model, now, self._caller)) for c in candidates]
        told = ", ".join(f"{c.name}: {one.reason}, {one.until - now:.0f} s" for c, one in waits if one is not None)
        logger.info("every account is cooling down for %s (%s)", self._model, told)
        because = choice.cooldown
        raise UpstreamError(
            because.status, because.message or because.reason, code=because.code, retry_after=choice.wait
        )

    def refused(self, candidate: Candidate, error: UpstreamError | LoginError) -> bool:
        """An account has refused the request. True: another one may be asked."""
        self._refusal = error
        refusal = _refusal_of(error)
        if not cool_down(candidate, self._model, self._clock.now(), refusal, caller=self._caller):
            return False
        self._pool.cooled(candidate, self._model)
        self._log(candidate, error)
        return True

    def without_token(self, candidate: Candidate, error: RightseatError) -> bool:
        """No token could be fetched for an account. True: another one may be asked."""
        if isinstance(error, LoginError):
            return self.refused(candidate, error)
        self._refusal = error
        avoid(candidate, self._clock.now(), Refusal(error.status_hint, None, error.public))
        self._pool.cooled(candidate, self._model)
        self._log(candidate, error)
        return len(self._known) > len(self._tried)

    def _log(self, candidate: Candidate, error: RightseatError) -> None:
        if len(self._known) > 1:
            logger.warning("account %s is cooling down for %s: %s", candidate.name, self._model, error)


def _refusal_of(error: UpstreamError | LoginError) -> Refusal:
    whole = isinstance(error, LoginError)
    status = error.status if isinstance(error, UpstreamError) else error.status_hint
    code = str(error.code) if error.code else None
    return Refusal(status, code, error.public, error.retry_after, whole=whole)
