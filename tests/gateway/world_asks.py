"""Requests of random worlds: clients leave in every state, stall, and look closely at what they get."""

import asyncio
import json

from tests.gateway.cloud import EMBEDDING, MODELS

from rightseat.gateway.http.asgi import StreamBrokenError
from rightseat.gateway.http.exchange import Head
from rightseat.gateway.http.memory_exchange import MemoryExchange
from rightseat.testing.clock import LoopClock
from rightseat.wire.sse import SseDecoder

PATHS = {"/v1/chat/completions": "chat", "/v1/messages": "messages", "/v1/responses": "responses"}


class Key:
    """One of the gateway's keys, as its holder knows it."""

    def __init__(self, name, key_id, text, budget):
        self.name, self.id, self.text, self.budget, self.is_over = name, key_id, text, budget, False


def body_of(world, tag, path, *, is_honest):
    """A good request."""
    pick = world.chance.choice
    text = f"tag-{tag} " + "x" * world.chance.choice([0, 5, 80, 400])
    model = pick(
        [*MODELS, *[name for name, dialect in MODELS.items() if dialect.endswith(path.removeprefix("/v1"))] * 3]
    )
    body = {"model": model, "stream": is_honest or world.chance.random() < 0.7}
    limit = pick([None, 5, 20, 100, 1000])
    if path == "/v1/embeddings":
        return {"model": EMBEDDING, "input": [text]}
    if path == "/v1/responses":
        return {**body, "input": text} | ({"max_output_tokens": limit} if limit else {})
    if path == "/v1/messages":
        return {**body, "max_tokens": limit or 50, "messages": [{"role": "user", "content": text}]}
    body |= {pick(["max_tokens", "max_completion_tokens"]): limit} if limit else {}
    if body["stream"] and world.chance.random() < 0.3:
        body["stream_options"] = {"include_usage": pick([True, False])}
    return {**body, "messages": [{"role": "user", "content": text}]}


class Ask:
    """A request.

    Attributes:
        tag: what it is known by at upstream's side.
        left_at: when the client left, before the end.
        is_over: nothing more comes.
        is_severed: its worker was killed.
    """

    def __init__(self, world, worker, key, path, *, is_honest=False):
        self.world, self.worker, self.key, self.path, self.is_honest = world, worker, key, path, is_honest
        self.tag = len(world.asks)
        world.asks.append(self)
        self.left_at, self.is_over, self.is_severed, self.has_stalled = None, False, False, False
        self.exchange, self.status, self.request_id = None, None, ""
        self.body = body_of(world, self.tag, path, is_honest=is_honest)

    @property
    def can_leave(self):
        return False

    def sever(self):
        self.is_severed = True

    def note(self, what):
        self.world.seen[what] += 1

    # What is looked at.

    def check(self):
        """Raises AssertionError."""

    def costs(self):
        return self.world.cloud.of(self.tag)

    def check_words(self, data, *, complete, aborted):
        """Events of an answer: whole, in order, an error once."""
        costs = self.costs()
        junk = any(cost.fault == "nonsense" for cost in costs)
        text, errors = "", 0
        for value in data:
            if value == b"[DONE]":
                continue
            try:
                event = json.loads(value)
            except ValueError:
                assert junk, ("no JSON in an event", self.tag, value[:200])
                continue
            if isinstance(event, dict):
                text += said(event)
                errors += bool(event.get("error")) or event.get("type") in ("error", "response.failed")
        assert errors <= 1, ("more than one error", self.tag)
        if junk or not costs:
            return
        words = "".join(costs[-1].words)
        assert words.startswith(text) or words.strip() == text, ("not what upstream said", self.tag, text[-50:])
        if complete and not errors:
            assert text.strip() == words.strip(), ("a polite end of a part", self.tag, costs[-1].fault)
        if not complete and self.left_at is None and not self.is_severed and not self.has_stalled:
            assert aborted, ("neither complete nor ended", self.tag)
            assert errors == 1, ("cut without an error", self.tag, errors)


def said(event):
    """The text in an event, of any dialect."""
    if event.get("choices"):
        return "".join((choice.get("delta") or {}).get("content") or "" for choice in event["choices"])
    if event.get("type") == "content_block_delta":
        return event["delta"].get("text", "")
    return event["delta"] if event.get("type") == "response.output_text.delta" else ""


