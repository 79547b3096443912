"""Fixtures for tests of code that uses Rightseat. Loaded by pytest itself where Rightseat is installed.

All have one shape: the fixture is a function that makes what you ask for, as often as you call it. What runs is stopped at the end of
the test.

    scripted_handler    type[ScriptedHandler]    handler = scripted_handler({"python": "A language."})
    scripted_session    type[ScriptedSession]    session = scripted_session({"python": "A language."})
    fake_clock          type[FakeClock]          clock = fake_clock()
    copilot_simulator   StartSimulator           server = await copilot_simulator(words=10)
    copilot_gateway     StartGateway             gateway = await copilot_gateway(); gateway.url
    copilot_client      StartClient              client = await copilot_client()

The last three are async and need pytest-asyncio: `pip install 'rightseat[pytest]'`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar, cast

import pytest

if TYPE_CHECKING:
    from typing import Unpack

    from rightseat.sdk.client import CopilotClient
    from rightseat.simulator.script import Script
    from rightseat.simulator.server import SimulatorServer
    from rightseat.testing import FakeClock, ScriptedHandler, ScriptedSession

F = TypeVar("F", bound=Callable[..., Any])


class ModelOptions(TypedDict, total=False):
    """How a simulated model answers; see `SimulatedModel`.

    Attributes:
        script: exact answers: a `Script`, or a function of the request.
        words: length of an answer in words; default: 60.
        pace: tokens a second; 0, the default here: no pauses.
        seed: the same seed gives the same answers; default: 0.
    """

    script: Script | Callable[..., Any] | None
    words: int
    pace: float
    seed: int


class RunningGateway:
    """A gateway that runs.

    Attributes:
        url: its address; clients want `url + "/v1"`.
        simulator: the simulated cloud behind it.
    """

    def __init__(self, url: str, simulator: SimulatorServer) -> None:
        self.url = url
        self.simulator = simulator


class StartSimulator(Protocol):
    """The fixture `copilot_simulator`."""

    async def __call__(self, **options: Unpack[ModelOptions]) -> SimulatorServer:
        """Start a simulated cloud: `server.url`; `server.app.seen` has the requests."""
        ...


class StartGateway(Protocol):
    """The fixture `copilot_gateway`."""

    async def __call__(
        self, *, settings: Mapping[str, Any] | None = None, **options: Unpack[ModelOptions]
    ) -> RunningGateway:
        """Start a gateway over a simulated cloud, with an account ready. `settings`: see `Settings`."""
        ...


class StartClient(Protocol):
    """The fixture `copilot_client`."""

    async def __call__(self, **options: Unpack[ModelOptions]) -> CopilotClient:
        """Start a client of the real Copilot CLI, logged in at a simulated cloud. Skips the test where there is no CLI."""
        ...


def async_fixture(function: F) -> F:
    """A fixture that is async. Without pytest-asyncio a test that asks for it fails, and says what to install."""
    try:
        from pytest_asyncio import fixture
    except ModuleNotFoundError:
        name = function.__name__

        def missing() -> None:
            pytest.fail(f"the fixture {name} needs pytest-asyncio: pip install 'rightseat[pytest]'", pytrace=False)

        return cast("F", pytest.fixture(name=name)(missing))
    return cast("F", fixture(function))


@pytest.fixture
def scripted_handler() -> type[ScriptedHandler]:
    """Make handlers with canned answers."""
    from rightseat.testing import ScriptedHandler

    return ScriptedHandler


@pytest.fixture
def scripted_session() -> type[ScriptedSession]:
    """Make chat sessions with canned answers."""
    from rightseat.testing import ScriptedSession

    return ScriptedSession


@pytest.fixture
def fake_clock() -> type[FakeClock]:
    """Make clocks that the test turns."""
    from rightseat.testing import FakeClock

    return FakeClock


@async_fixture
async def copilot_simulator() -> AsyncIterator[StartSimulator]:
    """Start simulated clouds."""
    from rightseat.simulator.app import SimulatorApp
    from rightseat.simulator.model import SimulatedModel
    from rightseat.simulator.server import SimulatorServer

    async with AsyncExitStack() as stack:

        async def start(**options: Unpack[ModelOptions]) -> SimulatorServer:
            asked: ModelOptions = {"pace": 0.0, **options}
            app = SimulatorApp(SimulatedModel(**asked))
            return await stack.enter_async_context(SimulatorServer(app))

        yield start


@async_fixture
async def copilot_gateway(copilot_simulator: StartSimulator, tmp_path: Path) -> AsyncIterator[StartGateway]:
    """Start gateways over simulated clouds."""
    from rightseat.testing.servers import running_gateway

    async with AsyncExitStack() as stack:
        started = 0

        async def start(
            *, settings: Mapping[str, Any] | None = None, **options: Unpack[ModelOptions]
        ) -> RunningGateway:
            nonlocal started
            started += 1
            server = await copilot_simulator(**options)
            url = await stack.enter_async_context(running_gateway(server, tmp_path / f"gateway-{started}", settings))
            return RunningGateway(url, server)

        yield start


@async_fixture
async def copilot_client(copilot_simulator: StartSimulator, tmp_path: Path) -> AsyncIterator[StartClient]:
    """Start clients of the real CLI, offline."""
    from rightseat.errors import CliNotFoundError
    from rightseat.sdk.client import CopilotClient
    from rightseat.sdk.runtime import find_cli
    from rightseat.security.environment import cli_environment
    from rightseat.simulator.environment import simulated_environment

    async with AsyncExitStack() as stack:

        async def start(**options: Unpack[ModelOptions]) -> CopilotClient:
            try:
                cli = str(find_cli())
            except CliNotFoundError as e:
                pytest.skip(f"needs the Copilot CLI: {e}")
            server = await copilot_simulator(**options)
            env = simulated_environment(server.url, tmp_path / "copilot", cli_environment(os.environ))
            client = CopilotClient(cli_path=cli, env=env, working_directory=str(tmp_path))
            return await stack.enter_async_context(client)

        yield start
