"""The real Copilot CLI as a client of the gateway: its BYOK provider, in every dialect and transport."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from rightseat import PermissionHandler
from rightseat.accounts.store import Account, FileStore
from rightseat.gateway.config import Settings
from rightseat.gateway.run import serve

pytestmark = pytest.mark.contract
SHELL = "Run the shell command `echo through the gateway` and reply with its output"


@asynccontextmanager
async def running_gateway(simulator, folder):
    FileStore(folder).save(Account("ann", "gho_simulated", host=simulator.url))
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    serving = asyncio.ensure_future(serve(Settings(port=0, home=str(folder), drain_seconds=1), ready.set_result, stop))
    yield await ready
    stop.set()
    await serving


@pytest.mark.parametrize(
    ("kind", "wire", "model"),
    [
        ("openai", {"wire_api": "completions"}, "gpt-4.1"),
        ("openai", {"wire_api": "completions"}, "gpt-5.3-codex"),
        ("openai", {"wire_api": "responses"}, "gpt-5"),
        ("openai", {"wire_api": "responses"}, "claude-sonnet-4.5"),
        ("openai", {"wire_api": "responses", "transport": "websockets"}, "gpt-5"),
        ("anthropic", {}, "gpt-5"),
        ("anthropic", {}, "claude-sonnet-4.5"),
    ],
)
@pytest.mark.parametrize("streaming", [True, False])
async def test_the_real_cli_works_a_whole_turn_through_the_gateway(
    copilot, simulator, tmp_path, kind, wire, model, streaming
):
    async with running_gateway(simulator, tmp_path) as url:
        base = f"{url}/v1" if kind == "openai" else url
        provider = {
            "type": kind,
            "base_url": base,
            "api_key": "any-key",
            **wire,
        }
        async with copilot(None) as client:
            session = await client.create_session(
                model=model, provider=provider, streaming=streaming, on_permission_request=PermissionHandler.approve_all
            )
            assert (await session.send_and_wait("Reply with exactly: hello")).data.content == "hello"
            assert (await session.send_and_wait(SHELL)).data.content == "through the gateway"
    assert simulator.app.cloud.exchanges == 1
