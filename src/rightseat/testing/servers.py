"""A gateway that runs for the time of a block, over a simulated cloud. Needs what `rightseat serve` needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rightseat.accounts.store import Account, FileStore
from rightseat.gateway.config import Settings
from rightseat.gateway.run import serve
from rightseat.simulator.server import SimulatorServer


@asynccontextmanager
async def running_gateway(
    simulator: SimulatorServer,
    home: Path,
    settings: Mapping[str, Any] | None = None,
    *,
    account: str | None = "tester",
) -> AsyncIterator[str]:
    """A gateway; gives its address.

    Args:
        simulator: the cloud behind it.
        home: a folder for its accounts.
        settings: see `Settings`.
        account: the name of an account that is ready; None: not logged in.

    Raises:
        ConfigError, ConnectError: it cannot start.
    """
    if account is not None:
        FileStore(home).save(Account(account, "gho_simulated", host=simulator.url))
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    values = {"port": 0, "home": str(home), "drain_seconds": 1, **(settings or {})}
    serving = asyncio.ensure_future(serve(Settings(**values), ready.set_result, stop))
    await asyncio.wait((ready, serving), return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    try:
        yield ready.result()
    finally:
        stop.set()
        await serving
