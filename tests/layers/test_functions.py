"""Layers around plain async functions: as decorators and as calls, with the arguments and types of the function, by the same code as
around handlers."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from rightseat import ConnectError, CopilotSDK, InvalidOptionError
from rightseat.errors import (
    CircuitOpenError,
    CliNotFoundError,
    DeadlineExceededError,
    QueueFullError,
    RateLimitedError,
    UpstreamError,
)
from rightseat.layers import (
    Backoff,
    Breaker,
    BreakerPolicy,
    Budget,
    Cache,
    CachePolicy,
    Deadline,
    Fallback,
    Limit,
    Queue,
    QueuePolicy,
    RateLimiter,
    Retry,
    Shed,
    Totals,
    stack,
)
from rightseat.telemetry.layers import LayerMetrics
from rightseat.testing import FakeClock, LoopClock, run_virtual


class Flaky:
    """An async function that fails as often as told, then gives its arguments back."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return args, kwargs


def quick(**options) -> Retry:
    return Retry(clock=FakeClock(), chance=lambda: 1.0, **options)


LAYERS = {
    "Retry": quick,
    "Breaker": Breaker,
    "RateLimiter": lambda: RateLimiter(requests=Limit(6000, 100)),
    "Queue": Queue,
    "Cache": Cache,
    "Deadline": lambda: Deadline(5),
    "Fallback": Fallback,
    "Shed": Shed,
    "Totals": Totals,
    "stack": lambda: stack(Deadline(5), Queue(), quick(), Breaker()),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
async def test_a_layer_decorates_functions_and_methods(make):
    layer = make()

    @layer
    async def add(a: int, *more: int, times: int = 1) -> int:
        """Adds."""
        return (a + sum(more)) * times

    class Shop:
        def __init__(self):
            self.factor = 3

        async def price(self, amount: int) -> int:
            return amount * self.factor

    assert await add(1, 2, 3, times=2) == 12
    assert (add.__name__, add.__doc__) == ("add", "Adds.")
    assert asyncio.iscoroutinefunction(add)
    assert await layer(Shop().price)(5) == 15
    if not isinstance(layer, Cache):  # an object is no part of a key
        Shop.price = layer(Shop.price)
        assert await Shop().price(5) == 15


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
async def test_what_a_function_raises_comes_through_as_it_is(make):
    mine = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as e:
        await make()(Flaky(mine))()
    assert e.value is mine


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_what_cannot_be_awaited_is_refused_when_it_is_wrapped(make):
    async def pieces():
        yield 1

    with pytest.raises(InvalidOptionError, match="pieces yields"):
        make()(pieces)
    with pytest.raises(InvalidOptionError, match="not int"):
        make()(3)


# Retry


@pytest.mark.parametrize("error", [OSError("x"), TimeoutError(), ConnectionResetError(), ConnectError("x"), UpstreamError(503, "x")])  # fmt: skip
async def test_by_default_tries_are_for_what_may_pass(error):
    function = Flaky(error, error)
    assert await quick()(function)(1, a=2) == ((1,), {"a": 2})
    assert function.calls == 3


@pytest.mark.parametrize("error", [ValueError(), UpstreamError(400, "x"), CliNotFoundError("x"), CircuitOpenError("m", 1), DeadlineExceededError("x")])  # fmt: skip
async def test_and_for_nothing_else_also_where_the_error_is_an_oserror_as_well(error):
    function = Flaky(error)
    with pytest.raises(type(error)):
        await quick().call(function)
    assert function.calls == 1


@pytest.mark.parametrize(
    ("on", "error", "again"),
    [
        (ValueError, ValueError(), True),
        (ValueError, OSError(), False),
        ((KeyError, ValueError), KeyError(), True),
        (lambda e: "busy" in str(e), RuntimeError("busy"), True),
        (lambda e: "busy" in str(e), RuntimeError("broken"), False),
        (Exception, RuntimeError(), True),
        (Exception, CircuitOpenError("m", 1), False),  # declined by a layer: asking again would not help
        (CircuitOpenError, CircuitOpenError("m", 1), True),  # but where it is named
    ],
)
async def test_on_says_for_which_errors(on, error, again):
    function = Flaky(error)
    if again:
        await quick(on=on).call(function)
        assert function.calls == 2
    else:
        with pytest.raises(type(error)):
            await quick(on=on).call(function)


@pytest.mark.parametrize("on", [3, int, (), (ValueError, 3), "ValueError"])
@pytest.mark.parametrize("make", [Retry, Breaker, Fallback, Cache, Shed])
def test_on_of_the_wrong_kind_is_refused(make, on):
    with pytest.raises(InvalidOptionError, match="^on: "):
        make(on=on)


async def test_an_error_of_others_that_says_when_to_come_back_is_heard():
    class TooManyError(Exception):
        retry_after = 7

    retry, told = Retry(clock=(clock := FakeClock()), chance=lambda: 0.0, on=TooManyError), []
    assert await retry.call(Flaky(TooManyError()), 1) == ((1,), {})
    assert clock.slept == [7.0]
    retry = quick(on=TooManyError, on_retry=told.append)
    await retry.call(Flaky(TooManyError()))
    assert (told[0].tries, retry.retries, retry.counts) == (1, 1, {"retries": 1})


@given(st.lists(st.sampled_from([OSError, ValueError, None]), max_size=8), st.integers(1, 5))
@settings(max_examples=60)
def test_retry_against_a_loop_written_down(outcomes, attempts):
    """The same result and as many calls as the plainest loop there is."""

    async def main():
        errors = [kind("x") if kind is not None else None for kind in outcomes]
        seen = []

        async def function():
            seen.append(1)
            error = errors[len(seen) - 1] if len(seen) <= len(errors) else None
            if error is not None:
                raise error
            return "ok"

        try:
            ours = await Retry(backoff=Backoff(attempts=attempts), clock=LoopClock(), budget=Budget(1, 10))(function)()
        except Exception as e:
            ours = type(e)
        calls, expected = 0, "ok"
        for kind in [*outcomes, None]:
            calls += 1
            expected = kind or "ok"
            if kind is not OSError or calls == attempts:
                break
        assert (ours, len(seen)) == (expected, calls)

    run_virtual(main)


# Breaker


async def test_a_breaker_opens_for_all_functions_it_stands_around_and_closes_again():
    clock = FakeClock()
    policy = BreakerPolicy(window=3, min_calls=3, failure_rate=1.0, open_seconds=60, probes=1)
    breaker = Breaker(policy=policy, on=Exception, clock=clock)
    fails = Flaky(*[RuntimeError("down")] * 3)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await breaker.call(fails)
    well = Flaky()
    with pytest.raises(CircuitOpenError) as e:
        await breaker(well)(1)
    assert (well.calls, e.value.retry_after) == (0, 60.0)
    assert breaker.circuits.states() == {"this function": "open"}
    clock.advance(61)
    assert await breaker.call(well, 2, b=3) == ((2,), {"b": 3})
    assert breaker.circuits.states() == {"this function": "closed"}


async def test_circuits_may_be_told_apart_by_the_arguments():
    breaker = Breaker(policy=BreakerPolicy(min_calls=2), key=lambda host: host, clock=FakeClock())

    async def ask(host):
        if host == "down":
            raise OSError(host)
        return host

    for _ in range(2):
        with pytest.raises(OSError, match="down"):
            await breaker.call(ask, "down")
    with pytest.raises(CircuitOpenError, match="down"):
        await breaker.call(ask, "down")
    assert await breaker.call(ask, "up") == "up"


async def test_a_cancelled_call_tells_a_breaker_nothing():
    breaker = Breaker(policy=BreakerPolicy(min_calls=1), on=lambda _: True)
    with pytest.raises(asyncio.CancelledError):
        await breaker.call(Flaky(asyncio.CancelledError()))
    assert breaker.circuits.states() == {"this function": "closed"}


# Queue and rate


def test_a_queue_bounds_what_runs_and_takes_the_urgent_first():
    async def main():
        queue = Queue(policy=QueuePolicy(concurrency=2), priority=len)
        running, most, order = 0, 0, []

        async def work(name):
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1
            order.append(name)
            return name

        names = ["a", "b", "c", "dd", "eee"]
        assert await asyncio.gather(*(queue.execute(work, name) for name in names)) == names
        assert most == 2
        assert order == ["a", "b", "eee", "dd", "c"]
        assert queue.counts == {"waited": 3, "declined": 0}
        with pytest.raises(ValueError, match="x"):
            await queue.execute(Flaky(ValueError("x")), "x")
        assert queue.queue.state.running == 0

    run_virtual(main)


def test_a_full_queue_declines_and_a_cancelled_call_gives_its_place_back():
    async def main():
        queue = Queue(policy=QueuePolicy(concurrency=1, length=0))
        first = asyncio.ensure_future(queue.execute(asyncio.sleep, 100))
        await asyncio.sleep(1)
        with pytest.raises(QueueFullError):
            await queue.execute(asyncio.sleep, 1)
        first.cancel()
        await asyncio.sleep(0)
        await queue.execute(asyncio.sleep, 1, "done")

    run_virtual(main)


def test_who_waits_however_long_gets_a_place():
    async def main():
        queue = Queue(policy=QueuePolicy(concurrency=1, wait_seconds=None))
        await asyncio.gather(*(queue.execute(asyncio.sleep, 3600) for _ in range(5)))
        assert asyncio.get_running_loop().time() == 5 * 3600

    run_virtual(main)


@given(st.integers(1, 8), st.integers(1, 600), st.integers(1, 40))
@settings(max_examples=40)
def test_no_more_pass_a_limiter_than_it_says(burst, per_minute, calls):
    async def main():
        limiter = RateLimiter(requests=Limit(per_minute, burst), max_wait=None, clock=LoopClock())
        times = []

        async def call():
            times.append(asyncio.get_running_loop().time())

        await asyncio.gather(*(limiter.call(call) for _ in range(calls)))
        for i in range(calls):
            for j in range(i, calls):
                assert j - i + 1 <= burst + (times[j] - times[i]) * per_minute / 60 + 1e-6
        assert times[-1] <= max(0, calls - burst) * 60 / per_minute + 1
        assert limiter.counts == {"waited": max(0, calls - burst), "declined": 0}

    run_virtual(main)


async def test_a_limiter_can_be_asked_alone_and_be_made_before_there_is_a_loop():
    limiter = await asyncio.to_thread(lambda: RateLimiter(requests=60, max_wait=0, clock=LoopClock()))
    for _ in range(6):
        await limiter.acquire()
    with pytest.raises(RateLimitedError):
        await limiter.acquire()
    with pytest.raises(InvalidOptionError, match="^requests: "):
        RateLimiter(requests=0)
    with pytest.raises(InvalidOptionError, match="^limits: "):
        RateLimiter(requests=1, limits=limiter.limits)


# Cache


def test_what_is_asked_at_once_is_computed_once_and_kept_for_a_while():
    async def main():
        cache = Cache(policy=CachePolicy(seconds=300), clock=LoopClock())
        calls = 0

        async def compute():
            nonlocal calls
            calls += 1
            await asyncio.sleep(1)
            return {"n": calls}

        both = await asyncio.gather(*(cache.get_or_compute("key", compute) for _ in range(10)))
        assert both == [{"n": 1}] * 10
        await asyncio.sleep(298)
        assert await cache.get_or_compute("key", compute) == {"n": 1}
        assert await cache.get_or_compute("other", compute) == {"n": 2}
        await asyncio.sleep(10)
        assert await cache.get_or_compute("key", compute) == {"n": 3}
        assert cache.counts == {"hits": 1, "joined": 9, "misses": 3, "stale": 0}

    run_virtual(main)


def test_errors_are_told_to_all_who_wait_and_not_kept():
    async def main():
        cache = Cache(clock=LoopClock())
        function = Flaky(ValueError("x"))
        both = await asyncio.gather(*(cache.get_or_compute("k", function) for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in both] == [ValueError] * 3
        assert await cache.get_or_compute("k", function) == ((), {})
        assert function.calls == 2

    run_virtual(main)


def test_one_who_leaves_takes_it_from_nobody_and_the_last_one_ends_it():
    async def main():
        cache, ended = Cache(clock=LoopClock()), []

        async def compute():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise
            return "done"

        one, other = (asyncio.ensure_future(cache.get_or_compute("k", compute)) for _ in range(2))
        await asyncio.sleep(1)
        one.cancel()
        assert await other == "done"
        last = asyncio.ensure_future(cache.get_or_compute("k2", compute))
        await asyncio.sleep(1)
        last.cancel()
        await asyncio.sleep(1)
        assert ended == ["cancelled"]

    run_virtual(main)


def test_an_old_answer_is_given_where_there_is_no_other():
    async def main():
        cache = Cache(policy=CachePolicy(seconds=10, stale_seconds=60), clock=LoopClock())
        function = Flaky()
        await cache.get_or_compute("k", function)
        await asyncio.sleep(30)
        function.errors = [OSError("down"), ValueError("ours")]
        assert await cache.get_or_compute("k", function) == ((), {})
        with pytest.raises(ValueError, match="ours"):
            await cache.get_or_compute("k", function)
        assert cache.counts["stale"] == 1

    run_virtual(main)


async def test_arguments_are_told_apart_by_value_and_type_and_functions_never_share():
    cache, calls = Cache(), []

    def made(name):
        @cache
        async def function(*args, **kwargs):
            calls.append((name, args, kwargs))
            return len(calls)

        return function

    one, other = made("one"), made("other")
    different = [(1,), (True,), (1.0,), ("1",), (b"1",), ([1],), ((1,),), ({"a": 1},), (None,), ()]
    results = [await function(*args) for function in (one, other) for args in different]
    assert len(set(results)) == 2 * len(different)
    assert [await function(*args) for function in (one, other) for args in different] == results
    assert await one(a=1, b=2) == await one(b=2, a=1)
    with pytest.raises(InvalidOptionError, match="object whether two calls are the same: give key="):
        await one(object())
    rounds = []
    rounds.append(rounds)
    assert await one(rounds) == await one(rounds)


async def test_a_key_of_ones_own_may_say_no():
    cache = Cache(key=lambda user, **_: None if user.startswith("admin") else user.encode())
    function = cache(Flaky())
    for user in ("ann", "ann", "admin", "admin"):
        await function(user, at=object())
    assert cache.counts["misses"] == cache.counts["hits"] == 1


async def test_what_is_kept_is_bounded_by_size():
    cache = Cache(policy=CachePolicy(max_bytes=100_000, max_answer_bytes=50_000))

    async def many():
        return ["x" * 100 + str(i) for i in range(200)]

    async def too_much():
        return {"a": ["y" * 60_000]}

    for i in range(50):
        await cache.get_or_compute(f"key{i}", many)
    assert cache._store.size <= 100_000
    assert len(cache._store) >= 3
    await cache.get_or_compute("large", too_much)
    await cache.get_or_compute("large", too_much)
    assert cache.counts["hits"] == 0


# Deadline and fallback


def test_a_deadline_cancels_the_function_and_leaves_nothing_behind():
    async def main():
        ended = []

        @Deadline(2)
        async def work(seconds):
            try:
                await asyncio.sleep(seconds)
            finally:
                ended.append(asyncio.get_running_loop().time())
            return seconds

        assert await work(1) == 1
        with pytest.raises(DeadlineExceededError, match="within 2 s"):
            await work(50)
        assert ended == [1, 3]
        task = asyncio.ensure_future(work(50))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(100)  # no timer cancels anything later

    run_virtual(main)


async def test_fallbacks_are_called_with_the_same_arguments_one_after_another():
    told = []
    last = Flaky()

    async def second(*args, **kwargs):
        raise TimeoutError

    fallback = Fallback(second, last, on_fallback=lambda *what: told.append((what[1], type(what[2]))))
    assert await fallback.call(Flaky(OSError("x")), 1, a=2) == ((1,), {"a": 2})
    assert told == [("second", OSError), ("this function", TimeoutError)]
    assert await fallback(Flaky())("first") == (("first",), {})
    with pytest.raises(ValueError, match="ours"):
        await fallback(Flaky(ValueError("ours")))()
    with pytest.raises(TimeoutError):
        await Fallback(second)(Flaky(OSError("x")))()
    assert await Fallback(last, on=ValueError)(Flaky(ValueError()))() == ((), {})


# All together


def test_random_worlds_of_functions_end_with_every_place_given_back():
    """Worlds with failures, slowness and cancellations around one stack: as many results as calls, nothing held at the end."""

    async def world(seed):
        chance = random.Random(seed)
        totals, queue = (
            Totals(),
            Queue(policy=QueuePolicy(concurrency=chance.randint(1, 4), length=chance.randint(0, 20))),
        )
        breaker = Breaker(policy=BreakerPolicy(min_calls=5, window=10), clock=LoopClock())
        limiter = RateLimiter(requests=Limit(chance.choice((60, 600)), 5), max_wait=20, clock=LoopClock())
        running = 0

        @stack(totals, Deadline(30), queue, Retry(clock=LoopClock(), chance=chance.random), breaker, limiter)
        async def work(n):
            nonlocal running
            running += 1
            try:
                await asyncio.sleep(chance.random() * 4)
                if chance.random() < 0.3:
                    raise chance.choice((OSError, ValueError))("x")
                return n
            finally:
                running -= 1

        async def caller(n):
            await asyncio.sleep(chance.random() * 20)
            task = asyncio.ensure_future(work(n))
            if chance.random() < 0.2:
                asyncio.get_running_loop().call_later(chance.random() * 10, task.cancel)
            (result,) = await asyncio.gather(task, return_exceptions=True)
            return result

        results = await asyncio.gather(*(caller(n) for n in range(40)))
        wrong = sum(isinstance(r, Exception) for r in results)
        cancelled = sum(isinstance(r, asyncio.CancelledError) for r in results)
        assert all(r == n or isinstance(r, BaseException) for n, r in enumerate(results))
        assert running == queue.queue.state.running == queue.queue.state.waiting == 0
        assert totals.errors == wrong
        assert totals.requests <= 40
        assert totals.requests + cancelled >= 40

    for seed in range(60):
        run_virtual(lambda seed=seed: world(seed))


async def test_the_sdk_shows_totals_errors_and_what_was_rate_limited():
    sdk = CopilotSDK(
        handler=Answers([UpstreamError(400, "no"), UpstreamError(429, "busy"), "well", "again"]),
        retry=None,
        breaker=None,
        requests_per_minute=6000,
        cache=True,
    )
    async with sdk:
        for wrong in (400, 429):
            with pytest.raises(UpstreamError, match=str(wrong)):
                await sdk.chat("x")
        await sdk.chat("x")
        await sdk.chat("x")
        assert (sdk.state.totals.requests, sdk.state.totals.errors, sdk.state.totals.rate_limited) == (4, 2, 1)
        assert sdk.state.counts["cache_hits"] == 1
        metrics = LayerMetrics()
        metrics.watch("sdk", sdk.state)
        text = generate_latest(metrics.registry).decode()
    assert 'rightseat_layer_total{count="requests",layer="sdk"} 4.0' in text
    assert 'rightseat_layer_total{count="errors",layer="sdk"} 2.0' in text
    assert 'rightseat_layer_total{count="rate_limited",layer="sdk"} 1.0' in text


class Answers:
    """A model with these answers, one after another."""

    def __init__(self, answers):
        self.answers = list(answers)

    async def __call__(self, request):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer
