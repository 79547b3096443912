"""Cooldowns of accounts are shared by all processes of a store, and never waited for."""

import asyncio

import pytest

from rightseat.accounts.pool import AccountPool
from rightseat.accounts.store import Account, MemoryAccounts
from rightseat.errors import UpstreamError
from rightseat.state.key_record import Key
from rightseat.state.memory import MemoryDatabase, MemoryState
from rightseat.state.opening import open_state
from rightseat.testing.clock import LoopClock, run_virtual


async def refuse(pool, model="gpt-5", **options):
    attempts = await pool.attempts(model, "", "caller")
    _, candidate = attempts.next()
    assert attempts.refused(candidate, UpstreamError(429, "slow down", code="rate_limited", **options))


async def synced(pool):
    await asyncio.sleep(1.1)
    await pool.known()
    await asyncio.sleep(0.1)


def test_what_one_process_was_refused_no_other_asks_for_and_a_new_token_ends_it_for_all():
    async def main():
        clock, database = LoopClock(), MemoryDatabase()
        one, two = (
            AccountPool(MemoryAccounts(Account("ann", "gho_a")), clock, MemoryState(database, clock=clock).cooldowns)
            for _ in range(2)
        )
        await refuse(one, retry_after=60)
        await synced(two)
        with pytest.raises(UpstreamError, match="slow down") as e:
            (await two.attempts("gpt-5", "", "another")).next()
        assert (e.value.status, e.value.code, round(e.value.retry_after)) == (429, "rate_limited", 59)
        (await two.attempts("claude", "", "another")).next()  # another model is not cooling down
        two.forget("ann")
        await synced(one)
        assert (await one.attempts("gpt-5", "", "caller")).next()[0].name == "ann"
        await refuse(one, retry_after=1)
        await synced(two)
        assert (await two.attempts("gpt-5", "", "another")).next()[0].name == "ann"  # it is over
        await one.aclose()
        await two.aclose()

    run_virtual(main)


async def test_without_the_database_a_process_keeps_its_own_cooldowns(tmp_path, caplog):
    async with open_state(tmp_path / "k.sqlite") as state:
        await state.keys.create(Key(id="ann", name="ann", digest="0" * 64, created_at=1.0))
    pool = AccountPool(MemoryAccounts(Account("ann", "gho_a")), cooldowns=state.cooldowns)
    await refuse(pool)
    while "are not shared" not in caplog.text:
        await asyncio.sleep(0.01)
    with pytest.raises(UpstreamError, match="slow down"):
        (await pool.attempts("gpt-5", "", "another")).next()
    await pool.aclose()


def test_cooldowns_of_models_with_long_names_are_shared_as_their_own_and_none_is_lost():
    long, longer, endless = "m" * 120, "m" * 121, "m" * 2000

    async def main():
        clock, database = LoopClock(), MemoryDatabase()
        one, two = (
            AccountPool(MemoryAccounts(Account("ann", "gho_a")), clock, MemoryState(database, clock=clock).cooldowns)
            for _ in range(2)
        )
        await refuse(one, long, retry_after=60)
        await refuse(one, endless, retry_after=60)
        await synced(one)
        await synced(two)
        for pool, model, rests in ((one, long, True), (one, endless, True), (two, long, True), (two, longer, False)):
            attempts = await pool.attempts(model, "", "another")
            if rests:
                with pytest.raises(UpstreamError, match="slow down"):
                    attempts.next()
            else:
                attempts.next()
        await one.aclose()
        await two.aclose()

    run_virtual(main)
