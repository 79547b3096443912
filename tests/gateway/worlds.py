"""Random worlds of whole gateways, in virtual time: several workers over one store, hostile clients, an upstream that cuts and lies, kill -9.

Everything is real but the network and GitHub: router, access, layers, pipeline, endpoints and both sockets. Requests come as exchanges in
memory, through ASGI, and on connections of our own server; upstream's answers are read by our own client, or its twin; so they are pulled, or
pushed from socket to socket. A world is played from a seed, so that one that fails can be played again: `python -m tests.gateway.worlds --seed N`.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import logging
import random
import time

from tests.gateway import world_clients
from tests.gateway.cloud import Cloud, Door, account
from tests.gateway.world_wire import Pipe

from rightseat.accounts.store import MemoryAccounts
from rightseat.errors import KeyDatabaseError
from rightseat.gateway.app import Gateway, Outside
from rightseat.gateway.config import Settings
from rightseat.gateway.http.core import serving
from rightseat.gateway.http.core.base import Core
from rightseat.gateway.http.core.connection import ServerConnection
from rightseat.gateway.http.exchange import Head
from rightseat.gateway.http.memory_exchange import MemoryExchange
from rightseat.gateway.http.server_options import Shared
from rightseat.gateway.run import options_of
from rightseat.layers.observe import CURRENT
from rightseat.state.budget import Spent
from rightseat.state.memory import MemoryDatabase, MemoryState
from rightseat.testing.clock import EPOCH, LoopClock, SeededIds, run_virtual

MANAGEMENT = "management-key-of-the-worlds"
MIB = 1024 * 1024


async def pepper(_):
    """What keys the hashes."""
    return b"pepper"


class Held:
    """A reservation: of which request, how large, and what ended it."""

    def __init__(self, key_id, request_id, most):
        self.key_id, self.request_id, self.most, self.settled = key_id, request_id, most, None


class Ledger:
    """A worker's ledger, which is slow, may fail, and writes nothing any more once the worker is dead."""

    def __init__(self, ledger, world):
        self._ledger, self._world, self.is_dead, self.trouble = ledger, world, False, 0.0

    async def enter(self, key):
        return await self._call(self._ledger.enter, key)

    async def reserve(self, key, hold, input_tokens, most):
        call = CURRENT.get()
        self._world.holds[hold] = Held(key.id, call.request_id if call is not None else "", most)
        verdict = await self._call(self._ledger.reserve, key, hold, input_tokens, most)
        if verdict.refused:
            del self._world.holds[hold]
        return verdict

    async def settle(self, settlements):
        return await self._call(self._ledger.settle, settlements, before=lambda: self._note(settlements))

    async def add(self, spent):
        await self._call(self._ledger.add, spent)

    async def spent(self):
        return await self._call(self._ledger.spent)

    async def beat(self):
        await self._call(self._ledger.beat)

    def _note(self, settlements):
        for one in settlements:
            held = self._world.holds.get(one.hold)
            if held is not None and one.hold in self._world.database.open:
                assert held.settled is None, "a reservation has ended twice"
                held.settled = one.spent

    async def _call(self, method, *arguments, before=None):
        chance = self._world.chance
        if chance.random() < 0.3:
            await asyncio.sleep(chance.choice([0.0, 0.001, 0.03]))
        if self.is_dead or chance.random() < self.trouble:
            raise KeyDatabaseError("the database of keys does not answer")
        if before is not None:
            before()
        answer = await method(*arguments)
        if chance.random() < self.trouble:
            raise KeyDatabaseError("the answer of the database of keys was lost")
        return answer


class State(MemoryState):
    """A worker's stores."""

    def __init__(self, world):
        super().__init__(world.database, clock=LoopClock(), ids=world.ids)
        self._world = world
        self.ledger = Ledger(self.ledger, world)
        self.worker = self.ledger._ledger

    async def close(self):
        """As MemoryState does it."""
        if not self.ledger.is_dead:
            if [hold for hold in self._db.open.values() if hold.worker == self.worker.worker]:
                self._world.failures.append(AssertionError("a reservation was not ended by the request that made it"))
            self._db.alive.discard(self.worker.worker)
            self.worker.expire(self._db.alive)

    async def crash(self):
        """As a killed process does it."""
        self.ledger.is_dead = True
        self._db.alive.discard(self.worker.worker)


