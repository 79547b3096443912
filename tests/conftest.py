"""What tests share: the real CLI, a simulator, clients in it, a client of a scripted CLI, gateways and clients of them."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import openai
import pytest
from tests.fault_numbers import numbers_of
from tests.postgres import PostgresServer, installed

from rightseat import CliNotFoundError, CopilotClient, RuntimeConnection, find_cli
from rightseat.simulator.app import SimulatorApp
from rightseat.simulator.cloud import Behaviour, Cloud
from rightseat.simulator.environment import simulated_environment
from rightseat.simulator.model import SimulatedModel
from rightseat.simulator.peer import ScriptedCli
from rightseat.simulator.server import SimulatorServer
from rightseat.testing.servers import running_gateway
from rightseat.transport.memory import MemoryStream

ROOT = Path(__file__).parent.parent


def pytest_itemcollected(item: pytest.Item) -> None:
    """`-k C7` chooses the tests of fault C7."""
    item.extra_keyword_matches.update(numbers_of(item.nodeid))


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


@pytest.fixture(scope="session")
def running_cli(cli_path, tmp_path_factory) -> Iterator[str]:
    """The address of a real CLI, logged in at a simulator of its own: to start one takes seconds of CPU."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    simulate = [sys.executable, "-m", "rightseat", "simulate", "--pace", "0", "--"]
    cli = [cli_path, "--headless", "--no-auto-update", "--port", str(port)]
    process = subprocess.Popen([*simulate, *cli], cwd=tmp_path_factory.mktemp("cli"), stdout=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    try:
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < end, "the CLI does not listen"
                time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def shared(running_cli, tmp_path) -> Callable[..., CopilotClient]:
    """Clients of one CLI that many tests share, for tests that ask nothing of its start or its end: `async with shared() as client`."""
    (tmp_path / "work").mkdir()

    def make(**options) -> CopilotClient:
        return CopilotClient(**{"cli_url": running_cli, "working_directory": str(tmp_path / "work"), **options})

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


class Served:
    """A running gateway: its address, and the simulated cloud behind it."""

    def __init__(self, url: str, cloud: SimulatorApp) -> None:
        self.url = url
        self.app = cloud
        self.cloud = cloud.cloud


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """Fresh databases of a real PostgreSQL server: `url = postgres()`. Without one CI fails; elsewhere tests are skipped, aloud."""
    if not installed():
        if os.environ.get("CI"):
            pytest.fail("CI must run the tests with PostgreSQL (Debian: apt-get install postgresql)", pytrace=False)
        pytest.skip("needs PostgreSQL (Debian: apt-get install postgresql)")
    with PostgresServer() as server:
        yield server.database


@pytest.fixture
def http_server() -> str | None:
    """The server and the client of gateways that a test starts, such as "core+direct"; None: those of the settings. Files about HTTP run with each."""
    return None


@pytest.fixture
async def gateway(tmp_path, http_server) -> AsyncIterator[Callable[..., object]]:
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
            account = "ann" if logged_in else None
            # "{cloud}" in a setting stands for the simulated cloud's address.
            settings = {
                k: v.replace("{cloud}", server.url) if isinstance(v, str) else v for k, v in (settings or {}).items()
            }
            if http_server is not None:
                server_name, _, client_name = http_server.partition("+")
                settings = {"http_server": server_name, "http_client": client_name or "aiohttp", **settings}
            url = await stack.enter_async_context(running_gateway(server, tmp_path, settings, account=account))
            return Served(url, app)

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
