"""`/v1/ws` in random worlds, in virtual time: whatever a client does and whenever, each stream ends once, nothing is lost, and nothing is left."""

import asyncio
import json
import random
import sys

import pytest
from tests.amounts import amount
from tests.gateway.edge import MIB, Doors, Edge, echo

from rightseat.gateway.http.exchange import Head
from rightseat.gateway.http.live import ShuttingDownError
from rightseat.gateway.http.memory_socket import MemorySocket
from rightseat.testing.clock import LoopClock, run_virtual

KEYS = ("key-a", "key-b")


class Client:
    """A client that does anything. It checks what it gets."""

    def __init__(self, edge, chance, key):
        self.edge, self.chance, self.key = edge, chance, key
        self.session, self.socket, self.serving = None, None, None
        self.asked, self.last, self.ends = 0, {}, {}
        self.live = set()  # of this connection: streams it was told to go on with

    def say(self, **frame):
        if self.socket is not None and not self.socket.gone:
            self.socket.say(json.dumps(frame).encode())

    async def connect(self):
        self.socket = MemorySocket(Head("GET", "/v1/ws", {}, address="1.2.3.4"))
        self.serving = asyncio.ensure_future(self.edge.multiplex(self.socket))
        self.say(type="hello", key=self.key, session=self.session)
        while not self.socket.sent and not self.socket.gone:
            await asyncio.sleep(0.001)
        if self.socket.gone:
            return
        said = json.loads(self.socket.sent.popleft())
        if said["type"] != "session":
            assert said["error"]["code"] == "sockets_per_key" or self.key not in self.edge.doors.keys
            self.socket.hang_up()
            return
        if not said["resumed"]:
            self.last, self.ends = {}, {}
        for name in set(self.last) - set(self.ends) - set(said["open"]):
            assert self.last.pop(name) == 0, "a stream was lost"  # it was asked for into a connection that was gone
        self.session = said["session"]
        self.live = set()
        for name in said["open"]:
            if self.chance.random() < 0.9:
                self.resume(name)

    def resume(self, name):
        self.live.add(name)
        self.say(type="resume", id=name, seq=self.last.get(name, 0))

    def ask(self):
        self.asked += 1
        name = f"s{self.asked}"
        self.last[name] = 0
        self.live.add(name)
        body = self.chance.choice([{"events": 3}, {"events": 400}, {"events": 20, "size": 100_000}, {"events": 10, "pause": 3}, {"whole": 10}, {"whole": 6 * MIB}, {"events": 2, "fails": True}, {"delay": 5}])  # fmt: skip
        self.say(type="request", id=name, body=body)
        if self.chance.random() < 0.2:
            self.say(type="cancel", id=name)
        return name

    def read(self):
        while self.socket is not None and self.socket.sent:
            frame = json.loads(self.socket.sent.popleft())
            if frame["type"] == "error":
                continue
            name, seq = frame["id"], frame["seq"]
            assert name not in self.ends or seq <= self.last[name], "something came after the end"
            assert seq <= self.last[name] + 1, "something was lost"
            if seq == self.last[name] + 1:
                self.last[name] = seq
                if frame["type"] == "end":
                    self.ends[name] = frame["status"]

    def ack(self, name):
        self.say(type="ack", id=name, seq=self.last[name])

    async def settle(self):
        """Take everything to its end, as a good client does."""
        for _ in range(4000):
            if self.socket is None or self.socket.gone:
                await self.connect()
            self.socket.read_on()
            for name in set(self.last) - self.live:
                self.resume(name)
            self.read()
            for name in self.last:
                self.ack(name)
            if set(self.ends) == set(self.last):
                return
            await asyncio.sleep(0.1)
        raise AssertionError({name: seq for name, seq in self.last.items() if name not in self.ends})


