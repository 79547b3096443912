"""Clients of both sockets in random worlds: they leave, come back, stall, cancel, and send nonsense."""

import asyncio
import json

from tests.gateway.world_asks import PATHS, Ask

from rightseat.gateway.http.exchange import Head
from rightseat.gateway.http.memory_socket import MemorySocket

ENDINGS = ("response.completed", "response.incomplete", "response.failed", "error")
JUNK = (
    b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"type":"hello"}', b'{"type":"nothing","id":"x"}', b'{"type":"request"}', b'{"type":"request","id":7}',
    b'{"type":"ack","id":"s0","seq":-1}', b'{"type":"resume","id":"s0","seq":1e9}', b'{"type":"cancel","id":"nobody"}',
    b'{"type":"request","id":"x","path":"/v0/management/keys","body":{}}', b"[" * 3000, b'{"type":"request","id":"' + b"y" * 2000 + b'"}',
    b'{"type":"response.create","previous_response_id":"resp_none","input":"x","model":"gpt-5"}', b'{"type":"response.create","input":{"a":1}}',
    b'{"type":"request","id":"x","headers":{"anthropic-beta":"a\\r\\nb"},"body":{}}', b'{"type":"response.create","initiator":"\\n","input":[]}',
)  # fmt: skip


class SocketAsk(Ask):
    """A request within a socket."""

    def __init__(self, world, worker, key, path, name=""):
        super().__init__(world, worker, key, path)
        self.name, self.data, self.last, self.end, self.is_streaming = name, [], 0, "", False

    def check(self):
        if self.is_streaming and self.end and not self.is_severed:
            self.check_words(self.data, complete=self.end == "complete", aborted=self.end in ("broken", "cancelled"))


class Client:
    """A client on a socket."""

    PATH = ""

    def __init__(self, world, worker, key):
        self.world, self.worker, self.key, self.chance = world, worker, key, world.chance
        self.socket, self.asks, self.is_severed = None, [], False

    @property
    def is_open(self):
        return self.socket is not None and not self.socket.gone and not self.is_severed

    def sever(self):
        """Its worker is killed."""
        self.is_severed = True
        for ask in self.asks:
            ask.is_severed = ask.is_severed or not ask.is_over
        if self.socket is not None:
            self.socket.hang_up()

    def open(self):
        headers = {"host": "localhost", "x-api-key": self.key.text}
        self.socket = MemorySocket(Head("GET", self.PATH, headers, "", "1.2.3.4"))
        self.worker.start(self.worker.app.converse(self.socket))

    async def act(self):
        """Something."""
        if self.is_severed or not self.worker.is_alive:
            return
        if not self.is_open:
            await self.connect()
            return
        moves = [self.ask] * 4 + [self.read] * 5 + [self.hang_up, self.stall, self.junk, self.special, self.special]
        self.chance.choice(moves)()

    def stall(self):
        """It reads no more, or goes on."""
        stalls = self.chance.random() < 0.4
        (self.socket.stall if stalls else self.socket.read_on)()
        for ask in self.asks:
            ask.has_stalled = ask.has_stalled or (stalls and not ask.is_over)
        self.is_stalled = stalls

    def junk(self):
        """A frame that makes no sense."""
        self.world.seen["junk frame"] += 1
        self.socket.say(self.chance.choice(JUNK))

    def leave_all(self):
        """The requests that are under way are given up."""
        for ask in self.asks:
            if not ask.is_over and ask.left_at is None:
                ask.left_at = asyncio.get_running_loop().time()


