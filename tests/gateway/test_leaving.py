"""One notion of "gone": a client that leaves in any state ends what runs for it, upstream too, within a second, and is noted as 499."""

import asyncio
import json

import aiohttp
import pytest

from rightseat.chat import Finish, Reply, TextDelta


@pytest.fixture(params=["core+direct", "uvicorn+aiohttp"])
def http_server(request):
    """Each promise is kept by both servers."""
    return request.param


KEY = "management-key-0123456789"
DIALECTS = {
    "/v1/chat/completions": ("gpt-4.1", {"messages": [{"role": "user", "content": "hello"}]}),
    "/v1/messages": ("claude-sonnet-4.5", {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}),
    "/v1/responses": ("gpt-5", {"input": "hello"}),
}
# A model that does not speak the client's dialect: the answer is written anew.
TRANSLATED = {"/v1/chat/completions": "claude-opus-4.5", "/v1/messages": "gpt-5.3-codex", "/v1/responses": "gpt-4.1"}


class Hanging:
    """A model that never comes to its end.

    Attributes:
        began: it was asked. ended: whoever asked is gone.
    """

    def __init__(self, *, head: bool, words: int = 0) -> None:
        self.began, self.said, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._head, self._words = head, words

    async def __call__(self, _):
        self.began.set()
        if not self._head:
            await self._forever()
        return Reply(self._events())

    async def _events(self):
        for i in range(self._words):
            yield TextDelta(f"word{i} ")
        self.said.set()
        await self._forever()
        yield Finish("stop")

    async def _forever(self):
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def ask(http, served, path, model, *, stream):
    body = {"model": model, "stream": stream, **DIALECTS[path][1]}
    async with http.post(f"{served.url}{path}", json=body) as response:
        return response.status, await response.read()


async def listed(http, served):
    headers = {"authorization": f"Bearer {KEY}"}
    async with http.get(f"{served.url}/v0/management/requests", headers=headers) as response:
        return (await response.json())["requests"]


async def outcome(http, served, **wanted):
    """The last request that is over, once there is one that fits."""
    async with asyncio.timeout(5):
        while True:
            for one in await listed(http, served):
                if not one["under_way"] and all(one[name] == value for name, value in wanted.items()):
                    return one
            await asyncio.sleep(0.02)


async def left(http, served, model, task):
    """The client leaves; upstream notices within a second."""
    task.cancel()
    async with asyncio.timeout(1.0):
        await model.ended.wait()
    record = await outcome(http, served, status=499)
    async with http.get(f"{served.url}/metrics", headers={"authorization": f"Bearer {KEY}"}) as response:
        assert 'status="499"' in await response.text()
    return record


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("translated", [False, True], ids=["relay", "converse"])
@pytest.mark.parametrize("path", DIALECTS)
async def test_leaving_before_the_head_ends_upstream_within_a_second(gateway, http, path, translated, stream):
    model = Hanging(head=False)
    served = await gateway(model=model, settings={"management_key": KEY}, extra_models=())
    name = TRANSLATED[path] if translated else DIALECTS[path][0]
    name = name if name in await names(http, served) else DIALECTS[path][0]
    task = asyncio.ensure_future(ask(http, served, path, name, stream=stream))
    await model.began.wait()
    record = await left(http, served, model, task)
    assert record["route"] in ("chat", "messages", "responses")


async def names(http, served):
    async with http.get(f"{served.url}/v1/models") as response:
        return [one["id"] for one in (await response.json())["data"]]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("path", DIALECTS)
async def test_leaving_in_the_middle_of_an_answer_ends_upstream_within_a_second(gateway, http, path, stream):
    model = Hanging(head=True, words=5)
    served = await gateway(model=model, settings={"management_key": KEY})
    task = asyncio.ensure_future(ask(http, served, path, DIALECTS[path][0], stream=stream))
    await model.said.wait()
    await left(http, served, model, task)


async def test_leaving_while_waiting_in_the_queue_frees_the_place(gateway, http):
    model = Hanging(head=False)
    served = await gateway(model=model, settings={"management_key": KEY, "concurrency": 1, "queue_seconds": 60})
    path, name = "/v1/chat/completions", "gpt-4.1"
    first = asyncio.ensure_future(ask(http, served, path, name, stream=False))
    await model.began.wait()
    second = asyncio.ensure_future(ask(http, served, path, name, stream=False))
    async with asyncio.timeout(5):
        while (await overview(http, served))["resilience"]["waiting"] != 1:
            await asyncio.sleep(0.02)
    second.cancel()
    async with asyncio.timeout(1.5):
        while (await overview(http, served))["resilience"]["waiting"] != 0:
            await asyncio.sleep(0.02)
    await outcome(http, served, status=499)
    await left(http, served, model, first)
    assert (await overview(http, served))["resilience"]["running"] == 0


async def overview(http, served):
    headers = {"authorization": f"Bearer {KEY}"}
    async with http.get(f"{served.url}/v0/management/overview", headers=headers) as response:
        return await response.json()


async def test_leaving_while_the_token_is_renewed_is_noticed(gateway, http):
    served = await gateway(settings={"management_key": KEY}, behaviour={"hang": ("/copilot_internal/v2/token",)})
    task = asyncio.ensure_future(ask(http, served, "/v1/chat/completions", "gpt-4.1", stream=True))
    async with asyncio.timeout(5):
        while not any(one.path == "/copilot_internal/v2/token" for one in served.app.seen):
            await asyncio.sleep(0.02)
    task.cancel()
    record = await outcome(http, served, status=499)
    assert record["seconds"] < 5


async def test_one_client_that_leaves_starves_nobody(gateway, http):
    """`concurrency=1` and one `curl -m 1`: the next one is served."""
    model = Hanging(head=False)
    served = await gateway(model=model, settings={"management_key": KEY, "concurrency": 1})
    task = asyncio.ensure_future(ask(http, served, "/v1/chat/completions", "gpt-4.1", stream=False))
    await model.began.wait()
    await left(http, served, model, task)
    model.began.clear()
    again = asyncio.ensure_future(ask(http, served, "/v1/chat/completions", "gpt-4.1", stream=False))
    async with asyncio.timeout(2):
        await model.began.wait()
    again.cancel()


async def test_leaving_in_the_middle_of_ones_own_body_is_noted(gateway, http):
    served = await gateway(settings={"management_key": KEY})
    host, port = served.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"content-length: 1000\r\n\r\n" + json.dumps({"model": "gpt-4.1"}).encode()[:10]
    )
    await writer.drain()
    async with asyncio.timeout(5):
        while not any(one["under_way"] for one in await listed(http, served)):
            await asyncio.sleep(0.02)
    writer.close()
    record = await outcome(http, served, status=499)
    assert record["route"] == "chat"
