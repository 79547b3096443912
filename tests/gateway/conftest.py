"""A gateway over a simulator, served on a port, and clients for it."""

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import openai
import pytest

from rightseat.gateway.config import Settings
from rightseat.gateway.server import serve
from rightseat.simulator.app import SimulatorApp
from rightseat.simulator.cloud import Behaviour, Cloud
from rightseat.simulator.model import SimulatedModel
from rightseat.simulator.server import SimulatorServer
from rightseat.upstream.store import Account, FileStore

ROOT = Path(__file__).parent.parent.parent


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

        async def start(
            *, settings=None, behaviour=None, logged_in=True, model=None, extra_models=(), **options
        ) -> Served:
            app = SimulatorApp(
                model or SimulatedModel(**{"pace": 0, **options}),
                cloud=Cloud(Behaviour(**(behaviour or {}))),
                extra_models=extra_models,
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
def node(tmp_path) -> Callable[..., object]:
    """Run a script with the unmodified OpenAI client for Node: `await node(served, "...")` gives what it prints."""

    async def run(served: Served, script: str) -> str:
        file = tmp_path / "script.mjs"
        module = (ROOT / "node_modules" / "openai" / "index.mjs").as_uri()
        head = f"import OpenAI from {module!r};\nconst client = new OpenAI({{baseURL: '{served.url}/v1', apiKey: 'any', maxRetries: 0}});\n"
        file.write_text(head + script)
        process = await asyncio.create_subprocess_exec("node", str(file), stdout=PIPE, stderr=PIPE)
        out, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return out.decode()

    return run


@pytest.fixture
async def client() -> AsyncIterator[Callable[..., openai.AsyncOpenAI]]:
    """Unmodified OpenAI clients of a gateway."""
    async with AsyncExitStack() as stack:

        async def make(served: Served, **options) -> openai.AsyncOpenAI:
            values = {"base_url": f"{served.url}/v1", "api_key": "any", "max_retries": 0, **options}
            return await stack.enter_async_context(openai.AsyncOpenAI(**values))

        yield make
