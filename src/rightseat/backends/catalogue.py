"""The models of all accounts, as one list: each account's own is fetched now and then, and the last good one serves meanwhile.

Does not know how a list is fetched.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping

from rightseat.accounts.pool import AccountPool
from rightseat.accounts.store import Account
from rightseat.backends.cached import Cached
from rightseat.backends.registry import Model, Registry
from rightseat.clock import Clock
from rightseat.errors import RightseatError
from rightseat.log import logger

FRESH_SECONDS = 600.0  # how long a model list is believed
FIRST_SECONDS = 3.0  # how long the first list that is there waits for those of the other accounts


class Catalogue:
    """The models.

    Args:
        pool: the accounts.
        fetch: gets the list of one.
        aliases: names of models -> ids.
        clock: time.
    """

    def __init__(
        self,
        pool: AccountPool,
        fetch: Callable[[Account], Awaitable[Registry]],
        aliases: Mapping[str, str],
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._fetch = fetch
        self._aliases = dict(aliases)
        self._clock = clock
        self._known: Mapping[str, Account] = {}
        self._lists: dict[str, tuple[str, Cached[Registry]]] = {}  # account -> its GitHub token, and its list
        self._merged: Registry | None = None

    def rename(self, aliases: Mapping[str, str]) -> None:
        """Other names for models from now on."""
        self._aliases = dict(aliases)

    async def registry(self) -> Registry:
        """The models of all accounts; the seed list while not logged in.

        Raises:
            RightseatError: there is no list at all, and none can be fetched.
        """
        known = await self._pool.known()
        if known is not self._known:
            self._follow(known)
        if not known:
            return Registry(aliases=self._aliases)
        lists = [cached for _, cached in self._lists.values()]
        tasks = [task for cached in lists if (task := cached.refresh()) is not None]
        if tasks and all(cached.value is None for cached in lists):
            await self._first(tasks, lists)
        if self._merged is None:
            self._merged = self._merge()
        return self._merged

    def offers(self, model: str) -> bool:
        """Whether the last lists have a model of this id. Does not ask upstream."""
        return any(cached.value is not None and model in cached.value.models for _, cached in self._lists.values())

    async def aclose(self) -> None:
        """Stop what is under way."""
        for _, cached in self._lists.values():
            await cached.aclose()

    async def _first(self, tasks: list[asyncio.Task[Registry]], lists: list[Cached[Registry]]) -> None:
        """Wait for the first lists."""
        await asyncio.wait(tasks, timeout=FIRST_SECONDS)
        if all(cached.value is None for cached in lists):
            pending = [task for task in tasks if not task.done()]
            while pending and all(cached.value is None for cached in lists):
                _, left = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                pending = list(left)
        if all(cached.value is None for cached in lists):
            tasks[0].result()  # raises

    def _follow(self, known: Mapping[str, Account]) -> None:
        """The accounts have changed: lists of those that are gone, or logged in anew, are forgotten."""
        kept: dict[str, tuple[str, Cached[Registry]]] = {}
        for name, account in known.items():
            old = self._lists.get(name)
            if old is not None and old[0] == account.github_access_token:
                kept[name] = old
            else:
                kept[name] = (account.github_access_token, self._cached(name))
        self._lists, self._known, self._merged = kept, known, None

    def _cached(self, name: str) -> Cached[Registry]:
        return Cached(
            functools.partial(self._fetch_one, name),
            seconds=FRESH_SECONDS,
            on_fetched=functools.partial(self._fetched, name),
            on_failed=lambda e: logger.warning("no model list of %s: %s", name, e),
            clock=self._clock,
        )

    async def _fetch_one(self, name: str) -> Registry:
        account = (await self._pool.known()).get(name)
        if account is None:
            raise RightseatError(f"the account {name} is gone", public="the account was removed")
        return await self._fetch(account)

    def _fetched(self, name: str, registry: Registry) -> None:
        self._pool.candidate(name).models = frozenset(registry.models)
        self._merged = None

    def _merge(self) -> Registry:
        merged: dict[str, Model] = {}
        for _, cached in self._lists.values():
            if cached.value is not None:
                merged = {**cached.value.models, **merged}
        return Registry(merged, self._aliases, seed=False)
