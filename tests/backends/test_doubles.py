"""A handler as a backend: whoever asks cannot tell it from one for real use."""

import json

import pytest

from rightseat.backends.base import Backend, UpstreamRequest
from rightseat.chat import ChatRequest, Message, Meta, TextDelta, Usage
from rightseat.errors import UpstreamError
from rightseat.testing import HandlerBackend, ScriptedHandler
from rightseat.wire import dialects

BODIES = {
    "chat": {"model": "gpt-5", "messages": [{"role": "user", "content": "hi"}]},
    "messages": {"model": "gpt-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"model": "gpt-5", "input": "hi"},
}


@pytest.mark.parametrize("dialect", dialects.ALL, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("stream", [True, False])
async def test_it_relays_in_every_dialect(dialect, stream):
    handler = ScriptedHandler(default=["one ", "two", Usage(7, 2)])
    backend: Backend = HandlerBackend(handler)
    sent = []
    body = json.dumps({**BODIES[dialect.name], "stream": stream}).encode()
    meta = Meta(request_id="r", on_sent=lambda: sent.append(1))
    answer = await backend.relay(UpstreamRequest(dialect.path, body, "gpt-5", stream=stream, meta=meta))
    async with answer:
        data = await answer.read()
    assert (answer.is_stream, answer.is_json) == (stream, not stream)
    if stream:
        reader = dialect.reader()
        events = [*reader.feed(data), *reader.feed_eof()]
        assert reader.complete
    else:
        assert dialect.check_whole(data).output_tokens == 2
        events = dialect.read_whole(json.loads(data))
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "one two"
    assert (sent, handler.calls[0].meta.request_id, handler.open) == ([1], "r", 0)


async def test_it_answers_lists_and_is_ready():
    backend = HandlerBackend(lambda request: f"you said {request.last_user_text}", models=("one",))
    async with await backend.handle(ChatRequest("one", (Message("user", "hi"),))) as reply:
        assert "".join([e.text async for e in reply if isinstance(e, TextDelta)]) == "you said hi"
    assert list((await backend.models()).models) == ["one"]
    assert (await backend.readiness()).reasons == ()
    await backend.aclose()


async def test_errors_pass_as_they_would_from_upstream():
    backend = HandlerBackend(ScriptedHandler(default=UpstreamError(503, "down")))
    with pytest.raises(UpstreamError, match="down") as caught:
        await backend.relay(UpstreamRequest("/chat/completions", json.dumps(BODIES["chat"]).encode(), "gpt-5"))
    assert caught.value.reached
    with pytest.raises(UpstreamError, match="nothing is served") as caught:
        await backend.relay(UpstreamRequest("/embeddings", b"{}", "gpt-5"))
    assert caught.value.status == 404
