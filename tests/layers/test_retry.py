"""Trying again: what for, how long after, and how much of it."""

import random

import msgspec
import pytest

from rightseat import ConnectError, InvalidOptionError, ProtocolError
from rightseat.chat import ChatRequest, Message, Meta
from rightseat.errors import CircuitOpenError, ContextTooLargeError, UpstreamError
from rightseat.layers import Backoff, Budget, CallerBudgets, Retry
from rightseat.testing import FakeClock, ScriptedHandler

ASK = ChatRequest("gpt-5", (Message("user", "hi"),))


def passing(status: int = 503, after: float | None = None) -> UpstreamError:
    return UpstreamError(status, "busy", retry_after=after)


async def said(handler, request: ChatRequest = ASK) -> str:
    async with await handler(request) as reply:
        return "".join([event.text async for event in reply if hasattr(event, "text")])


def retry(**options) -> tuple[Retry, FakeClock]:
    clock = FakeClock()
    return Retry(clock=clock, chance=lambda: 1.0, **options), clock


@pytest.mark.parametrize("error", [passing(s) for s in (408, 429, 500, 502, 503, 504, 529)] + [ConnectError("nobody")])
async def test_what_may_pass_is_tried_again(error):
    layer, clock = retry()
    upstream = ScriptedHandler(sequence=[error, error, "hello"])
    assert await said(layer(upstream)) == "hello"
    assert clock.slept == [0.5, 1.0]


@pytest.mark.parametrize(
    "error",
    [passing(s) for s in (400, 401, 402, 403, 404, 413, 422, 466)]
    + [CircuitOpenError("gpt-5", 3.0), ContextTooLargeError(9, 5), ProtocolError("odd"), ValueError("ours")],
)
async def test_what_is_the_callers_fault_or_was_declined_is_not(error):
    layer, clock = retry()
    upstream = ScriptedHandler(sequence=[error, "hello"])
    with pytest.raises(type(error)):
        await layer(upstream)(ASK)
    assert len(upstream.calls) == 1
    assert clock.slept == []


async def test_the_last_error_is_the_one_that_is_raised():
    layer, _ = retry()
    with pytest.raises(UpstreamError, match="third"):
        await layer(ScriptedHandler(sequence=[passing(), passing(), UpstreamError(500, "third")]))(ASK)


async def test_a_stream_that_has_begun_is_never_asked_for_again():
    layer, _ = retry()
    upstream = ScriptedHandler(sequence=[["one ", passing()], "never"])
    with pytest.raises(UpstreamError):
        await said(layer(upstream))
    assert len(upstream.calls) == 1


async def test_the_servers_wish_is_kept_and_a_wish_too_long_ends_it():
    layer, clock = retry()
    assert await said(layer(ScriptedHandler(sequence=[passing(429, 7.0), "hello"]))) == "hello"
    assert clock.slept == [7.05]  # a little more than asked, never less
    with pytest.raises(UpstreamError):
        await layer(ScriptedHandler(sequence=[passing(429, 3600.0), "never"]))(ASK)
    assert len(clock.slept) == 1


async def test_nobody_waits_beyond_the_deadline():
    layer, clock = retry()
    request = ChatRequest("gpt-5", (), meta=Meta(deadline=clock.now() + 0.4))
    upstream = ScriptedHandler(sequence=[passing(), "never"])
    with pytest.raises(UpstreamError):
        await layer(upstream)(request)
    assert clock.slept == []


async def test_the_budget_bounds_the_extra_traffic_of_an_outage():
    budget = Budget(ratio=0.1, reserve=10)
    layer, _ = retry(budget=budget)
    upstream = ScriptedHandler(default=passing())
    handler = layer(upstream)
    for _ in range(10_000):
        with pytest.raises(UpstreamError):
            await handler(ASK)
    assert 10_000 < len(upstream.calls) <= 11_000 + 10
    assert budget.refused > 0


