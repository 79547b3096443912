"""What every store promises: the same tests for memory, SQLite and PostgreSQL, with several workers."""

import asyncio
import random

import pytest

from rightseat.state.budget import Settle, Spent, day_of
from rightseat.state.key_record import Key
from rightseat.testing.clock import FakeClock

NOTHING = Spent()
LATER = 16.0  # seconds; by then a worker that is dead is known to be


async def make(state, **fields):
    key = Key(**{"id": "ann", "name": "ann", "digest": "0" * 64, "created_at": 1.0, **fields})
    await state.keys.create(key)
    return key


async def used(state, key_id="ann", period="day"):
    return (await state.ledger.spent()).get(key_id, {}).get(period, NOTHING)


async def entered(state, key, hold, most, input_tokens=0):
    assert not (await state.ledger.enter(key)).refused
    return await state.ledger.reserve(key, hold, input_tokens, most)


async def settle(state, key, hold, tokens):
    (ended,) = await state.ledger.settle([Settle(key, hold, Spent(0, tokens))])
    return ended


class TestKeyTable:
    async def test_a_change_is_seen_by_all_and_makes_the_version_grow(self, worker):
        one, two = await worker(), await worker()
        before = await two.keys.version()
        key = await make(one, models=("gpt-*", "claude-*"), daily_tokens=5)
        assert await two.keys.list() == [key]
        assert await two.keys.version() > before

    async def test_a_rotated_key_keeps_its_id_and_both_secrets_count_for_a_while(self, worker):
        state = await worker(FakeClock())
        old = await make(state, daily_tokens=5)
        now = FakeClock().wall()
        new = await state.keys.rotate(old.id, "1" * 64, grace_seconds=60)
        assert (new.id, new.daily_tokens) == (old.id, 5)
        assert [bool(new.matching(d * 64, now + 59)) for d in "01"] == [True, True]
        assert [bool(new.matching(d * 64, now + 61)) for d in "01"] == [False, True]
        newer = await state.keys.rotate(old.id, "2" * 64)
        assert not newer.matching("1" * 64, now)
        assert (await state.keys.revoke(old.id)).revoked_at == now
        assert await state.keys.rotate(old.id, "3" * 64) is None
        assert await state.keys.revoke("none") is None
        assert await state.keys.rotate("none", "3" * 64) is None

    async def test_keys_changed_at_once_are_all_seen(self, worker):
        pair = [await worker(), await worker()]
        await asyncio.gather(*(make(pair[i % 2], id=f"k{i}") for i in range(24)))
        before = await pair[0].keys.version()
        await asyncio.gather(*(pair[0].keys.rotate(f"k{i}", "1" * 64, 60) for i in range(24)))
        await asyncio.gather(*(pair[1].keys.revoke(f"k{i}") for i in range(24)))
        assert await pair[0].keys.version() == before + 48
        assert [key.revoked_at is not None for key in await pair[1].keys.list()] == [True] * 24


