"""Another model instead of none, and fewer calls instead of more refusals."""

import random

import pytest

from rightseat import InvalidOptionError
from rightseat.chat import ChatRequest, Message, Meta
from rightseat.errors import CircuitOpenError, ContextTooLargeError, OverloadedError, UpstreamError
from rightseat.layers import Fallback, Shed, ShedPolicy, Throttle
from rightseat.testing import FakeClock, ScriptedHandler

DOWN = UpstreamError(503, "down")


def ask(model: str = "gpt-5", priority: int = 0) -> ChatRequest:
    return ChatRequest(model, (Message("user", "hi"),), meta=Meta(priority=priority))


def by_model(errors: dict):
    upstream = ScriptedHandler(default=lambda request: errors.get(request.model, "fine"))
    return upstream, lambda: [request.model for request in upstream.calls]


@pytest.mark.parametrize("error", [DOWN, CircuitOpenError("gpt-5", 1.0), OverloadedError("shed")])
async def test_the_next_model_is_asked(error):
    told = []
    upstream, asked = by_model({"gpt-5": error, "gpt-4.1": DOWN})
    layer = Fallback(fallbacks={"gpt-5": ["gpt-4.1", "gpt-4o"]}, on_fallback=lambda *what: told.append(what[:2]))
    async with await layer(upstream)(ask()):
        pass
    assert asked() == ["gpt-5", "gpt-4.1", "gpt-4o"]
    assert told == [("gpt-5", "gpt-4.1"), ("gpt-4.1", "gpt-4o")]


@pytest.mark.parametrize("error", [UpstreamError(400, "bad"), UpstreamError(401, "who"), ContextTooLargeError(9, 5)])
async def test_not_for_what_the_caller_did_wrong(error):
    upstream, asked = by_model({"gpt-5": error})
    with pytest.raises(type(error)):
        await Fallback(fallbacks={"gpt-5": ["gpt-4.1"]})(upstream)(ask())
    assert asked() == ["gpt-5"]


async def test_the_last_error_is_raised_and_models_without_fallback_are_left_alone():
    upstream, asked = by_model({"gpt-5": DOWN, "gpt-4.1": UpstreamError(500, "too"), "other": DOWN})
    handler = Fallback(fallbacks={"gpt-5": ["gpt-4.1"]})(upstream)
    with pytest.raises(UpstreamError, match="too"):
        await handler(ask())
    with pytest.raises(UpstreamError, match="down"):
        await handler(ask("other"))
    assert asked() == ["gpt-5", "gpt-4.1", "other"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"fallbacks": {"a": ["b"], "b": ["a"]}}, "leads back to 'a'"),
        ({"fallbacks": {"a": ["b"], "b": ["c"], "c": ["a"]}}, "leads back to 'a'"),
        ({"fallbacks": {"a": ["a"]}}, "names a model twice"),
        ({"fallbacks": {"a": ["b", "b"]}}, "names a model twice"),
        ({"fallbacks": {"a": "b"}}, "must be a list"),
        ({"fallbacks": {"a": ["b"]}, "models": {"a"}}, "there is no model 'b'"),
        ({"fallbacks": {"x": ["a"]}, "models": {"a"}}, "there is no model 'x'"),
    ],
)
def test_lists_that_make_no_sense_are_refused_by_name(options, said):
    with pytest.raises(InvalidOptionError, match=r"^fallbacks\['[abx]'\]: ") as caught:
        Fallback(**options)
    assert said in str(caught.value)


async def test_what_is_refused_mostly_is_asked_less_and_the_urgent_get_through():
    clock, chance = FakeClock(), random.Random(5)
    layer = Shed(clock=clock, chance=chance.random, throttle=Throttle(ShedPolicy(k=1.5)))
    upstream = ScriptedHandler(default=lambda _: "ok" if chance.random() < 0.25 else UpstreamError(429, "no"))
    handler = layer(upstream)
    outcomes = {0: [0, 0], 3: [0, 0]}  # priority -> asked upstream, shed
    for i in range(4000):
        clock.advance(0.01)
        priority = 3 if i % 10 == 0 else 0
        try:
            await handler(ask(priority=priority))
            outcomes[priority][0] += 1
        except UpstreamError:
            outcomes[priority][0] += 1
        except OverloadedError as e:
            assert e.retry_after
            outcomes[priority][1] += 1
    usual, urgent = outcomes[0], outcomes[3]
    assert usual[1] > usual[0]  # most of the usual are shed
    assert urgent[1] < urgent[0] / 4  # few of the urgent


async def test_nothing_is_shed_while_most_is_accepted_and_again_soon_after():
    clock = FakeClock()
    throttle = Throttle(ShedPolicy(k=2, window_seconds=120))
    for i in range(1000):
        clock.advance(0.05)
        throttle.asked(0, clock.now(), accepted=i % 2 == 0)
    assert throttle.chance(0, clock.now()) == 0
    for _ in range(1000):
        throttle.asked(0, clock.now(), accepted=False)
    assert throttle.chance(0, clock.now()) > 0.3
    for priority in (-2, 2):
        for i in range(2000):
            throttle.asked(priority, clock.now(), accepted=i % 4 == 0)
    assert throttle.chance(-2, clock.now()) > throttle.chance(0, clock.now()) > throttle.chance(2, clock.now()) == 0
    clock.advance(121)
    assert throttle.chance(0, clock.now()) == 0
    clock.advance(-5000)  # a clock that jumps back forgets nothing and adds nothing
    assert throttle.chance(0, clock.now()) == 0


@pytest.mark.parametrize(
    ("options", "field"),
    [({"k": 0.5}, "k"), ({"window_seconds": 0}, "window_seconds"), ({"min_calls": 0}, "min_calls")],
)
def test_nonsense_is_refused_by_name(options, field):
    with pytest.raises(InvalidOptionError, match=f"^{field}: "):
        ShedPolicy(**options)
