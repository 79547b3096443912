"""A world of real processes: `rightseat serve` on SQLite, killed with SIGKILL at random moments with requests under way, and started again.

Upstream is the simulator with a model that knows what it gave. `python -m tests.gateway.killed --rounds 20`.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import aiohttp

from rightseat.accounts.store import Account, FileStore
from rightseat.chat import Finish, Reply, TextDelta, Usage
from rightseat.clock import SYSTEM_CLOCK
from rightseat.simulator.app import SimulatorApp
from rightseat.simulator.server import SimulatorServer
from rightseat.state.liveness import LEASE_SECONDS

ADMIN = {"authorization": "Bearer management-key-0123456789"}
LIMIT = 40  # tokens of an answer
BODY = {"model": "gpt-4.1", "max_tokens": LIMIT, "messages": [{"role": "user", "content": "a question " * 8}]}
MOST = len(json.dumps(BODY)) + LIMIT  # more than a request can reserve


class Model:
    """Says words with pauses between them, and counts what it was asked and what it said until nobody listened any more."""

    def __init__(self, chance):
        self.chance, self.used = chance, 0

    async def __call__(self, request):
        read = len(request.last_user_text) // 4
        self.used += read
        await asyncio.sleep(self.chance.random() * 0.2)
        return Reply(self._say(read))

    async def _say(self, read):
        pause = self.chance.choice([0.0, 0.005, 0.03])
        for i in range(LIMIT):
            yield TextDelta(f"w{i} ")
            self.used += 1
            await asyncio.sleep(pause)
        yield Usage(read, LIMIT)
        yield Finish("stop")


class Process:
    """`rightseat serve`."""

    def __init__(self, home):
        self._home = home

    async def start(self):
        """Until it listens."""
        env = {
            **os.environ, "RIGHTSEAT_HOME": str(self._home), "RIGHTSEAT_PORT": "0", "RIGHTSEAT_MANAGEMENT_KEY": "management-key-0123456789",
            "RIGHTSEAT_KEYRING": "off", "RIGHTSEAT_LOG": "off", "NO_COLOR": "1", "COLUMNS": "200",
        }  # fmt: skip
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rightseat", "serve", env=env, stderr=PIPE, stdout=DEVNULL
        )
        lines = []
        async with asyncio.timeout(30):
            while True:
                line = (await self._process.stderr.readline()).decode()
                assert line, "".join(lines)
                lines.append(line)
                if found := re.search(r"(http://\S+)/v1 ", line):
                    self.url = found[1]
                    return

    async def end(self, number):
        """Send a signal and wait."""
        if self._process.returncode is None:
            self._process.send_signal(number)
        await self._process.wait()


class World:
    """One process that dies again and again, and its clients."""

    def __init__(self, http, process, model, chance):
        self.http, self.process, self.model, self.chance = http, process, model, chance
        self.key, self.statuses = {}, []

    async def manage(self, method, path, **options):
        async with self.http.request(method, f"{self.process.url}/v0/management{path}", headers=ADMIN, **options) as r:
            return await r.json()

    async def ask(self):
        """A client, who may leave."""
        body = {**BODY, "stream": self.chance.random() < 0.6}
        headers = {"x-api-key": self.key["key"]}
        patience = self.chance.choice([0.02, 0.3, 30.0, 30.0])
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with asyncio.timeout(patience):
                async with self.http.post(f"{self.process.url}/v1/chat/completions", json=body, headers=headers) as r:
                    self.statuses.append(r.status)
                    await r.read()

    async def ask_over_socket(self):
        """The same over `/v1/ws`."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError, TypeError):
            async with self.http.ws_connect(f"{self.process.url}/v1/ws") as socket:
                await socket.send_json({"type": "hello", "key": self.key["key"]})
                await socket.receive_json()
                await socket.send_json({"type": "request", "id": "a", "body": {**BODY, "stream": True}})
                while json.loads((await socket.receive()).data)["type"] != "end":
                    pass

    async def round(self):
        """Requests, and a SIGKILL in the middle of them."""
        kinds = [self.ask, self.ask, self.ask_over_socket]
        asking = [asyncio.ensure_future(self.chance.choice(kinds)()) for _ in range(self.chance.randint(1, 8))]
        await asyncio.sleep(self.chance.random() * 0.6)
        await self.process.end(signal.SIGKILL)
        await asyncio.gather(*asking)
        await self.process.start()

    async def booked(self):
        """Tokens that are booked for the key."""
        (key,) = [key for key in (await self.manage("GET", "/keys"))["keys"] if key["id"] == self.key["id"]]
        day = key["used"].get("day", {})
        return day.get("input_tokens", 0) + day.get("output_tokens", 0)

    async def check(self, budget):
        """What was used is booked as soon as dead processes are known to be; the key is not blocked."""
        began = SYSTEM_CLOCK.now()
        while (booked := await self.booked()) < min(self.model.used - MOST, budget):
            assert SYSTEM_CLOCK.now() - began < LEASE_SECONDS, (booked, self.model.used)
            await asyncio.sleep(0.1)
        assert booked >= self.model.used - MOST, (booked, self.model.used)
        assert self.model.used <= budget + MOST, (self.model.used, budget)
        assert booked <= budget + MOST
        while True:
            headers = {"x-api-key": self.key["key"]}
            async with self.http.post(f"{self.process.url}/v1/chat/completions", json=BODY, headers=headers) as r:
                said = await r.text()
            if r.status == 200 or "used up" in said:
                return
            assert SYSTEM_CLOCK.now() - began < LEASE_SECONDS, (r.status, said)
            await asyncio.sleep(0.1)


async def play(seed, rounds, home, budget):
    """Play so many rounds. Raises AssertionError. Gives how many tokens were used."""
    chance = random.Random(seed)
    model = Model(chance)
    async with SimulatorServer(SimulatorApp(model)) as cloud, aiohttp.ClientSession() as http:
        FileStore(home).save(Account("ann", "gho_simulated", host=cloud.url))
        world = World(http, Process(home), model, chance)
        await world.process.start()
        try:
            world.key = await world.manage("POST", "/keys", json={"name": "ann", "daily_tokens": budget})
            for _ in range(rounds):
                await world.round()
            await world.check(budget)
        finally:
            await world.process.end(signal.SIGTERM)
    return model.used


def main():
    """Play one world."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateway.killed")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        used = asyncio.run(play(given.seed, given.rounds, Path(home), given.budget))
    print(f"killed {given.rounds} times; {used} tokens of {given.budget} were used")


if __name__ == "__main__":
    main()