class HttpAsk(Ask):
    """A request over HTTP, in memory or through ASGI."""

    def __init__(self, world, worker, key, path, *, is_honest=False):
        super().__init__(world, worker, key, path, is_honest=is_honest)
        self.request_id = f"world-{self.tag:06d}"
        self.leaves_in = (
            None if is_honest else world.chance.choice([None, None, None, 0, 0, 0.005, 0.02, 0.3, 1.0, 4.0])
        )
        self.body_in = world.chance.choice([0.0, 0.0, 0.0, 0.05, 1.0]) if not is_honest else 0.0
        self.pieces = []
        self.data = json.dumps(self.body).encode()
        self.is_complete = self.is_aborted = self.is_stalled = self.is_streaming = False
        self.has_body = False
        self.exchange = self

    @property
    def can_leave(self):
        return not (self.is_over or self.is_complete or self.is_severed or self.is_honest) and self.left_at is None

    @property
    def is_unheard(self):
        """Nobody could know that the client had left: it was answered by its head alone, or in the same moment."""
        return False

    @property
    def answer(self):
        return b"".join(self.pieces)

    @property
    def headers(self):
        return {"host": "localhost", "x-api-key": self.key.text, "x-request-id": self.request_id}

    async def serve(self, worker):
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self.leaves_in, self.leave) if self.leaves_in is not None else None
        try:
            await self._serve(worker)
        finally:
            self.is_over = True
            if timer is not None:
                timer.cancel()

    def leave(self):
        """The client goes away."""
        if not self.can_leave:
            return
        self.left_at = asyncio.get_running_loop().time()
        costs = self.costs()
        if not self.has_body:
            state = "body"
        elif self.is_streaming:
            state = "stream"
        elif not costs:
            state = "before upstream"
        else:
            state = "before the head" if not costs[-1].written else "whole"
        self.note(f"left: {state}")
        self._leave()

    def stall(self):
        """The client stops reading, or goes on."""
        self.is_stalled = not self.is_stalled
        self.has_stalled = True
        self._stall()

    def check(self):
        for piece in self.pieces if self.is_streaming else ():
            assert piece.endswith((b"\n\n", b"\n\r\n")) or not piece, ("not whole events", self.tag, piece[-80:])
        decoder = SseDecoder()
        events = [*decoder.feed(self.answer)] if self.is_streaming else []
        if self.is_streaming:
            self.check_words(
                [bytes(event.data) for event in events], complete=self.is_complete, aborted=self.is_aborted
            )
        if self.is_severed:
            return
        times = self.world.logged[self.request_id]
        assert times == 1, ("noted", times, "times", self.tag)
        status = self.world.status[self.request_id]
        assert (status == 499) == (self.left_at is not None) or self.is_unheard, (
            "noted as",
            status,
            self.left_at,
            self.tag,
        )
        if self.left_at is None:
            self.note(f"status {self.status}")
            assert self.is_complete or self.is_aborted, ("never ended", self.tag)
            self._check_service()
            if self.status == 200 and self.is_complete and not self.is_streaming:
                self._check_whole()

    def _check_service(self):
        served = self.world.calm and self.key.name == "eve" and not self.worker.is_draining
        if served and self.worker.is_alive:
            assert self.status == 200, ("another key was not served", self.status, self.answer[:300])

    def _check_whole(self):
        costs = self.costs()
        assert self.answer, (
            "an empty answer",
            self.tag,
            self.path,
            self.is_complete,
            self.is_aborted,
            [c.fault for c in costs],
        )
        value = json.loads(self.answer)
        if costs and costs[-1].fault != "nonsense" and self.path in PATHS:
            assert json.dumps("".join(costs[-1].words).strip())[1:-1] in json.dumps(value), ("not the whole", self.tag)


class MemoryAsk(HttpAsk):
    """An exchange in memory whose body takes its time."""

    def __init__(self, world, worker, key, path, *, is_honest=False):
        HttpAsk.__init__(self, world, worker, key, path, is_honest=is_honest)
        self.real = _Exchange(Head("POST", path, self.headers, "", "1.2.3.4"), self.request_id, self.data, self)

    async def _serve(self, worker):
        await worker.app.serve(self.real)

    def _leave(self):
        self.real.leave()

    def _stall(self):
        (self.real.stall if self.is_stalled else self.real.resume)()


class _Exchange(MemoryExchange):
    def __init__(self, head, request_id, data, ask):
        super().__init__(head, request_id, data, LoopClock())
        self._ask = ask

    async def body(self):
        await asyncio.sleep(self._ask.body_in)
        self._ask.has_body = True
        return await super().body()

    def abort(self):
        super().abort()
        self._ask.is_aborted = not self._ask.is_severed

    async def _start(self, status, headers):
        await super()._start(status, headers)
        if not self._ask.is_severed:
            self._ask.status, self._ask.is_streaming = status, self.streaming

    async def _write(self, data, *, last):
        await super()._write(data, last=last)
        if self._ask.is_severed or self.gone:
            return
        self._ask.pieces += [data] if data else []
        self._ask.is_complete = last


class AsgiAsk(HttpAsk):
    """A request as a server of ASGI brings it."""

    async def _serve(self, worker):
        self._gone, self._room, self._parts = asyncio.Event(), asyncio.Event(), None
        self._room.set()
        if self.left_at is not None:
            self._gone.set()
        fields = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        scope = {
            "type": "http", "method": "POST", "path": self.path, "query_string": b"", "client": ("1.2.3.4", 5),
            "headers": [*fields, (b"content-length", str(len(self.data)).encode())],
        }  # fmt: skip
        half = self.world.chance.randrange(len(self.data))
        self._parts = [self.data[:half], self.data[half:]]
        try:
            await worker.app(scope, self._receive, self._send)
        except StreamBrokenError:
            self.ended_at = asyncio.get_running_loop().time()
            self.is_aborted = not self.is_severed

    def _leave(self):
        self._gone.set()

    def _stall(self):
        (self._room.clear if self.is_stalled else self._room.set)()

    @property
    def is_unheard(self):
        return not self.is_listened_to or self.ended_at == self.left_at

    is_listened_to, ended_at = False, None

    async def _receive(self):
        self.is_listened_to = True
        if self._parts and not self._gone.is_set():
            try:
                async with asyncio.timeout(self.body_in / 2):
                    await self._gone.wait()
            except TimeoutError:
                part = self._parts.pop(0)
                self.has_body = not self._parts
                return {"type": "http.request", "body": part, "more_body": bool(self._parts)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        while not self._room.is_set() and not self._gone.is_set():
            waits = [asyncio.ensure_future(event.wait()) for event in (self._room, self._gone)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in waits:
                    one.cancel()
        if not message.get("more_body", True):
            self.ended_at = asyncio.get_running_loop().time()
        if self._gone.is_set() or self.is_severed:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.is_streaming = (b"content-type", b"text/event-stream") in message["headers"]
            return
        self.pieces += [message["body"]] if message["body"] else []
        self.is_complete = not message.get("more_body")
