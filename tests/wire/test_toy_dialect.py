"""A dialect is one value: a fourth one, which nothing in the package knows, is planned for, asked and answered like the others.

The laws of pairs hold for it in test_dialects.
"""

import json

import pytest
from tests.wire.toy import TOY

from rightseat.backends.registry import Model
from rightseat.chat import Finish, TextDelta, Usage, fold
from rightseat.errors import ConnectionLostError
from rightseat.gateway.pipeline.content import Inspection
from rightseat.gateway.pipeline.intake import Taken
from rightseat.gateway.pipeline.plan import Options, Relay, plan
from rightseat.wire import dialects
from rightseat.wire.dialect import Envelope

ANSWER = [TextDelta("hello"), Usage(3, 1), Finish("stop")]
BODIES = {
    "chat": {"messages": [{"role": "user", "content": "hi"}], "seed": 7, "max_tokens": 9},
    "messages": {"messages": [{"role": "user", "content": "hi"}], "top_k": 2, "max_tokens": 9},
    "responses": {"input": "hi", "top_p": 0.5, "max_output_tokens": 9},
    "toy": {"talk": [{"role": "user", "content": "hi"}], "luck": 7, "most": 9},
}
LOST = {"chat": ("seed",), "messages": ("top_k",), "responses": ("top_p",)}


@pytest.fixture
def listed(monkeypatch):
    """The toy is in the list, which is all that registering takes."""
    monkeypatch.setattr(dialects, "ALL", (*dialects.ALL, TOY))


def planned(client, model):
    body = {"model": "m", **BODIES[client.name]}
    return plan(client, Taken(json.dumps(body).encode(), body, model, Inspection({})), Options())


def sent(made):
    """The body that upstream is sent."""
    return made.how.data if isinstance(made.how, Relay) else made.upstream.encode(made.how.request)


@pytest.mark.parametrize("upstream", dialects.ALL, ids=lambda d: d.name)
def test_a_client_that_speaks_it_talks_to_any_model(upstream):
    made = planned(TOY, Model("m", endpoints=(upstream.path,)))
    assert (made.client, made.upstream, made.output_limit, made.began.initiator) == (TOY, upstream, 9, "user")
    assert made.dropped == (() if upstream.name == "chat" else ("luck",))
    assert upstream.decode(json.loads(sent(made))).last_user_text == "hi"


@pytest.mark.parametrize("client", dialects.ALL, ids=lambda d: d.name)
def test_a_model_that_speaks_it_is_asked_by_any_client(client, listed):
    made = planned(client, Model("m", endpoints=(TOY.path,)))
    assert made.upstream is TOY
    assert json.loads(sent(made))["most"] == 9
    assert made.dropped == LOST[client.name]
    encoder = client.encoder(Envelope("m", made.body, made.how.request))
    upstream = TOY.encoder(Envelope("m"))
    arrived = TOY.reader().feed(upstream.start() + b"".join(map(upstream.encode, ANSWER)))
    stream = encoder.start() + b"".join(map(encoder.encode, arrived)) + encoder.end()
    reader = client.reader()
    assert fold([*reader.feed(stream), *reader.feed_eof()]) == fold(ANSWER)


def test_where_both_speak_it_the_bytes_pass(listed):
    body = {"model": "m", **BODIES["toy"], "brand_new": 1}
    raw = json.dumps(body).encode()
    made = plan(TOY, Taken(raw, body, Model("m", endpoints=(TOY.path,)), Inspection({})), Options())
    assert isinstance(made.how, Relay)
    assert (sent(made), made.dropped) == (raw, ())
    assert sent(planned(TOY, Model("m", endpoints=(TOY.path,), max_output_tokens=5))) != raw


def test_its_errors_are_told_in_its_own_form():
    lost = ConnectionLostError("https://10.0.0.1: Cannot write to closing transport")
    assert TOY.error_event(lost) == b'{"oops":"stream disconnected before completion"}\n'