class Multiplexed(Client):
    """A client of `/v1/ws`."""

    PATH = "/v1/ws"
    session, is_stalled = None, False

    async def connect(self):
        if self.worker.is_draining and self.socket is not None:
            return
        self.open()
        self.is_stalled = False
        self.say(type="hello", key=self.key.text, session=self.session)
        for _ in range(2000):
            if self.socket.sent or self.socket.gone:
                break
            await asyncio.sleep(0.01)
        if not self.socket.sent:
            return
        said = json.loads(self.socket.sent.popleft())
        if said["type"] != "session":
            return
        self.world.seen["resumed" if said["resumed"] else "session"] += 1
        self.session, opened = said["session"], said["open"]
        for ask in self.asks:
            if not ask.is_over and ask.name not in opened:
                ask.is_over, ask.is_streaming = True, False  # it was given up while nobody was here, or never came
        for name in opened:
            self.say(type="resume", id=name, seq=self.named(name).last)

    def named(self, name):
        return next(ask for ask in self.asks if ask.name == name)

    def say(self, **frame):
        if self.is_open:
            self.socket.say(json.dumps(frame).encode())

    def ask(self):
        path = self.chance.choice([*PATHS, *PATHS, "/v1/embeddings"])
        ask = SocketAsk(self.world, self.worker, self.key, path, f"s{len(self.world.asks)}")
        self.asks.append(ask)
        self.say(type="request", id=ask.name, path=path, body=ask.body)
        if self.chance.random() < 0.15:
            self.cancel(ask)
            self.world.seen["request and cancel at once"] += 1

    def cancel(self, ask):
        self.say(type="cancel", id=ask.name)
        if not (self.is_stalled or ask.is_over or ask.has_stalled) and ask.left_at is None:
            ask.left_at = asyncio.get_running_loop().time()

    def special(self):
        """A cancel, an ack, the same id again, or another connection for the same session."""
        pending = [ask for ask in self.asks if not ask.is_over]
        if not pending:
            return
        ask = self.chance.choice(pending)
        match self.chance.choice(["cancel", "ack", "again", "resume"]):
            case "cancel":
                self.cancel(ask)
            case "ack":
                self.say(type="ack", id=ask.name, seq=ask.last)
            case "again":
                self.say(type="request", id=ask.name, body={})
            case "resume":
                self.say(type="resume", id=ask.name, seq=ask.last)

    def hang_up(self):
        self.world.seen["socket left"] += 1
        self.socket.hang_up()

    def read(self):
        while self.socket.sent:
            frame = json.loads(self.socket.sent.popleft())
            if frame["type"] != "error":
                self._take(self.named(frame["id"]), frame)
        for ask in self.asks:
            if ask.last:
                self.say(type="ack", id=ask.name, seq=ask.last)

    def _take(self, ask, frame):
        if frame["seq"] <= ask.last:
            return  # sent again
        assert not ask.end, ("something came after the end", ask.tag)
        assert frame["seq"] == ask.last + 1, ("something was lost", ask.tag)
        ask.last = frame["seq"]
        match frame["type"]:
            case "head":
                ask.status, ask.request_id, ask.is_streaming = frame["status"], frame["request_id"], frame["stream"]
            case "event":
                ask.data.append(frame["data"].encode())
            case "end":
                ask.end, ask.is_over = frame["status"], True
                self.world.seen[f"ended: {ask.end}"] += 1

    async def end(self):
        if self.is_severed or not self.worker.is_alive:
            return
        if self.chance.random() < 0.5 and not self.key.is_over and not self.worker.is_draining:
            await self._settle()
        elif self.is_open:
            self.hang_up()

    async def _settle(self):
        """Take everything to its end, as a good client does."""
        for _ in range(400):
            if not self.is_open:
                if self.session is None or self.worker.is_draining:
                    return
                await self.connect()
            if not self.is_open:
                return
            self.socket.read_on()
            self.is_stalled = False
            self.read()
            if all(ask.is_over for ask in self.asks):
                self.hang_up()
                return
            await asyncio.sleep(0.25)
        left = [ask for ask in self.asks if not ask.is_over and "junk" not in ask.name]
        if not any(cost.closed is None for ask in left for cost in ask.costs()):
            raise AssertionError(("streams that never end", [(ask.tag, ask.name, ask.last) for ask in left]))
        self.hang_up()


class Conversation(Client):
    """A client of the responses socket."""

    PATH = "/v1/responses"
    last_id, is_stalled, is_confused = "", False, False

    async def connect(self):
        if self.asks or self.worker.is_draining:
            return
        self.open()

    def ask(self):
        if sum(not ask.is_over for ask in self.asks) >= 4:
            return
        ask = SocketAsk(self.world, self.worker, self.key, "/v1/responses")
        self.asks.append(ask)
        body = {name: value for name, value in ask.body.items() if name != "stream"}
        if self.last_id and self.chance.random() < 0.5:
            body["previous_response_id"] = self.last_id
            self.world.seen["went on in a conversation"] += 1
        self.socket.say(json.dumps({"type": "response.create", **body}).encode())

    def special(self):
        """A frame that only prepares."""
        if self.chance.random() < 0.7:
            return
        self.is_confused = True
        self.socket.say(b'{"type":"response.create","generate":false,"model":"gpt-5","input":"before"}')

    def junk(self):
        if self.chance.random() < 0.3:
            self.is_confused = True  # its errors belong to no request
            super().junk()

    def hang_up(self):
        self.world.seen["conversation left"] += 1
        self.read()
        self.leave_all()
        self.socket.hang_up()

    def read(self):
        while self.socket.sent:
            if (event := self._read(self.socket.sent.popleft())) is None:
                continue
            ask = next(ask for ask in self.asks if not ask.is_over)
            ask.is_streaming = ask.is_streaming or event["type"].startswith("response.")
            ask.data.append(json.dumps(event).encode())
            if event["type"] in ENDINGS:
                ask.is_over, ask.end = True, "complete" if event["type"] == "response.completed" else "broken"
                self.last_id = event.get("response", {}).get("id", "") if ask.end == "complete" else ""
                self.world.seen[f"turn: {ask.end}"] += 1
        if self.socket.gone:
            for ask in self.asks:
                ask.is_over = True

    def _read(self, frame):
        """An event; None: it belongs to no request in particular, or is nonsense of upstream's."""
        try:
            event = json.loads(frame)
            assert isinstance(event["type"], str), event
        except (ValueError, TypeError, AttributeError):
            assert any(cost.fault == "nonsense" for ask in self.asks for cost in ask.costs()), frame
            return None
        return None if self.is_confused else event

    async def end(self):
        if self.is_severed or self.socket is None:
            return
        if self.chance.random() < 0.5:
            self.socket.read_on()
            await asyncio.sleep(3)
        if not self.socket.gone:
            self.hang_up()
