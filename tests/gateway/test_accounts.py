"""Several accounts behind one gateway: a refusal moves the request to the next, and only before the answer has begun."""

import openai
import pytest

from rightseat.accounts.store import Account, FileStore
from rightseat.simulator.app import SimulatorApp
from rightseat.simulator.model import SimulatedModel
from rightseat.simulator.script import Rule, Script, ScriptedError
from rightseat.simulator.server import SimulatorServer

HELLO = [{"role": "user", "content": "Reply with exactly: served"}]


@pytest.fixture
async def second(tmp_path):
    """A second account, in a cloud of its own."""
    async with SimulatorServer(SimulatorApp(SimulatedModel(pace=0))) as server:
        FileStore(tmp_path).save(Account("bob", "gho_second", host=server.url))
        yield server


@pytest.mark.parametrize("status", [402, 403, 429])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_refused_request_goes_to_the_next_account(gateway, client, second, status, stream):
    served = await gateway(script=Script([Rule(error=ScriptedError(status, "not me", retry_after=100))]))
    ai = await client(served)
    for number in range(6):
        messages = [{"role": "user", "content": f"Reply with exactly: served {number}"}]
        answer = await ai.chat.completions.create(model="gpt-5", messages=messages, stream=stream)
        if stream:
            text = "".join([c.choices[0].delta.content or "" async for c in answer if c.choices])
        else:
            text = answer.choices[0].message.content
        assert text == f"served {number}"
    asked = [s for s in served.app.seen if s.path == "/chat/completions"]
    assert len(asked) <= 1  # it cools down after the first refusal
    assert len([s for s in second.app.seen if s.path == "/chat/completions"]) == 6


async def test_when_all_cool_down_the_client_hears_how_long(gateway, client):
    served = await gateway(
        script=Script([Rule(error=ScriptedError(429, "slow down", "user_global_rate_limited:pro", retry_after=90))])
    )
    ai = await client(served)
    for _ in range(2):  # the second time nobody is asked, and the words are still those of Copilot
        with pytest.raises(openai.RateLimitError, match="slow down") as caught:
            await ai.chat.completions.create(model="gpt-5", messages=HELLO)
        assert 85 <= int(caught.value.response.headers["retry-after"]) <= 90
    assert len([s for s in served.app.seen if s.path == "/chat/completions"]) == 1


async def test_logging_in_anew_counts_at_once(gateway, client, tmp_path, monkeypatch):
    monkeypatch.setattr("rightseat.accounts.pool.RELOAD_SECONDS", 0.0)
    served = await gateway(behaviour={"refuse_exchange": "subscription_ended"})
    ai = await client(served)
    for _ in range(2):
        with pytest.raises(openai.APIStatusError):
            await ai.chat.completions.create(model="gpt-5", messages=HELLO)
    served.cloud.behaviour.refuse_exchange = None
    FileStore(tmp_path).save(Account("ann", "gho_another", host=served.app.url))
    assert (await ai.chat.completions.create(model="gpt-5", messages=HELLO)).choices[0].message.content == "served"


async def test_an_account_without_copilot_does_not_stop_the_others(gateway, client, second):
    served = await gateway(behaviour={"refuse_exchange": "no_copilot_access"})
    ai = await client(served)
    for _ in range(3):
        assert (await ai.chat.completions.create(model="gpt-5", messages=HELLO)).choices[0].message.content == "served"
