"""Fixtures for tests of code that uses Rightseat. Loaded by pytest itself where Rightseat is installed.

    scripted_handler   a ScriptedHandler: canned answers, calls kept
    scripted_session   a ScriptedSession: the same as a chat session
    fake_clock         a FakeClock
    copilot_simulator  start simulated clouds: server = await copilot_simulator(words=10)
    copilot_gateway    start gateways over them: gateway = await copilot_gateway(); gateway.url
    copilot_client     start clients of the real Copilot CLI, logged in at a simulator

The last three are async and need pytest-asyncio or anyio's plugin; what they start is stopped at the end of the test.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

from rightseat.json_types import JsonObject

if TYPE_CHECKING:
    from rightseat.sdk.client import CopilotClient
    from rightseat.simulator.server import SimulatorServer
    from rightseat.testing import FakeClock, ScriptedHandler
    from rightseat.testing.scripted_session import ScriptedSession

F = TypeVar("F", bound=Callable[..., Any])


def async_fixture(function: F) -> F:
    """A fixture that is async, for pytest-asyncio; anyio's plugin runs plain ones."""
    try:
        from pytest_asyncio import fixture
    except ModuleNotFoundError:
        return cast("F", pytest.fixture(function))
    return cast("F", fixture(function))


@pytest.fixture
def scripted_handler() -> ScriptedHandler:
    """A handler with canned answers; make your own with other ones: `ScriptedHandler({...})`."""
    from rightseat.testing import ScriptedHandler

    return ScriptedHandler()


@pytest.fixture
def scripted_session() -> Callable[..., ScriptedSession]:
    """Make sessions with canned answers.

    session = scripted_session({"python": "A language."})
    """
    from rightseat.testing.scripted_session import ScriptedSession

    return ScriptedSession


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that the test turns."""
    from rightseat.testing import FakeClock

    return FakeClock()


@async_fixture
async def copilot_simulator() -> AsyncIterator[Callable[..., Awaitable[SimulatorServer]]]:
    """Start simulated clouds.

    server = await copilot_simulator(script=..., words=..., pace=...); server.url; server.app.seen
    """
    from rightseat.simulator.app import SimulatorApp
    from rightseat.simulator.model import SimulatedModel
    from rightseat.simulator.server import SimulatorServer

    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> SimulatorServer:
            app = SimulatorApp(SimulatedModel(**{"pace": 0, **options}))
            return await stack.enter_async_context(SimulatorServer(app))

        yield start


class RunningGateway:
    """A gateway that runs.

    Attributes:
        url: its address; clients want `url + "/v1"`.
        simulator: the simulated cloud behind it.
    """

    def __init__(self, url: str, simulator: SimulatorServer) -> None:
        self.url = url
        self.simulator = simulator


@async_fixture
async def copilot_gateway(
    copilot_simulator: Callable[..., Awaitable[SimulatorServer]], tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[RunningGateway]]]:
    """Start gateways with an account ready.

    gateway = await copilot_gateway(settings={...}, words=...); gateway.url; gateway.simulator
    """
    from rightseat.testing.servers import running_gateway

    async with AsyncExitStack() as stack:

        async def start(*, settings: JsonObject | None = None, **options: Any) -> RunningGateway:
            server = await copilot_simulator(**options)
            url = await stack.enter_async_context(running_gateway(server, tmp_path, settings))
            return RunningGateway(url, server)

        yield start


@async_fixture
async def copilot_client(
    copilot_simulator: Callable[..., Awaitable[SimulatorServer]], tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[CopilotClient]]]:
    """Start clients of the real CLI, offline. Skipped, aloud, where there is no CLI.

    client = await copilot_client(script=...)
    """
    from rightseat.errors import CliNotFoundError
    from rightseat.sdk.client import CopilotClient
    from rightseat.sdk.runtime import find_cli
    from rightseat.security.environment import cli_environment
    from rightseat.simulator.environment import simulated_environment

    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> CopilotClient:
            try:
                cli = str(find_cli())
            except CliNotFoundError as e:
                pytest.skip(f"needs the Copilot CLI: {e}")
            server = await copilot_simulator(**options)
            env = simulated_environment(server.url, tmp_path / "copilot", cli_environment(os.environ))
            client = CopilotClient(cli_path=cli, env=env, working_directory=str(tmp_path))
            return await stack.enter_async_context(client)

        yield start