class Worker:
    """A gateway, as one process would run it."""

    def __init__(self, world, settings):
        self.world, self.is_alive, self.is_draining = world, True, False
        self.state, self.door = State(world), Door(world.cloud)
        outside = Outside(self.state, MemoryAccounts(account(world.chance)), self.door, pepper)
        skew = world.chance.choice([0.0, 0.0, -30.0, 45.0])  # of its own clock; the store has one for all
        self.app = Gateway(settings, LoopClock(EPOCH + skew), world.ids, outside=outside)
        self.running = set()
        self.lines, self.idle = [], []

    async def open(self):
        """It serves from now on."""
        await self.app.__aenter__()
        self.core = Core(self.app, Shared(options_of(self.app.settings), self.app.live, self.app.socket_memory))

    def line(self, chance):
        """A connection to its own server, new or used before."""
        if self.idle and chance.random() < 0.7 and (used := self.idle.pop()).is_usable:
            self.world.seen["used a connection again"] += 1
            return used
        line = Pipe(chance.choice([200, 2000, 64 * 1024]))
        self.lines.append(line)
        line.connect(ServerConnection(self.core))
        return line

    def start(self, work):
        """Something that happens in this process."""
        task = asyncio.ensure_future(work)
        self.running.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task):
        self.running.discard(task)
        if not task.cancelled() and task.exception() is not None and self.is_alive:
            self.world.failures.append(task.exception())

    async def kill(self):
        """kill -9: nothing of what it does from now on reaches anybody."""
        self.is_alive = False
        await self.state.crash()
        self.door.crash()
        for line in self.lines:
            line.sever()
        left = [*self.running, *self.core.tasks]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self.app.__aexit__(None, None, None)

    async def stop(self):
        """SIGTERM."""
        self.is_draining = True
        await self.app.live.drain(self.world.chance.choice([0.0, 1.0, 5.0]))
        for ask in self.world.asks:  # the server closes connections whose clients do not read
            if ask.worker is self and ask.has_stalled and ask.can_leave:
                ask.leave()
        await asyncio.sleep(0.1)
        assert len(self.app.live) == 0, "something is under way after the drain"
        await asyncio.gather(*self.running, return_exceptions=True)
        await self.close()

    async def close(self):
        self.ledger_works()
        await serving._close(self.core)
        assert not self.core.connections, "a connection is left"
        await self.app.__aexit__(None, None, None)
        self.is_alive = False
        self.world.check_empty(self)

    def ledger_works(self):
        self.state.ledger.trouble = 0.0


