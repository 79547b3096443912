"""The facade over real servers: the simulated Copilot API, a gateway, and the real CLI."""

import gzip

import pytest

from rightseat import CopilotSDK, LoginError, UpstreamError, define_tool
from rightseat.accounts.store import Account, FileStore
from rightseat.errors import ConnectError
from rightseat.simulator.app import SimulatorApp
from rightseat.simulator.model import SimulatedModel
from rightseat.simulator.script import Rule, Script, ScriptedError
from rightseat.simulator.server import SimulatorServer

HELLO = "Reply with exactly: hello from over there"


@define_tool
def calculate(expression: str) -> str:
    """Compute an arithmetic expression."""
    assert expression == "25 * 4 + 10"
    return "110"


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5", "gpt-5.3-codex", "claude-sonnet-4.5"])
async def test_the_copilot_api_by_github_token_in_every_dialect(simulator, model):
    async with CopilotSDK("gho_token", host=simulator.url, model=model) as sdk:
        session = await sdk.create_session(system="Be brief.", tools=[calculate])
        assert (await session.chat(HELLO)).text == "hello from over there"
        response = await session.chat("What is 25 * 4 + 10? Use the calculate tool.")
        assert "110" in response.text
        assert response.steps == 2
        assert response.usage.input_tokens > 0
        chunks = [c.text async for c in session.stream(HELLO)]
        assert len(chunks) > 2
        assert "".join(chunks) == "hello from over there"
    seen = [s for s in simulator.app.seen if s.method == "POST"]
    assert [s.headers["x-initiator"] for s in seen] == ["user", "user", "agent", "user"]


async def test_a_copilot_token_is_used_as_it_is_and_cannot_be_renewed(simulator):
    _, answer = simulator.app.cloud.exchange("token gho_x", simulator.url)
    exchanges = simulator.app.cloud.exchanges
    async with CopilotSDK(answer["token"], host=simulator.url) as sdk:
        assert (await sdk.chat(HELLO)).text == "hello from over there"
        assert simulator.app.cloud.exchanges == exchanges
        simulator.app.cloud.revoke_all()
        with pytest.raises(LoginError, match="only a GitHub token can renew it"):
            await sdk.chat(HELLO)


async def test_stored_accounts(simulator, tmp_path):
    for name in ("ann", "bob"):
        FileStore(tmp_path).save(Account(name, f"gho_{name}", host=simulator.url))
    stored = [account.name for account in FileStore(tmp_path).list()]
    async with CopilotSDK(home=tmp_path, account=stored[1]) as sdk:
        assert (await sdk.chat(HELLO)).text == "hello from over there"
    assert FileStore(tmp_path).load(stored[0]).access_token == ""
    assert FileStore(tmp_path).load(stored[1]).access_token.startswith("tid=")


async def test_a_gateway_by_its_key(gateway):
    key = "a-key-of-16-chars-or-more"
    served = await gateway(settings={"keys": (key,)})
    for model in ("gpt-5", "claude-sonnet-4.5"):
        async with CopilotSDK(key, base_url=f"{served.url}/v1", model=model) as sdk:
            session = await sdk.create_session(tools=[calculate])
            assert "110" in (await session.chat("What is 25 * 4 + 10? Use the calculate tool.")).text
    async with CopilotSDK("wrong-key", base_url=f"{served.url}/v1") as sdk:
        with pytest.raises(UpstreamError, match="Invalid API key"):
            await sdk.chat("hi")


async def test_large_requests_are_compressed_where_the_server_takes_it(gateway, simulator):
    served = await gateway()
    text = "Reply with exactly: packed. " + "filler words " * 5000
    async with CopilotSDK("any", base_url=f"{served.url}/v1", compression=True) as sdk:
        assert (await sdk.chat(text)).text
    assert len(served.app.seen[-1].body) > 60_000
    async with CopilotSDK("any", base_url=f"{simulator.url}/v1", compression=True) as sdk:  # answers 415
        assert (await sdk.chat(text)).text
        assert (await sdk.chat(text)).text
    encodings = [s.headers.get("content-encoding") for s in simulator.app.seen]
    assert encodings == ["gzip", None, None]
    assert len(gzip.compress(text.encode(), 3)) < len(text) / 20


async def test_errors_of_the_other_side_are_typed():
    script = Script([Rule(when="slow", error=ScriptedError(429, "slow down", "rate_limited", 3600))])
    app = SimulatorApp(SimulatedModel(pace=0, script=script))
    async with SimulatorServer(app) as server, CopilotSDK("gho_x", host=server.url) as sdk:
        with pytest.raises(UpstreamError, match="does not exist"):
            await sdk.chat("hi", model="gpt-99")
        with pytest.raises(UpstreamError) as caught:
            await sdk.chat("slow")
        assert (caught.value.status, caught.value.retry_after) == (429, 3600)
    async with CopilotSDK("key", base_url=server.url, retry=None) as sdk:
        with pytest.raises(ConnectError):
            await sdk.chat("hi")


@pytest.mark.contract
async def test_the_real_cli(simulator, copilot):
    async with copilot(simulator) as client, CopilotSDK(client=client) as sdk:
        session = await sdk.create_session(tools=[calculate])
        chunks = [c.text async for c in session.stream(HELLO)]
        assert len(chunks) > 2
        assert "".join(chunks) == "hello from over there"
        response = await session.chat("What is 25 * 4 + 10? Use the calculate tool.")
        assert "110" in response.text
        assert response.usage.input_tokens > 0
        async with session.stream("Write a very long story, word by word.") as stream:
            async for _ in stream:
                break
        assert (await session.chat(HELLO)).text == "hello from over there"
