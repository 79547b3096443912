"""Leaving one turn ends that turn and no other: what waits in the CLI, steers, is being sent or follows is answered all the same."""

import asyncio

import pytest
from tests.sdk.worlds import in_world

from rightseat import AnswerTooLongError, TurnAbortedError


def now() -> float:
    return asyncio.get_running_loop().time()


async def read(stream) -> str:
    return "".join([text async for text in stream])


def test_leaving_a_stream_loses_no_message_that_was_sent_meanwhile():
    async def main(session, cli):
        async with session.stream("a long story") as stream:
            await anext(stream)
            sent = await session.send("sent meanwhile")
        assert await session.send_and_wait("after it") is not None
        assert [m.prompt for m in cli.answered if m.id == sent] == ["sent meanwhile"]

    in_world(main)


def test_a_message_that_is_cancelled_while_it_is_sent_ends_no_other():
    async def main(session, cli):
        cli.sending_takes = 1.0
        sent = asyncio.ensure_future(session.send("somebody else's"))
        stream = asyncio.ensure_future(read(session.stream("cancelled")))
        await asyncio.sleep(0.5)
        stream.cancel()
        await sent
        assert (await session.send_and_wait("after it")).data.content == "echo: after it"
        assert [m.prompt for m in cli.answered] == ["somebody else's", "after it"]

    in_world(main)


def test_leaving_a_turn_that_is_just_ending_does_not_abort_the_next_one():
    async def main(session, cli):
        cli.queue_takes = 1.0  # the answer to "what waits?" comes when the next turn runs
        first = session.stream("first")
        await anext(first)
        following = asyncio.ensure_future(session.send_and_wait("a long story that follows"))
        await first.aclose()
        assert (await following).data.content == "echo: a long story that follows"

    in_world(main)


def test_leaving_a_turn_that_another_message_steered_does_not_take_that_ones_answer():
    async def main(session, cli):
        async with session.stream("a long story") as stream:
            await anext(stream)
            steering = asyncio.ensure_future(session.send_and_wait("steer", mode="immediate"))
            await cli.until_begun("steer")
        assert (await steering).data.content.startswith("echo: a long story")

    in_world(main)


def test_a_message_that_somebody_elses_abort_dropped_does_not_wait_for_ever():
    async def main(session, cli):
        await session.send("a long story")
        waiting = asyncio.ensure_future(session.send_and_wait("waits in the CLI", timeout=None))
        while not cli.waiting:
            await asyncio.sleep(0.01)
        await session.abort()
        with pytest.raises(TurnAbortedError, match="dropped"):
            await waiting

    in_world(main)


def test_a_turn_ends_when_the_next_one_in_the_clis_queue_begins():
    async def main(session, cli):
        first = asyncio.ensure_future(session.send_and_wait("first"))
        await cli.until_begun("first")
        await session.send("a long story of a whole minute" + " word" * 600)
        await first
        assert now() < 5

    in_world(main)


def test_an_answer_that_is_given_up_keeps_its_place_until_the_cli_is_free(monkeypatch):
    monkeypatch.setattr("rightseat.sdk.unread.MAX_UNREAD", 10)

    async def main(session, cli):
        stream = session.stream("a very long story")
        await stream.__aenter__()
        following = asyncio.ensure_future(session.send_and_wait("after it"))
        with pytest.raises(AnswerTooLongError):
            await asyncio.sleep(1)
            await read(stream)
        assert (await following).data.content == "echo: after it"
        assert [m.prompt for m in cli.aborted] == ["a very long story"]

    in_world(main)


def test_leaving_goes_on_when_whoever_leaves_is_cancelled():
    async def main(session, cli):
        cli.queue_takes = 0.5
        stream = session.stream("a long story" + " word" * 600)
        await anext(stream)
        leaving = asyncio.ensure_future(stream.aclose())
        await asyncio.sleep(0.1)
        leaving.cancel()
        while not cli.aborted:
            await asyncio.sleep(0.1)
        assert now() < 2

    in_world(main)
