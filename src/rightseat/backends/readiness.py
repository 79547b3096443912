"""Whether a backend can be asked now: what a request would need is asked for, within seconds, and seldom.

Does not know how a call is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from rightseat.accounts.pool import NO_ACCOUNT, AccountPool
from rightseat.accounts.store import Account
from rightseat.accounts.tokens import TokenSource
from rightseat.backends.base import Readiness
from rightseat.backends.cached import SingleFlight
from rightseat.clock import Clock
from rightseat.errors import RightseatError
from rightseat.transport.http.base import Timeouts

WITHIN_SECONDS = 3.0
WITHIN = Timeouts(connect=WITHIN_SECONDS, head=WITHIN_SECONDS, silence=WITHIN_SECONDS, whole=WITHIN_SECONDS)
CONTACT_SECONDS = 30.0  # a contact that went well says so long that the server is within reach
UNREADY_SECONDS = 2.0  # how long a finding that nothing can be served is believed


class Contact:
    """When the server last answered.

    Args:
        clock: time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = float("-inf")

    def made(self, *, ok: bool) -> None:
        """An answer came; `ok`: one that shows no trouble of the server."""
        self._at = self._clock.now() if ok else float("-inf")

    def failed(self) -> None:
        """None came."""
        self._at = float("-inf")

    @property
    def recent(self) -> bool:
        """The last try went well, and not long ago."""
        return self._clock.now() - self._at < CONTACT_SECONDS


class SharedReadiness:
    """Readiness that is worked out once for all who ask at the same time, and not again at once where it was bad.

    Args:
        work: finds it out.
        clock: time.
    """

    def __init__(self, work: Callable[[], Awaitable[Readiness]], clock: Clock) -> None:
        self._flight = SingleFlight(work)
        self._clock = clock
        self._last = Readiness()
        self._believed_until = float("-inf")

    async def get(self) -> Readiness:
        """Whether requests can be served now."""
        if self._clock.now() >= self._believed_until:
            self._last = await self._flight()
            self._believed_until = self._clock.now() + UNREADY_SECONDS if self._last.reasons else float("-inf")
        return self._last

    async def aclose(self) -> None:
        """Stop what is under way."""
        await self._flight.aclose()


class CopilotReadiness:
    """Whether Copilot can be asked: an account that is not cooling down, a usable token, an answer.

    Args:
        pool: the accounts.
        tokens: gives them tokens.
        contact: when Copilot last answered.
        probe: makes a small call as an account. Raises what is wrong.
        clock: time.
    """

    def __init__(
        self,
        pool: AccountPool,
        tokens: TokenSource,
        contact: Contact,
        probe: Callable[[Account], Awaitable[object]],
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._tokens = tokens
        self._contact = contact
        self._probe = probe
        self._clock = clock

    async def __call__(self) -> Readiness:
        """The answer, within WITHIN_SECONDS."""
        reasons = await self._reasons(await self._pool.known())
        public = tuple(dict.fromkeys(reasons.values()))
        return Readiness(tuple(reasons), public, self._pool.problems(), self._pool.public_problems())

    async def _reasons(self, accounts: Mapping[str, Account]) -> dict[str, str]:
        """Why nothing can be served: for the operator -> the same for clients."""
        if not accounts:
            return {NO_ACCOUNT: NO_ACCOUNT}
        now = self._clock.now()
        ready: list[Account] = []
        cooling: dict[str, str] = {}
        for name, account in accounts.items():
            one = self._pool.candidate(name).cooling("", now)
            if one is None or one.avoid:
                ready.append(account)
            else:
                reason = f"account {name} is cooling down for {one.until - now:.0f} s: {one.reason}"
                cooling[reason] = "every account is cooling down"
        if not ready:
            return cooling
        found = await self._ask(ready)
        return {**cooling, **found} if found else {}

    async def _ask(self, accounts: list[Account]) -> dict[str, str]:
        """Ask for what a request would need, as all accounts side by side; the first that can serve is enough."""
        tasks = {asyncio.ensure_future(self._try(account)): account for account in accounts}
        found: dict[str, str] = {}
        try:
            async with asyncio.timeout(WITHIN_SECONDS):
                for done in asyncio.as_completed(tasks):
                    problem = await done
                    if problem is None:
                        return {}
                    found.update([problem])
        except TimeoutError:
            late = ", ".join(account.name for task, account in tasks.items() if not task.done())
            found[f"no answer within {WITHIN_SECONDS:g} s for {late}"] = "Copilot did not answer in time"
        finally:
            for task in tasks:
                task.cancel()
        return found

    async def _try(self, account: Account) -> tuple[str, str] | None:
        """What is wrong with an account: for who runs this, and for anybody; None: nothing."""
        try:
            account = await self._tokens.get(account)
            if not self._contact.recent:
                await self._probe(account)
        except RightseatError as e:
            return f"account {account.name}: {e}", e.public
        return None
