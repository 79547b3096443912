"""Budgets hold, streams end once, nothing is left: in random worlds of clients that leave, an upstream that lies, and workers that are killed."""

import collections

import pytest
from tests.amounts import amount
from tests.gateway import killed, worlds

SEEDS = amount(60, 1000)  # `make sim` plays 10,000
STATES = (
    "left: body",
    "left: before upstream",
    "left: before the head",
    "left: stream",
    "resumed",
    "ended: cancelled",
    "turn: complete",
    "pulled",
    "pushed",
    "used a connection again",
)


@pytest.fixture(autouse=True)
def _quiet():
    with worlds.quiet():
        yield


def test_whatever_happens_budgets_hold_and_nothing_is_left():
    seen = collections.Counter()
    for seed in range(SEEDS):
        try:
            seen.update(worlds.play(seed))
        except BaseException as e:
            e.add_note(f"world {seed}; play it again: make sim SEED={seed}")
            raise
    assert not [state for state in STATES if not seen[state]], seen


def test_a_world_can_be_played_again():
    assert worlds.play(17) == worlds.play(17)


async def test_a_process_that_is_killed_again_and_again_loses_no_booking_and_blocks_no_key(tmp_path):
    assert await killed.play(1, 4, tmp_path, 1000) > 0
