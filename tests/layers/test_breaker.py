"""The circuit breaker: beside a model that is too plain to be wrong, and around calls."""

import random

import pytest

from rightseat import ConnectError, InvalidOptionError
from rightseat.chat import ChatRequest, Message, Meta
from rightseat.errors import CircuitOpenError, UpstreamError
from rightseat.layers import Breaker, BreakerPolicy, Circuits
from rightseat.layers.circuit import Circuit, SharedCircuit
from rightseat.testing import FakeClock, ScriptedHandler

ASK = ChatRequest("gpt-5", (Message("user", "hi"),))
DOWN = UpstreamError(503, "down")


class Model:
    """The breaker as written down: every outcome kept, everything computed anew each time."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self.p = policy
        self.state, self.since, self.age, self.outcomes, self.let_in = "closed", 0.0, 0, [], 0

    def go(self, state: str, now: float) -> None:
        self.state, self.since, self.age, self.outcomes, self.let_in = state, now, self.age + 1, [], 0

    def ask(self, now: float) -> int | None:
        if self.state == "open" and now - self.since >= self.p.open_seconds:
            self.go("half_open", now)
        if self.state == "open" or (self.state == "half_open" and self.let_in >= self.p.probes):
            return None
        self.let_in += 1
        return self.age

    def forget(self, age: int) -> None:
        if age == self.age:
            self.let_in -= 1

    def record(self, age: int, now: float, failed: bool, slow: bool) -> None:
        if age != self.age:
            return
        self.outcomes.append((now, failed, slow))
        seen = self.outcomes[-self.p.window :]
        if self.p.window_seconds is not None:
            seen = [o for o in seen if o[0] > now - self.p.window_seconds]
        self.outcomes = seen
        needed = self.p.probes if self.state == "half_open" else self.p.min_calls
        if len(seen) < needed:
            return
        bad = sum(o[1] for o in seen) / len(seen) >= self.p.failure_rate
        late = sum(o[2] for o in seen) / len(seen) >= self.p.slow_rate
        if bad or late:
            if self.state == "half_open" or failed or slow:
                self.go("open", now)
        elif self.state == "half_open":
            self.go("closed", now)


def test_a_million_random_steps_beside_the_model():
    steps, seen = 0, {"closed": 0, "open": 0, "half_open": 0}
    for seed in range(1000):
        chance = random.Random(seed)
        window = chance.randint(1, 12)
        policy = BreakerPolicy(
            window=window,
            window_seconds=chance.choice([None, 5.0, 20.0]),
            min_calls=chance.randint(1, window),
            failure_rate=chance.choice([0.25, 0.5, 1.0]),
            slow_rate=chance.choice([0.5, 1.0]),
            open_seconds=chance.choice([1.0, 4.0, 10.0]),
            probes=chance.randint(1, 4),
        )
        ours, model = Circuit(policy), Model(policy)
        now, open_calls = 0.0, []
        failing = 0.0
        for _ in range(1000):
            steps += 1
            now += chance.choice((0.0, 0.25, 0.5, 2.0))
            if chance.random() < 0.02:
                failing = chance.choice((0.0, 0.3, 0.9))
            if open_calls and chance.random() < 0.6:
                ticket, age = open_calls.pop(chance.randrange(len(open_calls)))
                if chance.random() < 0.1:
                    ours.forget(ticket)
                    model.forget(age)
                else:
                    failed, slow = chance.random() < failing, chance.random() < failing / 2
                    ours.record(ticket, now, failed=failed, slow=slow)
                    model.record(age, now, failed, slow)
            else:
                ticket, age = ours.ask(now), model.ask(now)
                assert (ticket is None) == (age is None)
                if ticket is not None:
                    open_calls.append((ticket, age))
            assert ours.state == model.state
            seen[ours.state] += 1
    assert steps == 1_000_000
    assert min(seen.values()) > 10_000  # all three states were lived in


def test_as_resilience4j_documents_its_defaults():
    """Window of 100 calls, at least 100 calls, 50 % failures or 100 % slow calls (60 s), 60 s open, 10 probes."""
    policy = BreakerPolicy(window=100, window_seconds=None, min_calls=100, failure_rate=0.5, slow_rate=1.0, slow_seconds=60.0, open_seconds=60.0, probes=10)  # fmt: skip

    def call(circuit: Circuit, now: float, *, failed: bool, slow: bool = False) -> None:
        circuit.record(circuit.ask(now), now, failed=failed, slow=slow)

    circuit = Circuit(policy)
    for _ in range(99):
        call(circuit, 0, failed=True)
    assert circuit.state == "closed"  # 99 calls tell nothing
    call(circuit, 0, failed=True)
    assert circuit.state == "open"
    assert circuit.ask(59.9) is None
    tickets = [circuit.ask(60.0) for _ in range(10)]
    assert None not in tickets
    assert circuit.ask(60.0) is None  # the eleventh
    for i, ticket in enumerate(tickets):
        circuit.record(ticket, 61.0, failed=i < 4)
    assert circuit.state == "closed"  # 40 % of the probes

    circuit = Circuit(policy)
    for i in range(100):
        call(circuit, 0, failed=i % 2 == 0 and i < 98)
    assert circuit.state == "closed"  # 49 of 100
    for _ in range(2):  # the first, a failure, slides out; two come in
        call(circuit, 0, failed=True)
    assert circuit.state == "open"

    circuit = Circuit(policy)
    for i in range(100):
        call(circuit, 0, failed=False, slow=i > 0)
    assert circuit.state == "closed"
    call(circuit, 0, failed=False, slow=True)
    assert circuit.state == "open"


async def ask_often(handler, times: int, expected: type[BaseException]) -> None:
    for _ in range(times):
        with pytest.raises(expected):
            await handler(ASK)


async def test_from_closed_to_open_and_back():
    clock, changes = FakeClock(), []
    circuits = Circuits(BreakerPolicy(min_calls=5, open_seconds=4, probes=2), lambda *change: changes.append(change))
    upstream = ScriptedHandler(sequence=[DOWN] * 5, default="up")
    handler = Breaker(circuits=circuits, clock=clock)(upstream)
    await ask_often(handler, 5, UpstreamError)
    with pytest.raises(CircuitOpenError, match=r"gpt-5.*next attempt in 4\.0 s") as caught:
        await handler(ASK)
    assert caught.value.retry_after == 4.0
    assert len(upstream.calls) == 5  # nothing is asked while it is open
    clock.advance(4)
    for _ in range(2):
        async with await handler(ASK):
            pass
    assert circuits.states() == {"gpt-5": "closed"}
    assert changes == [("gpt-5", "closed", "open"), ("gpt-5", "open", "half_open"), ("gpt-5", "half_open", "closed")]


async def test_a_model_in_trouble_does_not_stop_another():
    upstream = ScriptedHandler({"hi": DOWN, "yo": "fine"})
    handler = Breaker(policy=BreakerPolicy(min_calls=3), clock=FakeClock())(upstream)
    await ask_often(handler, 3, UpstreamError)
    await ask_often(handler, 1, CircuitOpenError)
    async with await handler(ChatRequest("gpt-4.1", (Message("user", "yo"),))):
        pass


@pytest.mark.parametrize(
    "error", [UpstreamError(400, "bad"), UpstreamError(429, "slow down"), CircuitOpenError("x", 1)]
)
async def test_what_is_not_the_other_sides_trouble_does_not_count(error):
    handler = Breaker(policy=BreakerPolicy(min_calls=2), clock=FakeClock())(ScriptedHandler(default=error))
    await ask_often(handler, 50, type(error))


async def test_answers_that_break_in_the_middle_count():
    upstream = ScriptedHandler(default=["one ", ConnectError("gone")])
    handler = Breaker(policy=BreakerPolicy(min_calls=6, failure_rate=0.5), clock=FakeClock())(upstream)
    for _ in range(3):
        with pytest.raises(ConnectError):
            async with await handler(ASK) as reply:
                async for _ in reply:
                    pass
    await ask_often(handler, 1, CircuitOpenError)


async def test_slow_heads_open_it():
    clock = FakeClock()

    async def slow(request):
        clock.advance(3)
        return await ScriptedHandler()(request)

    handler = Breaker(policy=BreakerPolicy(min_calls=2, slow_seconds=2, slow_rate=0.5), clock=clock)(slow)
    for _ in range(2):
        async with await handler(ASK):
            pass
    await ask_often(handler, 1, CircuitOpenError)


def asked_by(caller: str) -> ChatRequest:
    return ChatRequest("gpt-5", (Message("user", caller),), meta=Meta(caller=caller))


async def test_one_callers_failures_never_stop_another():
    upstream = ScriptedHandler({"bad": DOWN}, default="up")
    circuits = Circuits(BreakerPolicy(min_calls=4))
    handler = Breaker(circuits=circuits, clock=FakeClock())(upstream)
    for _ in range(50):
        with pytest.raises((UpstreamError, CircuitOpenError)):
            await handler(asked_by("bad"))
        async with await handler(asked_by("good")):
            pass
    assert len([c for c in upstream.calls if c.meta.caller == "bad"]) == 4  # it is stopped by its own circuit
    async with await handler(asked_by("newcomer")):
        pass
    assert circuits.states() == {"gpt-5": "closed"}


async def test_failures_of_several_callers_stop_all_and_one_good_probe_ends_it():
    clock, upstream = FakeClock(), ScriptedHandler(default=DOWN)
    circuits = Circuits(BreakerPolicy(min_calls=10, open_seconds=4))
    handler = Breaker(circuits=circuits, clock=clock)(upstream)
    for caller in ["a", "b"] * 5:
        with pytest.raises(UpstreamError):
            await handler(asked_by(caller))
    for caller in ("a", "b", "newcomer"):
        with pytest.raises(CircuitOpenError):
            await handler(asked_by(caller))
    assert circuits.states() == {"gpt-5": "open"}
    clock.advance(4)
    with pytest.raises(UpstreamError):
        await handler(asked_by("a"))
    with pytest.raises(CircuitOpenError):
        await handler(asked_by("a"))  # a has had its probe
    up = Breaker(circuits=circuits, clock=clock)(ScriptedHandler(default="up"))
    async with await up(asked_by("newcomer")):
        pass
    async with await up(asked_by("a")):
        pass


def test_random_worlds_in_which_one_caller_does_what_it_likes():
    """The others, who do well, are never refused; where two others fail as well, the circuit opens."""
    opened = 0
    for seed in range(300):
        chance = random.Random(seed)
        policy = BreakerPolicy(
            window=chance.randint(4, 40), min_calls=chance.randint(1, 4), failure_rate=chance.choice([0.25, 0.5, 1.0]), open_seconds=4.0,
            slow_rate=chance.choice([0.5, 1.0]), probes=chance.randint(1, 3), window_seconds=chance.choice([None, 20.0]),
        )  # fmt: skip
        circuit, now, down = SharedCircuit(policy), 0.0, seed % 2
        under_way: list[int] = []
        for _ in range(400):
            now += chance.choice((0.0, 0.25, 2.0))
            if chance.random() < 0.6:
                if (ticket := circuit.ask(now, "hostile")) is not None:
                    under_way.append(ticket)
                if under_way and chance.random() < 0.8:
                    ticket = under_way.pop()
                    if chance.random() < 0.2:
                        circuit.forget(ticket, "hostile")
                    else:
                        circuit.record(ticket, "hostile", now, failed=chance.random() < 0.9, slow=chance.random() < 0.5)
                continue
            caller = chance.choice("ab")
            ticket = circuit.ask(now, caller)
            if not down:
                assert ticket is not None, (seed, circuit.state)
            elif ticket is None:
                opened += 1
            if ticket is not None:
                circuit.record(ticket, caller, now, failed=bool(down))
    assert opened > 1000


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"window": 0}, "window"),
        ({"window_seconds": 0}, "window_seconds"),
        ({"min_calls": 101}, "min_calls"),
        ({"failure_rate": 0}, "failure_rate"),
        ({"failure_rate": 1.1}, "failure_rate"),
        ({"slow_seconds": -1}, "slow_seconds"),
        ({"slow_rate": 2}, "slow_rate"),
        ({"open_seconds": 0}, "open_seconds"),
        ({"probes": 0}, "probes"),
    ],
)
def test_nonsense_is_refused_by_name(options, field):
    with pytest.raises(InvalidOptionError, match=f"^{field}: "):
        BreakerPolicy(**options)