class World:
    """One world. `await World(seed).play()`; raises AssertionError.

    Attributes:
        asks: every request that clients made.
        calm: upstream misbehaves to one key alone; the others must be served.
    """

    def __init__(self, seed):
        self.chance, self.ids = random.Random(seed), SeededIds(seed)
        self.database, self.holds, self.failures, self.stopping = MemoryDatabase(), {}, [], []
        self.calm = self.chance.random() < 0.4
        self.cloud = Cloud(self.chance, self._is_honest)
        self.asks, self.logged, self.workers, self.clients = [], collections.Counter(), [], []
        self.status, self.seen = {}, collections.Counter()
        self.largest = collections.Counter()
        self.settings = self._settings()

    def _settings(self):
        pick = self.chance.choice
        places = 0 if self.calm else pick([0, 1, 2, 5])
        return Settings(
            management_key=MANAGEMENT, metrics=False, attempts=pick([1, 2, 3]), breaker=pick([True, False]), concurrency=places, queue=pick([0, 2, 50]),
            queue_seconds=pick([1.0, 5.0, 30.0]), ping_seconds=pick([0.0, 0.05, 1.0]), answer_seconds=pick([5.0, 60.0]),
            redact_answers=pick(["off", "off", "redact"]), custom_tools=pick(["pass", "function"]), sockets_per_key=pick([2, 100]),
            body_memory=pick([20_000, 16 * MIB]), body_limit=10_000, socket_memory=pick([40_000, 16 * MIB]),
        )  # fmt: skip

    def _is_honest(self, tag):
        ask = self.asks[tag]
        return ask.is_honest or (self.calm and ask.key.name != "ann")

    async def play(self):
        """Play it to its end."""
        with _heard(_Lines(self), "rightseat.access"), _heard(_Faults(self), "rightseat"):
            try:
                await self._play()
            except AssertionError as e:
                raise (self.failures or [e])[0] from e

    async def _play(self):
        for _ in range(self.chance.choice([1, 1, 2, 3])):
            await self.start_worker()
        self.keys = await self._make_keys()
        moves = [
            *[self.ask] * 10, *[self.rush] * 2, *[self.leave] * 3, *[self.stall] * 2, *[self.socket] * 8, self.manage, self.kill, self.drain, self.reload,
            self.hostile, self.trouble,
        ]  # fmt: skip
        for _ in range(self.chance.randrange(5, 45)):
            await self.chance.choice(moves)()
            await asyncio.sleep(self.chance.choice([0, 0, 0.001, 0.02, 0.3, 1.0, 3.0]))
            self.check_budgets()
        await self.finish()

    # What happens.

    def worker(self):
        return self.chance.choice([worker for worker in self.workers if worker.is_alive and not worker.is_draining])

    async def start_worker(self):
        worker = Worker(self, self.settings)
        await worker.open()
        self.workers.append(worker)

    async def _make_keys(self):
        budgets = {
            "ann": self.chance.choice([0, 1, 200, 600, 2000, 5000, 20_000]),
            "bob": self.chance.choice([100, 1000, 5000]),
            "eve": None,
        }
        keys = {}
        for name, budget in budgets.items():
            body = {"name": name} | ({"daily_tokens": budget} if budget is not None else {})
            made = await self.managed("POST", "/keys", body)
            keys[name] = world_clients.Key(name, made["id"], made["key"], budget)
        for worker in self.workers:
            await worker.app.refresh()
        return keys

    async def managed(self, method, path, body):
        head = Head(method, f"/v0/management{path}", {"host": "localhost", "authorization": f"Bearer {MANAGEMENT}"})
        exchange = MemoryExchange(head, self.ids.uuid(), json.dumps(body).encode())
        await self.worker().app.serve(exchange)
        assert exchange.status in (200, 201, 204, 503), exchange.answer
        return json.loads(exchange.answer or b"{}")

    def some_key(self):
        return self.keys[self.chance.choice(["ann", "ann", "ann", "bob", "eve"])]

    async def ask(self):
        """A request over HTTP."""
        worker = self.worker()
        ask = world_clients.ask_over_http(self, worker, self.some_key())
        worker.start(ask.serve(worker))
        return ask

    async def rush(self):
        """Many at once."""
        for _ in range(self.chance.randint(2, 8)):
            await self.ask()

    async def leave(self):
        """Somebody leaves."""
        if pending := [ask for ask in self.asks if ask.can_leave]:
            self.chance.choice(pending).leave()

    async def stall(self):
        """Somebody stops reading, or goes on."""
        if pending := [ask for ask in self.asks if ask.can_leave and ask.exchange is not None]:
            self.chance.choice(pending).stall()

    async def socket(self):
        """Something over a socket."""
        idle = [one for one in self.clients if one.is_open]
        if len(idle) < 3 and self.chance.random() < 0.3:
            kind = self.chance.choice([world_clients.Multiplexed, world_clients.Conversation])
            self.clients.append(kind(self, self.worker(), self.some_key()))
            await self.clients[-1].connect()
        elif idle:
            client = self.chance.choice(idle)
            for _ in range(self.chance.randint(1, 4)):
                await client.act()
                await asyncio.sleep(self.chance.choice([0, 0.01, 0.3, 1.0]))
        elif self.clients:
            await self.chance.choice(self.clients).act()

    async def manage(self):
        """A key changes, or ends."""
        name = self.chance.choice(["ann", "bob"])
        key, what = self.keys[name], self.chance.choice(["rotate", "rotate", "grace", "grace", "revoke"])
        if what == "revoke":
            if not key.is_over:
                key.is_over = True
                await self.managed("DELETE", f"/keys/{key.id}", {})
            return
        if not key.is_over:
            said = await self.managed("POST", f"/keys/{key.id}/rotate", {"grace_seconds": 2 if what == "grace" else 0})
            key.text = said["key"]

    async def kill(self):
        """kill -9 of a worker; another one is started."""
        worker = self.worker()
        for ask in self.asks:
            if ask.worker is worker and not ask.is_over:
                ask.sever()
        for client in self.clients:
            if client.worker is worker:
                client.sever()
        await worker.kill()
        await self.start_worker()

    async def drain(self):
        """SIGTERM to a worker; another one is started."""
        worker = self.worker()
        await self.start_worker()
        stopping = asyncio.ensure_future(worker.stop())
        self.stopping.append(stopping)

    async def reload(self):
        """SIGHUP."""
        self.worker().app.reload(self.settings)

    async def hostile(self):
        """A request that makes no sense."""
        worker = self.worker()
        worker.start(world_clients.hostile(self, worker).serve(worker))

    async def trouble(self):
        """The database gets worse, or better."""
        if not self.calm:
            self.worker().state.ledger.trouble = self.chance.choice([0.0, 0.0, 0.3, 1.0])

    # The end.

    async def finish(self):
        """Everybody leaves, in one way or another; then all is looked at."""
        for worker in self.workers:
            worker.ledger_works()
        if self.chance.random() < 0.5:
            await asyncio.sleep(self.chance.choice([1.0, 5.0, 20.0]))
        for client in self.clients:
            await client.end()
        for ask in self.asks:
            if ask.can_leave:
                ask.leave()
        await asyncio.sleep(1.5)
        await self.check_service()
        await asyncio.gather(*self.stopping)
        for worker in [worker for worker in self.workers if worker.is_alive]:
            while worker.running:
                await asyncio.wait(worker.running)
            await worker.close()
        if self.failures:
            raise self.failures[0]
        await asyncio.sleep(0.2)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not left, left
        self.check_asks()
        self.check_books()

    async def check_service(self):
        """Another key's requests are served by every worker, as soon as upstream serves at all."""
        await asyncio.sleep(6.0)  # circuits and accounts have rested
        if self.settings.concurrency and any(not ask.is_over for ask in self.asks):
            await asyncio.sleep(95.0)  # sessions whose clients are gone have been given up
        for worker in self.workers:
            if worker.is_alive and not worker.is_draining:
                ask = world_clients.ask_over_http(self, worker, self.keys["eve"], is_honest=True)
                began = asyncio.get_running_loop().time()
                await worker.start(ask.serve(worker))
                assert ask.status == 200, (ask.status, ask.answer)
                assert asyncio.get_running_loop().time() - began < 10

    def check_empty(self, worker):
        """Nothing is left in a worker that has stopped."""
        parts = worker.app._parts
        shown = parts.layers.shown()
        assert not shown["running"], "places are held"
        assert not shown["waiting"], "somebody waits for a place"
        assert (parts.bodies.used, parts.held.used) == (0, 0), ("memory is held", parts.bodies.used, parts.held.used)
        assert len(parts.live) == 0
        assert [candidate.load for _, candidate in parts.backend.accounts()] == [0], "an account is thought busy"
        assert not parts.access.admission._unsettled

    def check_asks(self):
        """Each client got what it may get, and no more; each was noted once; upstream was left when it was."""
        for ask in self.asks:
            ask.check()
        for request_id, times in self.logged.items():
            assert times == 1, ("noted more than once", request_id)
        for cost in self.cloud.costs:
            self.seen["pushed" if cost.is_pushed else "pulled"] += 1
            assert cost.closed is not None, ("never closed", cost.tag)
            if (left := self.asks[cost.tag].left_at) is not None:
                assert cost.closed <= left + 1.0, ("upstream went on", cost.tag, cost.closed - left, cost.fault)

    def check_books(self):
        """What was truly used is booked, and no budget was overspent by more than one request's reservation."""
        self.workers[0].state.worker.expire(set())
        assert not self.database.open, "reservations are open"
        self.check_budgets()
        used = collections.Counter()
        for cost in self.cloud.costs:
            used[self.asks[cost.tag].key.name] += cost.tokens
        by_id = {ask.request_id: ask for ask in self.asks if ask.request_id}
        for held in self.holds.values():
            if held.settled is not None and held.request_id in by_id:
                self._check_booking(by_id[held.request_id].tag, held.settled.tokens)
        for name, key in self.keys.items():
            if key.budget is not None:
                booked = self.booked(key)
                assert used[name] <= max(0, key.budget - 1) + self.most(key), (name, key.budget, used[name], booked)

    def _check_booking(self, tag, booked):
        """What is booked for one request is what was told and used; what is reckoned from a few looks is near that."""
        costs = self.cloud.of(tag)
        if not costs or any(cost.fault == "nonsense" for cost in costs):
            return  # nobody can read it
        facts = [(cost.fault, cost.usage, cost.read, cost.written) for cost in costs]
        told = max(
            (cost.told for cost in costs if cost.is_frames), default=0
        )  # a whole body tells nothing until it is read
        assert booked >= told, ("less is booked than was told", tag, booked, told, facts)
        near = sum(cost.written for cost in costs) // 5 + 8 * any(cost.usage == "small" for cost in costs)
        used = sum(cost.tokens for cost in costs)
        assert booked >= used - near, ("less is booked than was used", tag, booked, used, facts)

    def booked(self, key):
        return sum((spent for (key_id, _), spent in self.database.used.items() if key_id == key.id), Spent()).tokens

    def most(self, key):
        return max((held.most for held in self.holds.values() if held.key_id == key.id), default=0)

    def check_budgets(self):
        """At every moment: what is booked and what is reserved is within the budget and one request."""
        for key in self.keys.values():
            if key.budget is not None:
                reserved = sum(hold.most for hold in self.database.open.values() if hold.key_id == key.id)
                limit = max(0, key.budget - 1) + self.most(key)
                assert self.booked(key) + reserved <= limit, (key.name, self.booked(key), reserved, limit)


