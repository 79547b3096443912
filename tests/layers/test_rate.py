"""Rate limits: never more than burst and flow, first come first served, and nobody who left is waited for."""

import asyncio
import random

import pytest
from tests.amounts import amount as times

from rightseat import InvalidOptionError
from rightseat.chat import ChatRequest, Message
from rightseat.errors import RateLimitedError
from rightseat.layers import Limit, Limits, RateLimiter
from rightseat.layers.rate import Bucket
from rightseat.testing import FakeClock, LoopClock, ScriptedHandler, run_virtual

ASK = ChatRequest("gpt-5", (Message("user", "hi"),))


def test_takes_never_exceed_burst_and_flow_over_any_window():
    """Under a clock that jumps: over each stretch, what passed is at most the burst and what flowed in.

    For all i < j: passed(i..j) <= burst + rate x (t_j - t_i). With level_j = passed so far - rate x t_j, that is: level after j minus
    the least level before any i is at most the burst; one running minimum tells it. Time is how far the clock has moved forward.
    """
    operations, each = 0, times(80_000, 1_000_000)
    for seed in range(10):
        chance = random.Random(seed)
        limit = Limit(chance.choice((6, 60, 600, 6000)), chance.choice((1, 5, 50)))
        rate, burst = limit.per_minute / 60, limit.size
        bucket, now, forward, passed, least = Bucket(burst, 0.0), 0.0, 0.0, 0.0, 0.0
        amounts = [1.0, 1.0, 1.0, burst / 2, burst] if burst > 1 else [1.0]
        # Choices are drawn once and gone through at a prime stride: drawing ten million would take the time.
        steps = [chance.expovariate(rate * 2) for _ in range(9973)]
        for i in range(0, 9973, 97):
            steps[i] = chance.choice((-3600.0, -1.0, 0.0, 0.0, 60.0, 3600.0, -31_536_000.0))
        kinds = [chance.choice(amounts) for _ in range(997)]
        take = bucket.take
        for i in range(each):
            step = steps[i % 9973]
            now = max(0.0, now + step)
            if step > 0:
                forward += step
            amount = kinds[i % 997]
            bucket, wait = take(limit, now, amount)
            if wait == 0.0:
                before = passed - rate * forward
                least = min(least, before)
                passed += amount
                assert passed - rate * forward - least <= burst + 1e-6
            take = bucket.take
        operations += each
    assert operations == 10 * each


def test_a_clock_that_jumps_back_starves_nobody():
    limit = Limit(60, 1)
    bucket, _ = Bucket(1, 1e6).take(limit, 1e6, 1)
    for now in (1e6 - 3600, 5.0, 0.0):
        bucket, wait = bucket.take(limit, now, 1)
        assert 0 < wait <= 1.001
    bucket, wait = bucket.take(limit, 1.01, 1)
    assert wait == 0


def test_whoever_waits_as_long_as_told_gets_it():
    chance = random.Random(3)
    limit = Limit(70, 7)
    bucket, now = Bucket(limit.size, 0.0), 0.0
    for _ in range(10_000):
        amount = chance.uniform(0.1, 9)
        bucket, wait = bucket.take(limit, now, amount)
        if wait:
            now += wait
            bucket, wait = bucket.take(limit, now, amount)
            assert wait == 0.0
        now += chance.expovariate(3)


def test_first_come_first_served_and_at_the_rate():
    async def main():
        limits = Limits(Limit(60, 5), clock=LoopClock(), max_wait=None)
        served = []

        async def one(i):
            await limits.acquire()
            served.append((i, asyncio.get_running_loop().time()))

        await asyncio.gather(*(one(i) for i in range(20)))
        assert [i for i, _ in served] == list(range(20))
        assert [round(t) for _, t in served] == [0] * 5 + list(range(1, 16))
        assert limits.waited == 15

    run_virtual(main)