async def world(seed):
    chance = random.Random(seed)
    doors = Doors(*KEYS)
    edge = Edge(echo, doors=doors, memory=12 * MIB, each=8 * MIB, places=3)
    watching = asyncio.ensure_future(edge.live.watch(doors.still, LoopClock()))
    clients = [Client(edge, chance, KEYS[i % 2]) for i in range(3)]
    for _ in range(chance.randrange(10, 120)):
        one = chance.choice(clients)
        step = chance.random()
        if one.socket is None or one.socket.gone:
            if step < 0.7:
                await one.connect()
        elif step < 0.4:
            one.ask()
        elif step < 0.5 and one.last:
            one.say(type="cancel", id=chance.choice(list(one.last)))
        elif step < 0.7 and one.last:
            one.read()
            one.ack(chance.choice(list(one.last)))
        elif step < 0.74:
            one.socket.hang_up()
        elif step < 0.78:
            await one.connect()  # with the old connection still there
        elif step < 0.82:
            one.socket.stall()
        elif step < 0.9:
            one.socket.read_on()
        elif step < 0.92 and (running := set(one.last) - set(one.ends)):
            one.say(type="request", id=chance.choice(sorted(running)), body={})  # which is taken
        await asyncio.sleep(chance.choice([0, 0, 0.001, 0.1, 1, 5, 20]))
        assert edge.memory.used <= 12 * MIB
    end = chance.choice(["settle", "leave", "revoke", "drain", "close"])
    if end == "settle":
        for one in clients:
            if one.session is not None:
                await one.settle()
    elif end == "revoke":
        doors.keys = {KEYS[1]}
        await asyncio.sleep(1.5)
        for one in clients:
            if one.key == KEYS[0] and one.socket is not None:
                assert one.socket.gone
                assert one.socket.closed in (None, 1008) or not one.socket.accepted
    elif end == "drain":
        await edge.live.drain(2.0)
        assert len(edge.live) == 0
        assert all(one.socket is None or one.socket.gone for one in clients)
    elif end == "close":
        edge.live.cut_all(ShuttingDownError())
    for one in clients:
        if one.socket is not None:
            one.socket.hang_up()
    await asyncio.sleep(100)
    await edge.multiplex.close()
    assert not edge.multiplex._clients
    watching.cancel()
    await asyncio.sleep(1)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []
    assert (edge.memory.used, edge.bodies.used, len(edge.live)) == (0, 0, 0)
    assert not edge.sockets._places._taken
    assert len(edge.seen) <= sum(one.asked for one in clients) + 100


@pytest.mark.parametrize("start", range(0, amount(60, 400), 10))
def test_each_stream_ends_once_and_nothing_is_left(start):
    for seed in range(start, start + 10):
        try:
            run_virtual(lambda seed=seed: world(seed), within=100_000)
        except BaseException as e:
            raise AssertionError(f"world {seed}: {e!r}") from e


if __name__ == "__main__":
    for number in map(int, sys.argv[1:]):
        run_virtual(lambda number=number: world(number), within=100_000)


@pytest.mark.parametrize("path", ["/v1/ws", "/v1/responses"])
def test_a_loop_that_stands_still_takes_no_time_from_a_client_that_is_to_be_told_why_it_is_cut(path):
    async def play():
        edge = Edge(echo)
        socket = MemorySocket(Head("GET", path, {"x-api-key": "key-a"}, address="1.2.3.4"))
        serving = asyncio.ensure_future(edge.converse(socket))
        asked = {"body": {"events": 99, "pause": 1}, "events": 99, "pause": 1, "id": "a", "key": "key-a"}
        for kind in ("hello", "request") if path == "/v1/ws" else ("response.create",):
            socket.say(json.dumps({"type": kind, **asked}).encode())
        await asyncio.sleep(2.5)
        told = len(socket.sent)
        edge.live.cut_all(ShuttingDownError())
        asyncio.get_running_loop().stand_still(3)
        await serving
        assert "shutting down" in str(list(socket.sent)[told:]), list(socket.sent)[told:]
        await edge.multiplex.close()

    run_virtual(play)
