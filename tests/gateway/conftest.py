"""A gateway over a simulator, served on a port, and clients for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import openai
import pytest

from rightseat.gateway.config import Settings
from rightseat.gateway.server import serve
from rightseat.simulator.app import SimulatorApp
from rightseat.simulator.cloud import Behaviour, Cloud
from rightseat.simulator.model import SimulatedModel
from rightseat.simulator.server import SimulatorServer
from rightseat.upstream.store import Account, FileStore


class Served:
    """A running gateway: its address, and the simulated cloud behind it."""

    def __init__(self, url: str, cloud: SimulatorApp) -> None:
        self.url = url
        self.app = cloud
        self.cloud = cloud.cloud


@pytest.fixture
async def gateway(tmp_path) -> AsyncIterator[Callable[..., object]]:
    """Start gateways: `served = await gateway(settings={...}, behaviour={...}, words=..., pace=...)`."""
    async with AsyncExitStack() as stack:

        async def start(*, settings=None, behaviour=None, logged_in=True, model=None, **options) -> Served:
            app = SimulatorApp(
                model or SimulatedModel(**{"pace": 0, **options}), cloud=Cloud(Behaviour(**(behaviour or {})))
            )
            server = await stack.enter_async_context(SimulatorServer(app))
            if logged_in:
                FileStore(tmp_path).save(Account("ann", "gho_simulated", host=server.url))
            ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            stop = asyncio.Event()
            values = {"port": 0, "home": str(tmp_path), "drain_seconds": 1, **(settings or {})}
            serving = asyncio.ensure_future(serve(Settings(**values), ready.set_result, stop))

            async def end() -> None:
                stop.set()
                await serving

            stack.push_async_callback(end)
            await asyncio.wait((ready, serving), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            return Served(ready.result(), app)

        yield start


@pytest.fixture
async def client() -> AsyncIterator[Callable[..., openai.AsyncOpenAI]]:
    """Unmodified OpenAI clients of a gateway."""
    async with AsyncExitStack() as stack:

        async def make(served: Served, **options) -> openai.AsyncOpenAI:
            values = {"base_url": f"{served.url}/v1", "api_key": "any", "max_retries": 0, **options}
            return await stack.enter_async_context(openai.AsyncOpenAI(**values))

        yield make
