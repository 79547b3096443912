"""The Copilot API as a backend, over real sockets with the simulated cloud: what it promises to the facade and the gateway alike."""

import asyncio
import contextlib
import json

import pytest

from rightseat.accounts.file_accounts import FileAccounts
from rightseat.accounts.store import Account, FileStore, MemoryAccounts
from rightseat.backends.base import UpstreamRequest
from rightseat.backends.compatible import CompatibleBackend
from rightseat.backends.copilot import CopilotBackend
from rightseat.chat import ChatRequest, Finish, Image, Message, Meta, TextDelta, ToolSpec, Usage
from rightseat.errors import (
    ConfigError,
    ConnectError,
    HttpTimeoutError,
    LoginError,
    NotLoggedInError,
    RightseatError,
    UpstreamError,
)
from rightseat.handler import stack
from rightseat.layers import Queue, QueuePolicy
from rightseat.simulator.app import SimulatorApp
from rightseat.simulator.cloud import Behaviour, Cloud
from rightseat.simulator.faults import Fault
from rightseat.simulator.model import SimulatedModel
from rightseat.simulator.script import Rule, Script, ScriptedError
from rightseat.simulator.server import SimulatorServer
from rightseat.testing import FakeClock
from rightseat.transport.http.aiohttp import AiohttpSender