class TestLedger:
    async def test_what_is_reserved_by_one_worker_is_not_there_for_another(self, worker):
        one, two = await worker(), await worker()
        key = await make(one, daily_tokens=100)
        assert not (await entered(one, key, "a", 90)).refused
        verdict = await entered(two, key, "b", 90)
        assert (verdict.refused, verdict.reserved) == ("daily_tokens", True)
        assert await settle(one, key, "a", 10)
        assert not (await entered(two, key, "c", 90)).refused

    async def test_a_reservation_is_ended_once(self, worker):
        one, two = await worker(), await worker()
        key = await make(one, daily_tokens=100)
        await entered(one, key, "a", 90)
        twice = [Settle(key, "a", Spent(0, 30))] * 2
        assert sorted(await one.ledger.settle(twice)) == [False, True]
        assert not await settle(one, key, "a", 30)
        assert not await settle(two, key, "a", 30)
        assert not await settle(two, key, "never", 30)
        assert (await used(two)).tokens == 30

    async def test_every_request_that_goes_on_is_counted_once(self, worker):
        state = await worker()
        key = await make(state, daily_tokens=100)
        await state.ledger.enter(key)  # asks for the models
        await entered(state, key, "a", 60)
        assert (await entered(state, key, "b", 60)).refused
        await settle(state, key, "a", 10)
        assert await used(state) == Spent(2, 10)

    async def test_a_budget_of_zero_lets_nothing_through(self, worker):
        state = await worker()
        key = await make(state, daily_tokens=0)
        verdict = await state.ledger.enter(key)
        assert (verdict.refused, verdict.reserved) == ("daily_tokens", False)

    async def test_a_used_up_budget_is_refused_until_the_day_ends(self, worker):
        clock = FakeClock(at=0.0)
        state = await worker(clock)
        key = await make(state, daily_tokens=50)
        await entered(state, key, "a", 60)
        await settle(state, key, "a", 60)
        verdict = await state.ledger.enter(key)
        assert verdict.refused == "daily_tokens"
        clock.advance(verdict.wait)
        assert not (await state.ledger.enter(key)).refused

    async def test_requests_a_minute_are_counted_together(self, worker):
        one, two = await worker(), await worker()
        key = await make(one, requests_per_minute=4)
        verdicts = [await state.ledger.enter(key) for state in (one, two) * 3]
        assert [v.refused for v in verdicts] == [""] * 4 + ["requests_per_minute"] * 2
        assert 0 < verdicts[-1].wait <= 15

    async def test_tokens_a_minute_that_were_not_used_come_back(self, worker):
        clock = FakeClock()
        one, two = await worker(clock), await worker(clock)
        key = await make(one, tokens_per_minute=1000)
        assert not (await entered(one, key, "a", 900)).refused
        assert (await entered(two, key, "b", 900)).refused == "tokens_per_minute"
        await settle(one, key, "a", 50)
        assert not (await entered(two, key, "c", 900)).refused

    async def test_use_by_day_and_month(self, worker):
        clock = FakeClock()
        state = await worker(clock)
        await make(state)
        await state.ledger.add({"ann": Spent(1, 10, 5, 4)})
        clock.advance(86_400)
        await state.ledger.add({"ann": Spent(1, 1, 1)})
        assert await used(state) == Spent(1, 1, 1)
        assert await used(state, period="month") == Spent(2, 11, 6, 4)

    async def test_months_are_told_apart(self, worker):
        clock = FakeClock()
        state = await worker(clock)
        key = await make(state, monthly_tokens=10)
        await state.ledger.add({"ann": Spent(1, 20)})
        assert (await state.ledger.enter(key)).refused == "monthly_tokens"
        assert day_of(clock.wall()).startswith("2027-01")
        clock.advance(31 * 86_400)
        assert not (await state.ledger.enter(key)).refused

    async def test_what_a_dead_worker_has_reserved_is_booked_in_full_and_blocks_nobody(self, worker):
        clock = FakeClock()
        one, two = await worker(clock), await worker(clock)
        key = await make(one, daily_tokens=100)
        await entered(one, key, "a", 90, input_tokens=20)
        assert (await entered(two, key, "b", 90)).reserved
        await one.crash()
        clock.advance(LATER)
        assert not (await entered(two, key, "c", 90)).refused  # asked at once: nobody has to wait for a beat
        assert await used(two) == Spent(2, 20, 70)

    async def test_a_crash_is_made_good_at_the_next_start(self, worker):
        clock = FakeClock()
        one = await worker(clock)
        key = await make(one, daily_tokens=100)
        await entered(one, key, "a", 150, input_tokens=20)
        await one.crash()
        clock.advance(LATER)
        two = await worker(clock)
        await two.ledger.beat()
        assert (await used(two)).tokens == 150
        verdict = await two.ledger.enter(key)
        assert (verdict.refused, verdict.reserved) == ("daily_tokens", False)

    async def test_a_worker_that_lives_keeps_what_it_has_reserved_for_hours(self, worker):
        clock = FakeClock()
        one, two = await worker(clock), await worker(clock)
        key = await make(one, daily_tokens=100)
        await entered(one, key, "a", 90)
        for _ in range(600):
            clock.advance(12.0)
            await one.ledger.beat()
            if random.random() < 0.1:
                await two.ledger.beat()
        assert (await entered(two, key, "b", 90)).reserved
        assert await settle(one, key, "a", 7)
        assert (await used(two)).tokens == 7

    async def test_what_is_settled_after_its_worker_was_taken_for_dead_is_not_booked_twice(self, worker):
        clock = FakeClock()
        one, two = await worker(clock), await worker(clock)
        key = await make(one, daily_tokens=100)
        await entered(one, key, "a", 90)
        await one.crash()
        clock.advance(LATER)
        await two.ledger.beat()
        assert not await settle(two, key, "a", 5)
        assert (await used(two)).tokens == 90

    async def test_an_orderly_end_books_what_nobody_has_settled(self, worker):
        one, two = await worker(), await worker()
        key = await make(one, daily_tokens=100)
        await entered(one, key, "a", 30)
        await one.close()
        assert (await used(two)).tokens == 30
        assert not (await entered(two, key, "b", 60)).refused

    async def test_many_at_once_over_two_workers_never_spend_the_same_tokens(self, worker):
        pair = [await worker(), await worker()]
        key = await make(pair[0], daily_tokens=1000)
        verdicts = await asyncio.gather(*(entered(pair[i % 2], key, f"h{i}", 10) for i in range(300)))
        going = [f"h{i}" for i, verdict in enumerate(verdicts) if not verdict.refused]
        assert len(going) == 100
        settled = [pair[i % 2].ledger.settle([Settle(key, hold, Spent(0, 7, 3))]) for i, hold in enumerate(going)]
        beats = [pair[i % 2].ledger.beat() for i in range(40)]
        others = [pair[i % 2].ledger.add({"bob": Spent(1, 7, 3)}) for i in range(40)]
        await asyncio.gather(*settled, *beats, *others)
        assert await used(pair[1]) == Spent(100, 700, 300)
        assert await used(pair[1], "bob") == Spent(40, 280, 120)


