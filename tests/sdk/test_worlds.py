"""C1: no order of questions, cancellations and tools on one session mixes, loses or doubles an answer."""

import asyncio
import collections

import pytest
from tests.sdk.worlds import KINDS, QUESTIONS, World, lookup, world

SEEDS = 100  # `make sim` plays 1,000


def test_every_question_gets_its_own_answer_in_every_world():
    ends = collections.Counter()
    for seed in range(SEEDS):
        try:
            ends += world(seed)
        except BaseException as e:
            e.add_note(f"python -m tests.sdk.worlds --seed {seed}")
            raise
    assert set(ends) == set(KINDS)


@pytest.mark.contract
async def test_every_question_gets_its_own_answer_in_fifty_worlds_of_the_real_cli(copilot, simulate):
    server = await simulate(pace=600)
    async with copilot(server) as client:

        async def play(first):
            async with await client.create_session(streaming=True, tools=[lookup]) as session:
                for seed in range(first, first + 10):
                    async with asyncio.timeout(60):
                        await World(session, seed, second=0.1, kinds=QUESTIONS, most=4).play()

        await asyncio.gather(*(play(first) for first in range(0, 50, 10)))