TOKEN, MODELS = "/copilot_internal/v2/token", "/models"
ASK = ChatRequest("gpt-4.1", (Message("user", "Reply with exactly: hello there, all of you"),))
BODY = json.dumps({"model": "gpt-4.1", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()


class World:
    """A simulated cloud, and a backend that asks it."""

    def __init__(self, app: SimulatorApp, backend: CopilotBackend, sender: AiohttpSender, clock: FakeClock) -> None:
        self.app, self.backend, self.sender, self.clock = app, backend, sender, clock
        self.url = app.url

    def asked(self, path: str = "/chat/completions") -> int:
        return sum(seen.path == path for seen in self.app.seen)


@pytest.fixture
async def world():
    async with contextlib.AsyncExitStack() as stack:

        async def start(*, store=None, behaviour=None, **options) -> World:
            app = SimulatorApp(SimulatedModel(**{"pace": 0, **options}), cloud=Cloud(Behaviour(**(behaviour or {}))))
            server = await stack.enter_async_context(SimulatorServer(app))
            sender = await stack.enter_async_context(AiohttpSender())
            clock = FakeClock()
            store = store or MemoryAccounts(Account("ann", "gho_x", host=server.url))
            backend = CopilotBackend(store, sender, clock=clock)
            stack.push_async_callback(backend.aclose)
            return World(app, backend, sender, clock)

        yield start


def post(**meta) -> UpstreamRequest:
    return UpstreamRequest("/chat/completions", BODY, "gpt-4.1", stream=True, meta=Meta(**meta))


async def read(answer) -> bytes:
    async with answer:
        return b"".join([piece async for piece in answer])


# What goes out, and who decides it.


async def test_who_asks_decides_the_headers_and_the_bytes_pass(world):
    w = await world()
    sent = []
    meta = Meta(
        initiator="agent", request_id="request-1", headers={"anthropic-beta": "x"}, on_sent=lambda: sent.append(1)
    )
    answer = await w.backend.relay(UpstreamRequest("/chat/completions", BODY, "gpt-4.1", vision=True, meta=meta))
    assert answer.account.startswith("ann@")
    assert b"data: " in await read(answer)
    seen = w.app.seen[-1]
    assert seen.body == BODY
    wanted = {
        "x-initiator": "agent",
        "x-request-id": "request-1",
        "anthropic-beta": "x",
        "copilot-vision-request": "true",
    }
    assert wanted.items() <= seen.headers.items()
    assert sent == [1]


@pytest.mark.parametrize(
    ("messages", "more", "initiator", "intent", "vision"),
    [
        ((Message("user", "hi"),), {}, "user", "conversation-panel", False),
        ((Message("user", "hi"), Message("assistant", "yo")), {}, "agent", "conversation-panel", False),
        ((Message("user", "hi"),), {"tools": (ToolSpec("t"),)}, "user", "conversation-agent", False),
        ((Message("user", "hi"),), {"meta": Meta(initiator="agent")}, "agent", "conversation-panel", False),
        (
            (Message("user", parts=("look", Image("data:image/png;base64,AA=="))),),
            {},
            "user",
            "conversation-panel",
            True,
        ),
    ],
)
async def test_a_chat_request_decides_for_itself_unless_somebody_has(world, messages, more, initiator, intent, vision):
    w = await world()
    async with await w.backend.handle(ChatRequest("gpt-4.1", messages, **more)) as reply:
        assert [type(event) async for event in reply][-1] is Finish
    headers = w.app.seen[-1].headers
    assert (headers["x-initiator"], headers["openai-intent"]) == (initiator, intent)
    assert ("copilot-vision-request" in headers) is vision


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5.3-codex", "claude-sonnet-4.5"])
async def test_an_answer_tells_what_it_used_and_whether_that_is_final(world, model):
    w = await world(script=Script([Rule(when="cut", fault=Fault(cut=6000), text="word " * 2000)]))
    async with await w.backend.handle(ChatRequest(model, ASK.messages)) as reply:
        assert (reply.usage, reply.is_final, reply.received) == (None, False, 0)
        events = [event async for event in reply]
        said = "".join(event.text for event in events if type(event) is TextDelta)
        assert said == "hello there, all of you"
        assert reply.usage == next(event for event in events if type(event) is Usage)
        assert reply.is_final
        assert reply.received == -(-len(said) // 4)
        assert reply.account.startswith("ann@")
    async with await w.backend.handle(ChatRequest(model, (Message("user", "cut it"),))) as reply:
        with pytest.raises(UpstreamError, match="stream disconnected before completion") as caught:
            async for _ in reply:
                pass
        assert (reply.is_final, reply.received > 1, caught.value.reached) == (False, True, True)
        if model.startswith("claude"):  # its first event tells what was read
            assert reply.usage.input_tokens > 0


# What is wrong, and whether it may have cost something.


async def test_every_error_says_whether_anything_was_sent(world):
    script = Script([Rule(when="hi", error=ScriptedError(400, "no"))])
    for behaviour, url, kind, reached in (
        ({}, None, UpstreamError, True),
        ({"refuse_exchange": "no_copilot_access"}, None, LoginError, False),
        ({"fail_exchange": 5}, None, UpstreamError, False),
        ({}, "http://127.0.0.1:9", ConnectError, False),
    ):
        store = MemoryAccounts(Account("ann", "gho_x", host=url)) if url else None
        w = await world(behaviour=behaviour, script=script, store=store)
        sent = []
        with pytest.raises(kind) as caught:
            await w.backend.relay(post(on_sent=lambda sent=sent: sent.append(1)))
        assert (caught.value.reached, bool(sent)) == (reached, reached)
    w = await world(store=MemoryAccounts())
    with pytest.raises(NotLoggedInError) as caught:
        await w.backend.relay(post())
    assert not caught.value.reached


async def test_errors_for_clients_name_no_account_and_no_address(world):
    w = await world(behaviour={"fail_exchange": 5})
    with pytest.raises(UpstreamError) as caught:
        await w.backend.relay(post())
    assert "ann" in str(caught.value)
    assert "ann" not in caught.value.public
    w = await world(store=MemoryAccounts(Account("ann", "gho_x", host="http://127.0.0.1:9")))
    with pytest.raises(ConnectError) as lost:
        await w.backend.relay(post())
    assert ("127.0.0.1" in str(lost.value), lost.value.public) == (True, "could not reach GitHub")


async def test_a_token_that_was_refused_is_renewed_once_and_the_request_sent_again(world):
    w = await world()
    await read(await w.backend.relay(post()))
    w.app.cloud.revoke_all()
    sent = []
    await read(await w.backend.relay(post(on_sent=lambda: sent.append(1))))
    assert (w.asked(), len(sent), w.app.cloud.exchanges) == (3, 2, 2)


# Small calls have short limits, and the last good value serves meanwhile.


async def test_a_stale_list_serves_while_a_new_one_does_not_come(world):
    w = await world()
    first = await w.backend.models()
    w.app.cloud.behaviour.hang = (MODELS,)
    w.clock.advance(601)
    async with asyncio.timeout(1):
        for _ in range(20):
            assert (await w.backend.models()).models == first.models
    while w.asked(MODELS) < 2:
        await asyncio.sleep(0.01)
    assert (await w.backend.models()).models == first.models
    assert w.asked(MODELS) == 2  # one fetch in the background, however many ask


async def test_a_first_list_that_does_not_come_does_not_keep_the_others(world, monkeypatch):
    monkeypatch.setattr("rightseat.backends.catalogue.FIRST_SECONDS", 0.05)
    async with SimulatorServer(SimulatorApp(SimulatedModel(pace=0), cloud=Cloud(Behaviour(hang=(TOKEN,))))) as hanging:
        w = await world()
        store = MemoryAccounts(Account("ann", "gho_x", host=w.url), Account("bob", "gho_y", host=hanging.url))
        backend = CopilotBackend(store, w.sender)
        async with asyncio.timeout(2):
            assert "gpt-5" in (await backend.models()).models
        await backend.aclose()


@pytest.mark.parametrize("path", [TOKEN, MODELS])
async def test_a_small_call_that_is_not_answered_ends_soon(world, monkeypatch, path):
    """15 seconds in real life, not the ten minutes that a model may think."""
    from rightseat.transport.http.base import SMALL, USUAL, Timeouts

    assert (SMALL.connect, SMALL.whole, USUAL.head) == (5.0, 15.0, 600.0)
    short = Timeouts(whole=0.1)
    for place in ("rightseat.accounts.tokens", "rightseat.backends.copilot"):
        monkeypatch.setattr(f"{place}.SMALL", short)
    w = await world(behaviour={"hang": (path,)})
    with pytest.raises(HttpTimeoutError):
        await w.backend.models()


async def test_leaving_during_an_exchange_leaves_it_to_the_others_and_sends_nothing(world):
    w = await world(behaviour={"hang": (TOKEN,)})
    first, second = (asyncio.ensure_future(w.backend.relay(post())) for _ in range(2))
    while w.asked(TOKEN) == 0:
        await asyncio.sleep(0.01)
    for task in (first, second):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 1)
    assert (w.asked(TOKEN), w.asked()) == (1, 0)
    assert [candidate.load for _, candidate in w.backend.accounts()] == [0]


@pytest.mark.parametrize("how", ["cancelled", "closed unread", "closed in the middle", "read"])
async def test_an_answer_counts_as_load_until_it_is_over(world, how):
    w = await world(pace=0 if how == "read" else 5)
    await w.backend.look()
    ((_, candidate),) = w.backend.accounts()
    asking = asyncio.ensure_future(w.backend.relay(post()))
    if how == "cancelled":
        while not candidate.load:
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    else:
        answer = await asking
        assert candidate.load == 1
        if how == "closed in the middle":
            await anext(aiter(answer))
        if how == "read":
            await read(answer)
        await answer.aclose()
        await answer.aclose()
    assert candidate.load == 0


# Readiness.


async def test_ready_means_that_a_request_would_be_served(world):
    w = await world()
    assert (await w.backend.readiness()).reasons == ()
    asked = len(w.app.seen)
    for _ in range(10):
        assert (await w.backend.readiness()).reasons == ()
    assert len(w.app.seen) == asked  # it has answered just now
    w.clock.advance(31)
    assert (await w.backend.readiness()).reasons == ()
    assert len(w.app.seen) == asked + 1


@pytest.mark.parametrize(
    ("behaviour", "account", "public"),
    [
        ({"refuse_exchange": "no_copilot_access"}, {}, "no Copilot token (no_copilot_access)"),
        ({"fail_exchange": 9}, {}, "no Copilot token at the moment"),
        ({"hang": (TOKEN,)}, {}, "did not answer in time"),
        ({"hang": (MODELS,)}, {}, "did not answer in time"),
        ({}, {"host": "http://127.0.0.1:9"}, "could not reach GitHub"),
        ({}, {"base_url": "http://127.0.0.1:9"}, "could not reach Copilot"),
    ],
    ids=["refused", "failing", "exchange hangs", "Copilot hangs", "GitHub is away", "Copilot is away"],
)
async def test_not_ready_says_why_within_seconds(world, monkeypatch, behaviour, account, public):
    monkeypatch.setattr("rightseat.backends.readiness.WITHIN_SECONDS", 0.5)
    w = await world(behaviour=behaviour)
    store = MemoryAccounts(Account("ann", "gho_x", **{"host": w.url, **account}))
    backend = CopilotBackend(store, w.sender)
    async with asyncio.timeout(3):
        results = await asyncio.gather(*(backend.readiness() for _ in range(20)))
    await backend.aclose()
    assert all(result == results[0] for result in results)
    assert public in results[0].public[0]
    assert "ann" in results[0].reasons[0]
    for text in results[0].public:
        assert "ann" not in text
        assert "127.0.0.1" not in text
    assert w.asked(TOKEN) <= 1


async def test_without_an_account_or_with_all_cooling_down_nothing_is_ready(world):
    w = await world(store=MemoryAccounts())
    assert (await w.backend.readiness()).public == ("no account: run `rightseat login`",)
    error = ScriptedError(429, "slow down", "user_global_rate_limited:pro", 600)
    w = await world(script=Script([Rule(error=error)]))
    with pytest.raises(UpstreamError):
        await w.backend.relay(post())
    told = await w.backend.readiness()
    assert told.public == ("every account is cooling down",)
    assert "is cooling down for 600 s: user_global_rate_limited:pro" in told.reasons[0]


async def test_one_account_that_serves_is_enough(world):
    w = await world()
    store = MemoryAccounts(Account("ann", "gho_x", host="http://127.0.0.1:9"), Account("bob", "gho_y", host=w.url))
    backend = CopilotBackend(store, w.sender)
    assert (await backend.readiness()).reasons == ()
    await backend.aclose()


# The store of accounts.


async def test_a_home_that_cannot_be_written_is_said_and_tokens_live_in_memory(world, tmp_path, monkeypatch, caplog):
    w = await world()
    store = FileStore(tmp_path)
    store.save(Account("ann", "gho_x", host=w.url))

    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.mkstemp", read_only)
    monkeypatch.setattr("rightseat.accounts.store.os.open", read_only)
    backend = CopilotBackend(FileAccounts(store), w.sender)
    for _ in range(3):
        await read(await backend.relay(post()))
        w.app.cloud.revoke_all()
    told = await backend.readiness()
    await backend.aclose()
    assert told.reasons == ()
    assert "Read-only file system" in told.problems[0]
    assert told.public_problems == ("accounts cannot be saved",)
    assert caplog.text.count("Read-only file system") == 1


async def test_an_account_whose_token_cannot_be_had_gives_way(world):
    """Also without a refusal: GitHub is away, or has trouble."""
    w = await world()
    store = MemoryAccounts(Account("ann", "gho_x", host="http://127.0.0.1:9"), Account("bob", "gho_y", host=w.url))
    backend = CopilotBackend(store, w.sender)
    for _ in range(3):
        answer = await backend.relay(post())
        assert answer.account.startswith("bob@")
        await read(answer)
    await backend.aclose()


# A server that speaks OpenAI's dialect.


async def test_a_compatible_server_relays_lists_and_answers(world):
    w = await world()
    backend = CompatibleBackend(w.sender, f"{w.url}/v1", "any")
    assert b"data: " in await read(await backend.relay(post(request_id="request-1", conversation="c")))
    assert {"x-request-id": "request-1", "x-session-id": "c"}.items() <= w.app.seen[-1].headers.items()
    assert "gpt-4.1" in (await backend.models()).models
    async with await backend.handle(ASK) as reply:
        assert "".join([e.text async for e in reply if type(e) is TextDelta]) == "hello there, all of you"
        assert reply.is_final
    assert (await backend.readiness()).reasons == ()
    fixed = CompatibleBackend(w.sender, w.url, models=("one", "two"))
    assert list((await fixed.models()).models) == ["one", "two"]
    away = CompatibleBackend(w.sender, "http://127.0.0.1:9")
    told = await away.readiness()
    assert (told.public, "127.0.0.1:9" in told.reasons[0]) == (("could not reach the server",), True)
    with pytest.raises(RightseatError) as caught:
        await away.relay(post())
    assert not caught.value.reached
    for one in (backend, fixed, away):
        await one.aclose()


async def test_an_address_of_another_service_gets_no_key(world):
    w = await world()
    with pytest.raises(ConfigError, match="base_url"):
        CompatibleBackend(w.sender, "https://chatgpt.example/backend-api/codex", "key")


async def test_leaving_the_queue_sends_nothing_and_gives_the_place_to_the_next(world):
    w = await world(pace=5)
    ask = stack(Queue(policy=QueuePolicy(concurrency=1)))(w.backend.relay)
    first = await ask(post())
    waiting, next_one = (asyncio.ensure_future(ask(post())) for _ in range(2))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 1)
    assert w.asked() == 1
    await first.aclose()
    await (await asyncio.wait_for(next_one, 2)).aclose()
    assert w.asked() == 2
