"""Bounded concurrency and a bounded line: order, fairness, and no place that is lost."""

import asyncio
import random

import pytest

from rightseat import InvalidOptionError
from rightseat.chat import ChatRequest, Message, Meta
from rightseat.errors import QueueFullError, UpstreamError
from rightseat.layers import Queue, QueuePolicy, QueueState, WaitQueue
from rightseat.testing import ScriptedHandler, run_virtual

ASK = ChatRequest("gpt-5", (Message("user", "hi"),))


def asked(priority: int = 0) -> ChatRequest:
    return ChatRequest("gpt-5", (Message("user", "hi"),), meta=Meta(priority=priority))


def test_the_line_beside_a_model_that_sorts_everything():
    """Who is next, who has to go, and how many wait, over 200,000 random steps."""
    for seed in range(200):
        chance = random.Random(seed)
        policy = QueuePolicy(concurrency=chance.randint(1, 4), length=chance.randint(0, 8), ageing_seconds=5)
        line, now, name = QueueState(policy), 0.0, 0
        running, waiting = 0, []  # waiting: (rank, name, waiter)
        for _ in range(1000):
            now += chance.choice((0.0, 0.5, 3.0))
            step = chance.random()
            if step < 0.5:
                name += 1
                priority = chance.randint(-2, 2)
                if running < policy.concurrency and not waiting:
                    assert line.enter()
                    running += 1
                    continue
                assert not line.enter()
                waiter, gone = line.wait(priority, now, name)
                rank = (now - priority * 5, name)
                if len(waiting) < policy.length:
                    assert gone is None
                    waiting.append((rank, name, waiter))
                elif waiting and max(waiting)[0] > rank:
                    assert gone == max(waiting)[1]
                    waiting.remove(max(waiting))
                    waiting.append((rank, name, waiter))
                else:
                    assert waiter is None
            elif step < 0.6 and waiting:
                left = waiting.pop(chance.randrange(len(waiting)))
                line.leave(left[2])
            elif running:
                following = line.over()
                if waiting:
                    assert following == min(waiting)[1]
                    waiting.remove(min(waiting))
                else:
                    assert following is None
                    running -= 1
            assert (line.running, line.waiting) == (running, len(waiting))


def test_nobody_starves():
    """A call of low priority waits behind urgent ones for at most (difference) x ageing_seconds."""

    async def main():
        queue = WaitQueue(QueuePolicy(concurrency=1, wait_seconds=1000, ageing_seconds=10))
        loop = asyncio.get_running_loop()

        async def urgent():
            await queue.acquire(2)
            await asyncio.sleep(1)
            queue.release()

        async def stream_of_urgent_ones():
            for _ in range(200):
                asyncio.ensure_future(urgent())  # noqa: RUF006 - ended by the loop
                await asyncio.sleep(0.9)

        pushing = asyncio.ensure_future(stream_of_urgent_ones())
        await asyncio.sleep(5)
        begun = loop.time()
        await queue.acquire(0)
        waited = loop.time() - begun
        queue.release()
        assert waited <= 2 * 10 + 5
        pushing.cancel()

    run_virtual(main)


def test_the_urgent_go_first_and_take_the_place_of_the_least_urgent():
    async def main():
        served = []
        queue = WaitQueue(QueuePolicy(concurrency=1, length=2))
        await queue.acquire()

        async def one(name, priority):
            try:
                await queue.acquire(priority)
            except QueueFullError:
                served.append(f"{name} sent away")
            else:
                served.append(name)
                queue.release()

        tasks = []
        for name, priority in (("a", 0), ("b", 0), ("c", 1), ("d", 0)):
            tasks.append(asyncio.ensure_future(one(name, priority)))
            await asyncio.sleep(0.1)
        queue.release()
        await asyncio.gather(*tasks)
        assert served == ["b sent away", "d sent away", "c", "a"]

    run_virtual(main)


def test_a_place_is_given_back_when_the_answer_is_over_however_it_ends():
    async def main():
        queue = WaitQueue(QueuePolicy(concurrency=2, length=0))
        upstream = ScriptedHandler(
            sequence=["one two", "one two", ["one ", UpstreamError(503, "x")], UpstreamError(500, "y"), "one two"]
        )
        handler = Queue(queue=queue)(upstream)
        reply = await handler(ASK)
        assert queue.state.running == 1
        assert [e async for e in reply]  # read to its end: given back, without a close
        assert queue.state.running == 0
        await reply.aclose()
        async with await handler(ASK) as reply:
            async for _ in reply:
                break
            assert queue.state.running == 1
        assert queue.state.running == 0
        with pytest.raises(UpstreamError):
            async for _ in await handler(ASK):
                pass
        with pytest.raises(UpstreamError):
            await handler(ASK)
        assert queue.state.running == 0
        unread = await handler(ASK)
        await unread.aclose()
        await unread.aclose()
        assert (queue.state.running, upstream.open) == (0, 0)

    run_virtual(main)


def test_waiting_too_long_ends_it_and_a_place_that_comes_as_one_leaves_goes_on():
    async def main():
        queue = WaitQueue(QueuePolicy(concurrency=1, wait_seconds=5))
        await queue.acquire()
        with pytest.raises(QueueFullError, match="waited 5 s"):
            await queue.acquire()
        assert asyncio.get_running_loop().time() == pytest.approx(5)
        leaving = asyncio.ensure_future(queue.acquire())
        after = asyncio.ensure_future(queue.acquire())
        await asyncio.sleep(0.1)
        queue.release()  # goes to `leaving`, which leaves in the same moment
        leaving.cancel()
        await after
        assert queue.state.running == 1

    run_virtual(main)


def test_storm_with_cancellations_loses_no_place():
    async def main():
        chance = random.Random(7)
        queue = WaitQueue(QueuePolicy(concurrency=5, length=50, wait_seconds=3))
        handler = Queue(queue=queue)(ScriptedHandler(default="a b c", pause=chance.random))
        most = 0

        async def one():
            nonlocal most
            try:
                async with asyncio.timeout(chance.uniform(0.1, 6)):
                    async with await handler(asked(chance.randint(0, 2))) as reply:
                        async for _ in reply:
                            most = max(most, queue.state.running)
                            if chance.random() < 0.1:
                                break
            except (TimeoutError, QueueFullError):
                pass

        async def arrive():
            tasks = []
            for _ in range(1000):
                tasks.append(asyncio.ensure_future(one()))
                await asyncio.sleep(chance.expovariate(10))
            await asyncio.gather(*tasks)

        await arrive()
        assert most == 5
        assert (queue.state.running, queue.state.waiting) == (0, 0)

    run_virtual(main)


@pytest.mark.parametrize("field", ["concurrency", "length", "wait_seconds", "ageing_seconds"])
def test_nonsense_is_refused_by_name(field):
    with pytest.raises(InvalidOptionError, match=f"^{field}: "):
        QueuePolicy(**{field: -1})
