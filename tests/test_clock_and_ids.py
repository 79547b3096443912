"""Time and chance have one door each, and a test can own both."""

import asyncio
import re
import uuid

from rightseat.clock import SYSTEM_CLOCK
from rightseat.ids import SYSTEM_IDS
from rightseat.testing import FakeClock, LoopClock, SeededIds, run_virtual


def test_ids_are_of_the_form_they_say():
    for ids in (SYSTEM_IDS, SeededIds(1)):
        assert uuid.UUID(ids.uuid()).version == 4
        assert re.fullmatch(r"[0-9a-f]{25}", ids.hex(25))
        assert re.fullmatch(r"[A-Za-z0-9_-]{32}", ids.token(24))
        assert len(ids.entropy(33)) == 33
        assert 0 <= ids.chance() < 1
        assert len({ids.uuid() for _ in range(100)}) == 100


def test_a_seed_gives_the_same_ids_every_time():
    def some(seed):
        ids = SeededIds(seed)
        return [ids.uuid(), ids.hex(24), ids.token(), ids.chance()]

    assert some(7) == some(7) != some(8)


def test_the_wall_clock_of_a_test_moves_with_its_time():
    clock = FakeClock()
    before = clock.wall()
    clock.advance(60)
    assert clock.wall() == before + 60

    async def main():
        before = LoopClock().wall()
        await LoopClock().sleep(3600)
        return LoopClock().wall() - before

    assert run_virtual(main) == 3600


async def test_the_systems_clock_is_that_of_the_loop():
    assert abs(SYSTEM_CLOCK.now() - asyncio.get_running_loop().time()) < 5
    assert SYSTEM_CLOCK.wall() > 1_700_000_000
