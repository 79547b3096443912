"""Several accounts behind one gateway: a refusal moves the request to the next, and only before the answer has begun."""

import aiohttp
import openai
import pytest

from rightseat.accounts.store import Account, FileStore
from rightseat.simulator.app import SimulatorApp
from rightseat.simulator.model import SimulatedError, SimulatedModel
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


def refusing(refuse):
    """A model that refuses as `refuse(request)` says, and what it was asked."""
    answers, asked = SimulatedModel(pace=0), []

    async def model(request):
        asked.append(request)
        if (error := refuse(request)) is not None:
            raise SimulatedError(error)
        return await answers(request)

    return model, asked


@pytest.mark.parametrize("status", [402, 429])
async def test_what_one_model_was_refused_for_leaves_the_others_alone(gateway, client, status):
    """Used up or too often asked: that model waits, as long as the server said and in its words; included models go on."""
    error = ScriptedError(status, "you have used up your premium requests", "quota_exceeded", retry_after=1800)
    model, asked = refusing(lambda request: error if request.model == "gpt-5" else None)
    ai = await client(await gateway(model=model))
    for _ in range(2):
        with pytest.raises(openai.APIStatusError, match="used up your premium requests") as caught:
            await ai.chat.completions.create(model="gpt-5", messages=HELLO)
        assert (caught.value.status_code, caught.value.code) == (status, "quota_exceeded")
        assert 1790 <= int(caught.value.response.headers["retry-after"]) <= 1800
        done = await ai.chat.completions.create(model="gpt-4.1", messages=HELLO)
        assert done.choices[0].message.content == "served"
    assert len([request for request in asked if request.model == "gpt-5"]) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "content_policy"), (403, None), (400, "bad"), (500, None), (503, "overloaded"), (422, None)],
)
async def test_what_one_key_provokes_never_counts_against_another(gateway, client, status, code):
    error = ScriptedError(status, "provoked", code)
    model, _ = refusing(lambda request: error if "provoke" in request.last_user_text else None)
    keys = ("the-first-key-0123456789", "the-other-key-0123456789")
    served = await gateway(model=model, settings={"keys": keys, "attempts": 1})
    hostile, other = [await client(served, api_key=key) for key in keys]
    for _ in range(25):
        with pytest.raises(openai.APIStatusError):
            await hostile.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "provoke"}])
        done = await other.chat.completions.create(model="gpt-5", messages=HELLO)
        assert done.choices[0].message.content == "served"


async def test_a_stranger_is_told_no_account_and_no_address(gateway, client):
    """Errors and readiness are in our words; names, addresses and the library's words are in the log."""
    served = await gateway(behaviour={"refuse_exchange": "no_copilot_access"})
    ai = await client(served)
    told = []
    for _ in range(2):
        with pytest.raises(openai.APIStatusError) as caught:
            await ai.chat.completions.create(model="gpt-5", messages=HELLO)
        told.append(caught.value.response.text)
    async with aiohttp.ClientSession() as http, http.get(f"{served.url}/readyz") as response:
        assert response.status == 503
        told.append(await response.text())
    for text in told:
        assert "ann" not in text
        assert "127.0.0.1" not in text
    assert "no_copilot_access" in told[0]


async def test_a_damaged_account_file_stops_nobody(gateway, client, tmp_path, caplog):
    served = await gateway(settings={"management_key": "management-key-0123456789"})
    (tmp_path / "accounts" / "zoe.json").write_text('{"login": "zoe"')
    ai = await client(served)
    assert (await ai.chat.completions.create(model="gpt-5", messages=HELLO)).choices[0].message.content == "served"
    headers = {"authorization": "Bearer management-key-0123456789"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.get(f"{served.url}/v0/management/accounts") as response,
    ):
        (problem,) = (await response.json())["problems"]
    assert "zoe.json" in problem
    assert caplog.text.count("zoe.json") == 1