class TestSmallStores:
    async def test_the_longer_cooldown_stays_and_ends(self, worker):
        clock = FakeClock()
        state = await worker(clock)
        await state.cooldowns.put("ann/gpt-5", 60, "429")
        await state.cooldowns.put("ann/gpt-5", 5, "later")
        assert (await state.cooldowns.all())["ann/gpt-5"].reason == "429"
        clock.advance(61)
        assert await state.cooldowns.all() == {}

    async def test_a_cooldown_is_seen_and_ended_by_every_worker(self, worker):
        clock = FakeClock()
        one, two = await worker(clock), await worker(clock)
        await make(one)
        await one.cooldowns.put("ann/gpt-5", 60, "429", b"detail")
        clock.advance(20)
        (found,) = (await two.cooldowns.all()).values()
        assert (found.seconds, found.reason, found.detail) == (40, "429", b"detail")
        await two.cooldowns.clear("ann/gpt-5")
        assert await one.cooldowns.all() == {}

    async def test_a_login_is_seen_and_removed_by_every_worker(self, worker):
        one, two = await worker(), await worker()
        await make(one)
        await one.logins.put("a", b"1")
        await one.logins.put("a", b"2")
        assert await two.logins.get("a") == b"2"
        await two.logins.remove("a")
        assert await one.logins.get("a") is None

    async def test_logins_are_remembered_and_the_oldest_forgotten(self, worker):
        state = await worker()
        for i in range(150):
            await state.logins.put(str(i), b"{}")
        assert (await state.logins.get("0"), await state.logins.get("149")) == (None, b"{}")
        await state.logins.remove("149")
        assert await state.logins.get("149") is None


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_the_reservation_is_on_disk_before_the_caller_goes_on(database):
    """Read by a connection of our own, while the worker still runs."""
    import sqlalchemy

    from rightseat.state.engine import make_engine, place_of
    from rightseat.state.opening import open_state

    async with open_state(database) as state:
        key = await make(state, daily_tokens=100)
        await entered(state, key, "a", 90)
        engine = make_engine(place_of(database))
        with engine.connect() as db:
            assert db.execute(sqlalchemy.text("select id, tokens from reservations")).all() == [("a", 90)]
        engine.dispose()
        await settle(state, key, "a", 0)
