"""A time for the whole call: the head, the answer, the silence in it."""

import asyncio
import contextlib

import pytest

from rightseat import InvalidOptionError
from rightseat.chat import ChatRequest, Message, Meta, Reply, TextDelta
from rightseat.errors import DeadlineExceededError
from rightseat.layers import Deadline, Retry, stack
from rightseat.testing import Cut, Hang, LoopClock, ScriptedHandler, run_virtual

ASK = ChatRequest("gpt-5", (Message("user", "hi"),))


def now() -> float:
    return asyncio.get_running_loop().time()


async def read(handler, request: ChatRequest = ASK) -> str:
    async with await handler(request) as reply:
        return "".join([e.text async for e in reply if isinstance(e, TextDelta)])


def deadline(seconds: float, silence: float | None = None) -> Deadline:
    return Deadline(seconds, silence, clock=LoopClock())


def test_a_head_that_never_comes():
    async def main():
        handler = deadline(5)(Hang()(ScriptedHandler()))
        with pytest.raises(DeadlineExceededError, match="within 5 s"):
            await handler(ASK)
        assert now() == pytest.approx(5)

    run_virtual(main)


def test_an_answer_that_does_not_end_in_time_and_its_source_is_closed():
    async def main():
        upstream = ScriptedHandler(default="one two three four five", pause=2)
        with pytest.raises(DeadlineExceededError):
            await read(deadline(5)(upstream))
        assert now() == pytest.approx(5)
        assert upstream.open == 0

    run_virtual(main)


@pytest.mark.parametrize("layers", [1, 2])
def test_what_is_done_after_an_answer_that_came_in_time_is_not_cut(layers):
    """Such as writing its last piece to a client that reads slowly."""

    async def main():
        handler = stack(*[deadline(5, silence=4)] * layers)(ScriptedHandler(default="one two", pause=1))
        async with await handler(ASK) as reply:
            async for _ in reply:
                pass
            await asyncio.sleep(60)

    run_virtual(main)


def test_a_silence_in_the_middle():
    async def main():
        handler = deadline(100, silence=3)(Cut(after=2, error=None)(ScriptedHandler(default="one two three", pause=2)))
        with pytest.raises(DeadlineExceededError, match="no data for 3 s"):
            await read(handler)
        assert now() == pytest.approx(2 + 2 * 2 + 3)

    run_virtual(main)


def test_slow_and_steady_is_not_silence():
    async def main():
        handler = deadline(100, silence=3)(ScriptedHandler(default="word " * 20, pause=2))
        assert await read(handler) == "word " * 20

    run_virtual(main)


def test_a_slow_reader_is_told_at_its_next_word_and_not_disturbed_before():
    async def main():
        async with await deadline(5)(ScriptedHandler(default="one two three"))(ASK) as reply:
            events = aiter(reply)
            assert (await anext(events)).text == "one "
            await asyncio.sleep(60)
            with pytest.raises(DeadlineExceededError):
                await anext(events)

    run_virtual(main)


def test_the_earlier_deadline_counts_and_the_inner_layers_know_it():
    async def main():
        seen = []

        async def upstream(request):
            seen.append(request.meta.deadline)
            return await ScriptedHandler()(request)

        await read(deadline(5)(upstream))
        await read(deadline(5)(upstream), ChatRequest("m", (), meta=Meta(deadline=now() + 2)))
        assert seen == [5.0, 2.0]
        with pytest.raises(DeadlineExceededError, match="had passed"):
            await read(deadline(5)(upstream), ChatRequest("m", (), meta=Meta(deadline=now())))

    run_virtual(main)


def test_a_cancellation_from_outside_stays_one():
    async def main():
        handler = deadline(5)(Hang()(ScriptedHandler()))
        task = asyncio.ensure_future(handler(ASK))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):  # asyncio's own, from outside
            async with asyncio.timeout(1):
                await handler(ASK)

    run_virtual(main)


def test_nothing_is_left_when_all_went_well():
    async def main():
        assert await read(deadline(5, silence=1)(ScriptedHandler(default="x"))) == "x"
        await asyncio.sleep(100)  # no timer strikes this task

    run_virtual(main)


def test_tries_share_one_deadline():
    async def main():
        from rightseat.errors import UpstreamError

        handler = stack(deadline(2), Retry(clock=LoopClock(), chance=lambda: 1.0))(
            ScriptedHandler(default=UpstreamError(503, "busy"), pause=1)
        )
        with pytest.raises((UpstreamError, DeadlineExceededError)):
            await read(handler)
        assert now() <= 2

    run_virtual(main)


async def test_another_task_may_read_on():
    """In real time: the answer is begun by one task and read by another."""
    reply = await Deadline(0.05)(Cut(after=1, error=None)(ScriptedHandler(default="one two")))(ASK)
    events = aiter(reply)
    await anext(events)
    with pytest.raises(DeadlineExceededError):
        await asyncio.ensure_future(anext(events))
    await reply.aclose()


@pytest.mark.parametrize(("args", "field"), [((0,), "seconds"), ((-1,), "seconds"), ((5, 0), "silence")])
def test_nonsense_is_refused_by_name(args, field):
    with pytest.raises(InvalidOptionError, match=f"^{field}: "):
        Deadline(*args)


def test_an_answer_that_comes_too_late_is_closed():
    async def main():
        closed = []

        async def events():
            try:
                yield TextDelta("x")
            finally:
                closed.append(True)

        async def stubborn(request):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(10)
            reply = Reply(events())
            await anext(aiter(reply))
            return reply

        with pytest.raises(DeadlineExceededError):
            await read(deadline(1)(stubborn))
        assert closed == [True]

    run_virtual(main)
