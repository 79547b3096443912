"""What tests share: the real CLI, a simulator, clients in it, and a client of a scripted CLI."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from rightseat import CliNotFoundError, CopilotClient, RuntimeConnection, find_cli
from rightseat.simulator.app import SimulatorApp
from rightseat.simulator.environment import simulated_environment
from rightseat.simulator.model import SimulatedModel
from rightseat.simulator.peer import ScriptedCli
from rightseat.simulator.server import SimulatorServer
from rightseat.transport.memory import MemoryStream

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def cli_path() -> str:
    """The real Copilot CLI. Without it CI fails; elsewhere the contract tests are skipped, aloud."""
    try:
        return str(find_cli())
    except CliNotFoundError as e:
        if os.environ.get("CI"):
            pytest.fail(f"CI must run the contract tests: {e}", pytrace=False)
        pytest.skip(f"the contract tests need the real CLI: {e}")


@pytest.fixture
async def simulate() -> AsyncIterator[Callable[..., object]]:
    """Start simulators: `server = await simulate(script=..., pace=...)`."""
    async with AsyncExitStack() as stack:

        async def start(**options) -> SimulatorServer:
            app = SimulatorApp(SimulatedModel(**{"pace": 0, **options}))
            return await stack.enter_async_context(SimulatorServer(app))

        yield start


@pytest.fixture
async def simulator(simulate) -> SimulatorServer:
    """A simulator that answers as fast as it can."""
    return await simulate()


@pytest.fixture
def copilot(cli_path, tmp_path) -> Callable[..., object]:
    """Clients of the real CLI, logged in at a simulator: `async with copilot(server) as client`."""
    (tmp_path / "work").mkdir()

    @asynccontextmanager
    async def make(server: SimulatorServer | None, **options):
        env = dict(os.environ) if server is None else simulated_environment(server.url, tmp_path / "home", os.environ)
        env = {**env, "COPILOT_HOME": str(tmp_path / "home"), **options.pop("extra_env", {})}
        if not {"cli_path", "connection", "cli_url"} & set(options):
            options["cli_path"] = cli_path
        options.setdefault("working_directory", str(tmp_path / "work"))
        async with CopilotClient(env=env, **options) as client:
            yield client

    return make


@pytest.fixture
async def scripted() -> AsyncIterator[Callable[..., object]]:
    """Pairs of a client and the scripted CLI it talks to: `client, cli = await scripted()`."""
    async with AsyncExitStack() as stack:

        async def start(*, begin: bool = True, protocol_version: object = 3, **options):
            ours, theirs = MemoryStream.pair()
            cli = await stack.enter_async_context(ScriptedCli(theirs, protocol_version=protocol_version))
            client = CopilotClient(connection=RuntimeConnection.for_stream(ours), **options)
            stack.push_async_callback(client.stop)
            if begin:
                await client.start()
            return client, cli

        yield start
