"""Access put together: `async with Access(settings) as access`. Keeps the parts in step with the database.

A request passes them in this order: `authenticator`, `authorize`, `admission.enter`, and, on its way upstream, `admission.reserve`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import ConfigError, KeyDatabaseError
from rightseat.gateway.access.admission import Admission
from rightseat.gateway.access.authenticate import Authenticator
from rightseat.gateway.access.authorize import Authorizer
from rightseat.gateway.access.keys import KeyRing
from rightseat.gateway.access.pepper import pepper_of
from rightseat.gateway.access.refusals import Refusals
from rightseat.gateway.config import Settings
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.log import logger
from rightseat.state.base import State
from rightseat.state.opening import open_state

POLL_SECONDS = 0.5
BEAT_SECONDS = 1.0


def database_of(settings: Settings) -> str | Path:
    """Where the keys are."""
    return settings.database or settings.folder / "keys.sqlite"


class Access:
    """The parts, working from `__aenter__` on.

    Args:
        settings: see Settings.
        clock: time.
        ids: names reservations and makes keys.
        state: what several processes share; None: the database that the settings name.
        pepper: see KeyRing; None: the one that the settings name.

    Attributes:
        state: what several processes share.
        keys: the gateway's own keys.
        authenticator: who asks.
        authorize: what they may do.
        admission: how much.
        refusals: reason -> how many requests were refused.

    Raises:
        ConfigError: the database of keys cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock = SYSTEM_CLOCK,
        ids: Ids = SYSTEM_IDS,
        *,
        state: State | None = None,
        pepper: Callable[[bool], Awaitable[bytes]] | None = None,
    ) -> None:
        self._clock = clock
        self.refusals = Refusals()
        self.state: State = state if state is not None else open_state(database_of(settings))
        find = pepper or (lambda make: asyncio.to_thread(pepper_of, settings, make=make))
        self.keys = KeyRing(self.state.keys, find, clock=clock, ids=ids)
        self.authenticator = Authenticator(settings, self.keys, self.refusals, clock)
        self.authorize = Authorizer(self.refusals)
        self.admission = Admission(self.state.ledger, self.keys, self.refusals, ids=ids)
        self._problem = ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as undo:
            await undo.enter_async_context(self.state)
            try:
                await self._step(beat=True)
            except KeyDatabaseError as e:
                raise ConfigError(str(e)) from None
            undo.pop_all()
        self._poller = asyncio.ensure_future(self._poll())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._poller.cancel()
        await asyncio.gather(self._poller, return_exceptions=True)
        await self.admission.close()
        await self.state.close()

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the database of keys, for anybody: requests of limited keys cannot be served meanwhile."""
        return (self._problem,) if self._problem else ()

    async def _step(self, *, beat: bool) -> None:
        """Look for changes, write down what waits, and say that we live."""
        await self.keys.look()
        await self.admission.flush()
        if beat:
            await self.state.ledger.beat()

    async def _poll(self) -> None:
        failing, beat_at = False, self._clock.now()
        while True:
            await self._clock.sleep(POLL_SECONDS)
            beat = self._clock.now() - beat_at >= BEAT_SECONDS
            try:
                await self._step(beat=beat)
            except (ConfigError, KeyDatabaseError) as e:
                if not failing:
                    logger.error("%s", e)
                failing = True
                self._problem = "the database of keys cannot be used"
            except Exception:
                logger.exception("the keys could not be checked")
            else:
                if failing:
                    logger.warning("the database of keys is back")
                failing, self._problem = False, ""
                beat_at = self._clock.now() if beat else beat_at
