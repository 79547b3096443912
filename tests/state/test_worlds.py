"""A3, B9: no order of requests, endings, cancellations and crashes spends more than a budget and one request, loses a booking or makes it twice."""

import pytest
from tests.amounts import amount
from tests.state.worlds import play_in_a_file, play_in_memory


@pytest.mark.parametrize("first", range(0, amount(100, 400), 50))
async def test_a_budget_holds_in_every_world(first):
    for seed in range(first, first + 50):
        try:
            await play_in_memory(seed)
        except AssertionError as e:
            e.add_note(f"python -m tests.state.worlds --seed {seed}")
            raise


@pytest.mark.parametrize("seed", range(8))
async def test_a_budget_holds_in_every_world_over_a_file(seed, tmp_path):
    await play_in_a_file(seed, tmp_path)
