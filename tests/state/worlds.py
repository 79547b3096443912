"""Random worlds of a budget: several workers over one store, clients that leave, upstreams that cut and refuse, workers that are killed.

A world is played from a seed, so that one that fails can be played again: `python -m tests.state.worlds --seed N`.
"""

import argparse
import asyncio
import contextlib
import logging
import random
import sqlite3
import tempfile
from pathlib import Path

from rightseat.chat import Estimate, Usage
from rightseat.errors import KeyDatabaseError
from rightseat.gateway.access.admission import Admission, KeyLimitError
from rightseat.gateway.access.caller import Caller
from rightseat.gateway.access.keys import KeyRing
from rightseat.gateway.access.refusals import Refusals
from rightseat.state.budget import Spent
from rightseat.state.key_record import Key
from rightseat.state.memory import MemoryDatabase, MemoryState
from rightseat.state.sql import SqlState
from rightseat.testing.clock import FakeClock, SeededIds

LATER = 16.0  # seconds, after which a killed worker is known to be dead


async def pepper(_):
    """What keys the hashes."""
    return b"pepper"


class Unreliable:
    """A ledger whose answers may be lost, before it has done what was asked or after."""

    def __init__(self, ledger, chance):
        self._ledger, self._chance, self.trouble, self.is_dead = ledger, chance, 0.0, False

    def __getattr__(self, name):
        method = getattr(self._ledger, name)

        async def call(*arguments):
            if self._chance.random() < self.trouble:
                raise KeyDatabaseError("the database of keys failed before it did anything")
            for _ in range(self._chance.randrange(3)):
                await asyncio.sleep(0)
            if self.is_dead:
                raise KeyDatabaseError("killed")
            answer = await method(*arguments)
            for _ in range(self._chance.randrange(2)):
                await asyncio.sleep(0)
            if self._chance.random() < self.trouble:
                raise KeyDatabaseError("the answer of the database of keys was lost")
            return answer

        return call


class Running:
    """A worker, and the requests that it has under way."""

    def __init__(self, state, chance, ids):
        self.state = state
        self.ledger = Unreliable(state.ledger, chance)
        self.ring = KeyRing(state.keys, pepper)
        self.admission = Admission(self.ledger, self.ring, Refusals(), ids=ids)
        self.open = []  # (reservation, estimate)