class _Lines(logging.Handler):
    """Hears the access log."""

    def __init__(self, world):
        super().__init__()
        self._world = world

    def emit(self, record):
        facts = record.request
        self._world.logged[facts["request_id"]] += 1
        self._world.status[facts["request_id"]] = facts["status"]


class _Faults(logging.Handler):
    """Hears of exceptions that nobody expected."""

    def __init__(self, world):
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record):
        if record.exc_info or record.exc_text:
            self._world.failures.append(AssertionError(record.exc_text or repr(record.exc_info[1])))


@contextlib.contextmanager
def _heard(handler, name):
    logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger(name).removeHandler(handler)


def play(seed):
    """Play one world. What it saw: kind of event -> how often."""
    world = World(seed)
    run_virtual(world.play, within=2000)
    return world.seen


def main():
    """Play many."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateway.worlds")
    parser.add_argument("--seeds", type=int, default=2000, help="how many random worlds")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--log", action="store_true", help="show what the gateways log")
    parser.add_argument("--keep-going", action="store_true", help="name all that fail")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.seeds) if given.seed is None else [given.seed]
    begun, seen, failed = time.monotonic(), collections.Counter(), 0
    with quiet(shown=given.log):
        for seed in seeds:
            try:
                seen.update(play(seed))
            except BaseException as e:
                print(f"seed {seed} fails; play it again: make sim SEED={seed}", flush=True)
                if not given.keep_going or isinstance(e, KeyboardInterrupt):
                    raise
                print(f"    {type(e).__name__}: {e}"[:400], flush=True)
                failed += 1
            if seed % 1000 == 999:
                print(f"{seed + 1} worlds, {time.monotonic() - begun:.0f} s", flush=True)
    print(f"{len(seeds)} worlds of gateways, {failed} failed:", dict(sorted(seen.items())))


@contextlib.contextmanager
def quiet(*, shown=False):
    """Nothing of the log but what is listened to."""
    levels = {"rightseat": logging.ERROR, "rightseat.access": logging.INFO, "asyncio": logging.CRITICAL}
    before = {name: (logging.getLogger(name).level, logging.getLogger(name).propagate) for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
        logging.getLogger(name).propagate = shown and name == "rightseat"
    try:
        yield
    finally:
        for name, (level, propagates) in before.items():
            logging.getLogger(name).setLevel(level)
            logging.getLogger(name).propagate = propagates


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