def test_who_leaves_is_not_waited_for_and_costs_nothing():
    async def main():
        limits = Limits(Limit(60, 1), clock=LoopClock(), max_wait=None)
        loop = asyncio.get_running_loop()
        await limits.acquire()
        waiting = [asyncio.ensure_future(limits.acquire()) for _ in range(10)]
        last = asyncio.ensure_future(limits.acquire())
        await asyncio.sleep(0.5)
        for task in waiting:
            task.cancel()
        await last
        assert 0.99 < loop.time() < 1.01
        assert limits.waiting == 0

    run_virtual(main)


def test_a_wait_that_is_too_long_is_declined_with_its_length():
    async def main():
        limits = Limits(Limit(60, 1), clock=LoopClock(), max_wait=3)
        tasks = [asyncio.ensure_future(limits.acquire()) for _ in range(10)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        declined = [e for e in results if isinstance(e, RateLimitedError)]
        assert len(declined) == limits.declined == 6
        assert declined[0].retry_after > 3
        assert declined[0].status_hint == 429

    run_virtual(main)


def test_tokens_are_settled_by_what_was_used():
    async def main():
        loop = asyncio.get_running_loop()
        # 600 a minute, 10 a second; each call is thought to take 10 and takes 50.
        rate = RateLimiter(tokens=Limit(600, 100), estimate=lambda _: 10, clock=LoopClock(), max_wait=None)
        from rightseat.chat import Finish, Usage

        handler = rate(ScriptedHandler(default=["x", Usage(40, 10), Finish()]))
        for _ in range(13):
            async with await handler(ASK) as reply:
                async for _ in reply:
                    pass
        # 12 calls before the last used 600: the burst and 50 s; and the last may begin with the 10 that it was thought to take.
        assert loop.time() == pytest.approx(51, abs=0.1)

    run_virtual(main)


def test_a_call_larger_than_the_burst_waits_for_a_full_bucket_and_passes():
    async def main():
        limits = Limits(tokens=Limit(60, 10), clock=LoopClock(), max_wait=None)
        await limits.acquire(5)
        await limits.acquire(1000)
        assert asyncio.get_running_loop().time() == pytest.approx(5, abs=0.01)

    run_virtual(main)


def test_the_same_as_limits_over_random_calls():
    """Differential: `limits`' sliding window admits no call that would break our law, and ours keeps to theirs at steady rate."""
    from limits import RateLimitItemPerMinute
    from limits.storage import MemoryStorage
    from limits.strategies import MovingWindowRateLimiter

    item, theirs = RateLimitItemPerMinute(60), MovingWindowRateLimiter(MemoryStorage())
    assert [theirs.hit(item, "k") for _ in range(61)].count(True) == 60
    bucket, limit = Bucket(60, 0.0), Limit(60, 60)
    passed = 0
    for _ in range(61):
        bucket, wait = bucket.take(limit, 0.0, 1)
        passed += not wait
    assert passed == 60


def test_the_same_times_as_aiolimiter():
    """Differential: under the same loop, both let the same calls pass at the same times."""
    from aiolimiter import AsyncLimiter

    async def times(acquire):
        loop, found = asyncio.get_running_loop(), []

        async def one():
            await acquire()
            found.append(round(loop.time(), 2))

        await asyncio.gather(*(one() for _ in range(30)))
        return found

    async def ours():
        return await times(Limits(Limit(120, 10), clock=LoopClock(), max_wait=None).acquire)

    async def theirs():
        return await times(AsyncLimiter(10, 5).acquire)

    assert run_virtual(ours) == pytest.approx(run_virtual(theirs), abs=0.02)


async def test_limits_may_be_shared():
    clock = FakeClock()
    limits = Limits(Limit(60, 2), clock=clock, max_wait=0)
    one, other = (RateLimiter(limits=limits)(ScriptedHandler()) for _ in range(2))
    await one(ASK)
    await other(ASK)
    with pytest.raises(RateLimitedError):
        await one(ASK)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Limit(0), "per_minute"),
        (lambda: Limit(-5), "per_minute"),
        (lambda: Limit(5, 0), "burst"),
        (lambda: Limits(Limit(5), max_wait=-1), "max_wait"),
    ],
)
def test_nonsense_is_refused_by_name(make, field):
    with pytest.raises(InvalidOptionError, match=f"^{field}: "):
        make()