class World:
    """One world. `await World(seed, start, held, clock).play()`; raises AssertionError.

    `start` starts a worker's state; `held` gives the open reservations as rows of id, worker and size.
    """

    def __init__(self, seed, start, held, clock):
        self._chance, self._start, self._held, self._clock = random.Random(seed), start, held, clock
        self._ids = SeededIds(seed)
        self.workers = []
        self.budget = self._chance.choice([0, 1, 500, 5000, 20_000, 40_000, 80_000])
        self.booked = {}  # reservation -> what must be booked for it in the end
        self.largest = 0

    async def play(self, steps=120):
        """Play it to its end."""
        await self._begin()
        key = Key(id="ann", name="ann", digest="0" * 64, created_at=1.0, daily_tokens=self.budget)
        await self.workers[0].state.keys.create(key)
        for worker in self.workers:
            await worker.ring.look()
        moves = (
            [self.arrive] * 5
            + [self.end] * 5
            + [self.leave] * 2
            + [self.kill, self.trouble, self.wait, self.rush, self.write]
        )
        for _ in range(steps):
            await self._chance.choice(moves)()
            await self.check()
        await self.finish()

    async def _begin(self):
        for _ in range(self._chance.randint(1, 3)):
            self.workers.append(Running(await self._start(), self._chance, self._ids))

    def _worker(self):
        return self._chance.choice(self.workers)

    async def arrive(self, worker=None):
        """A request comes in, and may be let through."""
        worker = worker or self._worker()
        estimate = Estimate(self._chance.randint(0, 200), self._chance.randint(200, 900))
        self.largest = max(self.largest, estimate.most)
        with contextlib.suppress(KeyLimitError, KeyDatabaseError):
            await worker.admission.enter(Caller("ann"))
            worker.open.append((await worker.admission.reserve("ann", estimate), estimate))

    async def rush(self):
        """Many at once."""
        await asyncio.gather(*(self.arrive() for _ in range(self._chance.randint(2, 12))))

    async def end(self):
        """A request ends, in one of the ways in which requests end, once or twice."""
        worker = self._worker()
        if not worker.open:
            return
        reservation, estimate = worker.open.pop(self._chance.randrange(len(worker.open)))
        told = self._usage(estimate)
        received = self._chance.randint(0, estimate.most - estimate.input_tokens)
        cut = max(told.input_tokens, estimate.input_tokens) + max(told.output_tokens, received)
        blind = estimate.input_tokens + received
        ways = [
            ({"usage": told, "is_final": True, "reached": True}, told.input_tokens + told.output_tokens),
            ({"usage": told, "is_final": False, "reached": True}, cut),
            ({"usage": None, "is_final": False, "reached": True}, blind),
            ({"usage": None, "is_final": False, "reached": False}, 0),
            ({"usage": None, "is_final": False, "reached": True, "refused": True}, 0),
        ]
        how, booked = self._chance.choice(ways)
        self.booked[reservation._hold] = booked
        for _ in range(self._chance.randint(1, 2)):
            reservation.settle(received=received, **how)
        if self._chance.random() < 0.3:
            await self.kill(worker)

    def _usage(self, estimate):
        read = self._chance.randint(0, estimate.input_tokens)
        return Usage(read, self._chance.randint(0, estimate.most - estimate.input_tokens))

    async def leave(self):
        """A client leaves while its request is being let through."""
        self.largest = max(self.largest, 300)
        task = asyncio.ensure_future(self._worker().admission.reserve("ann", Estimate(5, 300)))
        for _ in range(self._chance.randrange(6)):
            await asyncio.sleep(0)
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        if not isinstance(result, BaseException):
            result.settle(usage=None, is_final=False, received=0, reached=False)

    async def kill(self, worker=None):
        """A worker is killed, and another one started."""
        worker = worker or self._worker()
        worker.ledger.is_dead = True
        await worker.state.crash()
        for hold, whose, size in self._held():
            if whose == worker.state.ledger.worker:
                self.booked[hold] = size
        self.workers.remove(worker)
        self._clock.advance(LATER)
        for other in self.workers:
            await other.state.ledger.beat()
        fresh = Running(await self._start(), self._chance, self._ids)
        self.workers.append(fresh)
        await fresh.ring.look()
        await fresh.state.ledger.beat()

    async def trouble(self):
        """The database gets worse, or better."""
        self._worker().ledger.trouble = self._chance.choice([0.0, 0.0, 0.3, 1.0])

    async def wait(self):
        """Time goes by, and those who live say so."""
        for _ in range(self._chance.randint(1, 5)):
            self._clock.advance(self._chance.random() * 10)
            for worker in self.workers:
                await worker.state.ledger.beat()

    async def write(self):
        """Everything is written that can be."""
        with contextlib.suppress(KeyDatabaseError):
            await self._worker().admission.flush()

    async def check(self):
        """At every moment: what is booked and what is reserved is within the budget and one request."""
        booked, reserved = await self._booked(), sum(size for _, _, size in self._held())
        assert booked >= 0
        assert booked + reserved <= max(0, self.budget - 1) + self.largest, (booked, reserved, self.budget)

    async def _booked(self):
        return (await self.workers[0].state.ledger.spent()).get("ann", {}).get("day", Spent()).tokens

    async def finish(self):
        """In the end every reservation has ended, and what is booked is what was used."""
        for worker in self.workers:
            worker.ledger.trouble = 0.0
            for reservation, estimate in worker.open:
                self.booked[reservation._hold] = estimate.most
                reservation.settle(usage=Usage(0, estimate.most), is_final=True, received=0, reached=True)
        for worker in self.workers:
            await worker.admission.close()
            await worker.state.ledger.beat()
        assert self._held() == []
        assert await self._booked() == sum(self.booked.values())
        for worker in self.workers:
            await worker.state.close()


async def play_in_memory(seed, steps=120):
    """A world over a store in memory."""
    clock, shared = FakeClock(), MemoryDatabase()

    async def start():
        return MemoryState(shared, clock=clock)

    def held():
        return [(hold.id, hold.worker, hold.most) for hold in shared.open.values()]

    await World(seed, start, held, clock).play(steps)


async def play_in_a_file(seed, folder, steps=60):
    """A world over a real SQLite file."""
    clock = FakeClock()

    async def start():
        state = SqlState(folder / f"{seed}.sqlite", clock=clock)
        return await state.__aenter__()

    def held():
        with contextlib.closing(sqlite3.connect(folder / f"{seed}.sqlite")) as db:
            return db.execute("select id, worker, tokens from reservations").fetchall()

    await World(seed, start, held, clock).play(steps)


async def main():
    """Play many."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--seed", type=int)
    logging.disable()
    given = parser.parse_args()
    seeds = range(given.seeds) if given.seed is None else [given.seed]
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            try:
                await play_in_memory(seed)
                if seed % 20 == 0 or given.seed is not None:
                    await play_in_a_file(seed, Path(folder))
            except BaseException:
                print(f"seed {seed}")
                raise
    print(f"{len(seeds)} worlds of budgets")


if __name__ == "__main__":
    asyncio.run(main())