@pytest.mark.parametrize("budget", [None, CallerBudgets()])
async def test_tries_that_one_caller_has_used_up_are_not_missing_to_others(budget):
    """A19: one caller's own faults never count against others."""
    layer, _ = retry(budget=budget)
    mallory, ann = (msgspec.structs.replace(ASK, meta=Meta(caller=name)) for name in ("mallory", "ann"))
    failing, well = ScriptedHandler(default=passing()), ScriptedHandler(sequence=[passing(), "well"])

    async def upstream(request):
        return await (failing if request.meta.caller == "mallory" else well)(request)

    handler = layer(upstream)
    for _ in range(40):
        with pytest.raises(UpstreamError):
            await handler(mallory)
    assert len(failing.calls) < 60
    assert await said(handler, ann) == "well"


async def test_budgets_of_callers_are_not_kept_without_end():
    budgets = CallerBudgets()
    first = budgets.of("0")
    for i in range(5000):
        assert budgets.of(str(i)).left == 10
    assert budgets.of("4999") is budgets.of("4999")
    assert budgets.of("0") is not first


async def test_whoever_wants_to_know_is_told():
    seen = []
    layer, _ = retry(on_retry=seen.append)
    await said(layer(ScriptedHandler(sequence=[passing(), "x"])))
    assert [(r.model, r.tries, r.wait, r.error.status) for r in seen] == [("gpt-5", 1, 0.5, 503)]


def test_the_wait_is_within_its_bounds_whatever_chance_says():
    backoff, chance = Backoff(attempts=200, base=0.25, factor=3, cap=9), random.Random(1)
    for tries in range(1, 200):
        for luck in (0.0, chance.random(), 1.0):
            assert 0 <= backoff.wait(tries, None, luck) <= min(9, 0.25 * 3 ** (tries - 1))
    assert backoff.wait(200, None, 0.5) is None


def test_the_same_waits_as_tenacity():
    """Differential: the upper bounds are those of tenacity's wait_random_exponential."""
    from tenacity import RetryCallState, wait_random_exponential

    theirs = wait_random_exponential(multiplier=0.5, max=20, exp_base=2)
    backoff = Backoff(attempts=50)
    for tries in range(1, 30):
        state = RetryCallState(None, None, (), {})
        state.attempt_number = tries
        most = max(theirs(state) for _ in range(300))
        assert most <= backoff.wait(tries, None, 1.0)
        assert most > 0.9 * backoff.wait(tries, None, 1.0)


async def test_stamina_and_this_give_up_alike():
    """Differential: as many tries, the same error at the end, success as soon as there is one."""
    import stamina

    for failures in range(6):
        ours = ScriptedHandler(sequence=[passing()] * failures, default="ok")
        theirs = ScriptedHandler(sequence=[passing()] * failures, default="ok")
        layer, _ = retry(backoff=Backoff(attempts=4))
        again = stamina.retry(on=UpstreamError, attempts=4, wait_initial=0, wait_max=0, wait_jitter=0)(theirs.__call__)
        outcomes = []
        for handler in (layer(ours), again):
            try:
                await handler(ASK)
                outcomes.append("ok")
            except UpstreamError as e:
                outcomes.append(str(e))
        assert outcomes[0] == outcomes[1]
        assert len(ours.calls) == len(theirs.calls)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Backoff(attempts=0), "attempts"),
        (lambda: Backoff(attempts=1.5), "attempts"),
        (lambda: Backoff(base=0), "base"),
        (lambda: Backoff(factor=0.5), "factor"),
        (lambda: Backoff(base=3, cap=2), "cap"),
        (lambda: Backoff(patience=-1), "patience"),
        (lambda: Backoff(base=float("nan")), "base"),
        (lambda: Backoff(base="1"), "base"),
        (lambda: Budget(ratio=-1), "ratio"),
        (lambda: Budget(reserve=-1), "reserve"),
    ],
)
def test_nonsense_is_refused_by_name(make, field):
    with pytest.raises(InvalidOptionError, match=f"^{field}: "):
        make()
