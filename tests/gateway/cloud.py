"""GitHub's edge in random worlds: a sender whose answers are scripts, and which knows how many tokens each of them truly cost.

A script is the bytes of an answer, and where they are cut, stop or lie. What an answer costs is what was asked, and the words that were sent
until the connection was closed, whatever the bytes say of it.
"""

import asyncio
import bisect
import contextlib
import itertools
import json
import re

from rightseat.accounts.store import Account
from rightseat.errors import ConnectError, ConnectionLostError, HttpTimeoutError
from rightseat.testing.clock import EPOCH
from rightseat.transport.http.direct_stream import READ_BYTES, DirectStream
from rightseat.transport.http.heads import AnswerHead, Framing
from rightseat.transport.http.pump import AnswerPump
from rightseat.wire.copilot_models import model_entry, model_list

MOST = 400  # tokens of an answer, of every model
MODELS = {"gpt-4.1": "/chat/completions", "claude-sonnet-4.5": "/v1/messages", "gpt-5": "/responses"}
EMBEDDING = "text-embedding-3-small"
USAGES = ("true", "none", "small", "start", "early")
FAULTS = (
    "none", "none", "none", "lost", "ended", "hangs", "error", "no head", "refused", "lost before", "status", "unframed", "whole", "nonsense", "flood",
)  # fmt: skip
_TAG = re.compile(rb"tag-(\d+)")
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def account(chance):
    """An account whose token may have to be renewed meanwhile."""
    lasts = chance.choice([1e6, 1e6, 1e6, 0.0, 75.0])
    return Account(
        "ann", "gho_worlds", access_token="tid=worlds", expires_at=EPOCH + lasts, refresh_in=lasts, last_refresh=EPOCH
    )


def texts(value):
    """Characters of everything that is said in a body."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(texts(inner) for name, inner in value.items() if name in ("content", "text", "input"))
    return sum(map(texts, value)) if isinstance(value, list) else 0


class Cost:
    """A request as the cloud saw it.

    Attributes:
        tag: of the client's request.
        read, written: tokens that it truly cost so far.
        told: the most that a frame which was sent has told.
        began, closed: when its connection was made and closed.
        words: of the answer.
        whole: all of the answer was sent, and it is a good one.
        is_pushed: it went from socket to socket.
        is_frames: its body is events.
    """

    def __init__(self, tag, read, now):
        self.tag, self.read, self.began, self.closed = tag, 0, now, None
        self.written = self.told = 0
        self.asked = read
        self.words, self.whole, self.fault, self.usage, self.is_pushed = [], False, "", "", False
        self.is_frames = True

    @property
    def tokens(self):
        return self.read + self.written


class Cloud:
    """Answers. `honest` says of a tag whether its answer must be a good one."""

    def __init__(self, chance, honest):
        self.chance, self.honest = chance, honest
        self.costs = []

    def of(self, tag):
        """What was asked of it with this tag."""
        return [cost for cost in self.costs if cost.tag == tag]


class Door:
    """One worker's way to the cloud: an HttpSender. `crash` closes all its connections, as the end of a process does."""

    def __init__(self, cloud):
        self._cloud, self._open, self.is_dead = cloud, set(), False

    def crash(self):
        self.is_dead = True
        for stream in list(self._open):
            stream.end()

    async def open(self, request):
        loop = asyncio.get_running_loop()
        if self.is_dead:
            raise ConnectError("killed")
        path = request.url.split("/", 3)[3]
        if path == "models":
            entries = [
                model_entry(name, endpoints=(at,), max_output_tokens=MOST, max_prompt_tokens=100_000)
                for name, at in MODELS.items()
            ]
            entries.append(model_entry(EMBEDDING, endpoints=("/embeddings",), kind="embeddings"))
            return Whole(200, model_list(entries))
        if path == "copilot_internal/v2/token":
            await asyncio.sleep(self._cloud.chance.choice([0.0, 0.2, 2.0]))
            return Whole(200, {"token": "tid=renewed", "refresh_in": 1500, "expires_at": EPOCH + 1e6})
        found = _TAG.findall(request.body)
        body = json.loads(request.body)
        said = texts(body.get("messages", body.get("input", ""))) // 4
        cost = Cost(int(found[-1]), said, loop.time())
        self._cloud.costs.append(cost)
        script = Script(self._cloud.chance, "/" + path, body, honest=self._cloud.honest(cost.tag))
        cost.words, cost.fault, cost.usage = script.words, script.fault, script.usage
        cost.is_frames = "event-stream" in script.headers["content-type"]
        stream = Stream(script, cost, request.timeouts, self._open)
        self._open.add(stream)
        try:
            async with asyncio.timeout(request.timeouts.head):
                await stream.head(request.on_sent)
        except TimeoutError:
            stream.end()
            error = HttpTimeoutError("no answer in time")
            error.reached = True
            raise error from None
        except BaseException:
            stream.end()
            raise
        return stream if self._cloud.chance.random() < 0.3 else Connection(stream).answer


class Whole:
    """A small answer."""

    framed = True

    def __init__(self, status, value):
        self.status, self.headers = status, {"content-type": "application/json"}
        self._data = json.dumps(value).encode()

    async def chunks(self):
        yield self._data

    async def read(self):
        return self._data

    async def aclose(self):
        pass


class Stream:
    """An answer on its way: an HttpStream."""

    def __init__(self, script, cost, limits, of_door):
        self._script, self._cost, self._limits, self._of_door = script, cost, limits, of_door
        self._closed, self._pump = asyncio.Event(), None
        self.status, self.headers, self.framed = script.status, script.headers, script.framed

    async def head(self, on_sent):
        """Everything until the head is there."""
        script = self._script
        await asyncio.sleep(script.connects_in)
        if script.fault == "refused":
            raise ConnectError("nobody there")
        if on_sent is not None:
            on_sent()
        if script.status == 200:
            self._cost.read = self._cost.asked  # an error in the head is free
        await self._wait(script.head_in)
        if script.fault == "lost before":
            raise self._lost()

    async def chunks(self):
        async with contextlib.aclosing(self._pieces()) as pieces:
            async for sent, piece in pieces:
                self._count(sent)
                yield piece
        self.ended()

    def into(self, sink):
        """As the twin of our own client does it: a task reads and writes."""
        self._cost.is_pushed = True
        self._pump = AnswerPump(self.chunks(), sink)

    def pause(self):
        self._pump.pause()

    def resume(self):
        self._pump.resume()

    async def _pieces(self):
        sent = 0
        for size, pause in self._script.pieces():
            await self._wait(pause)
            piece = self._script.data[sent : sent + size]
            sent += size
            yield sent, piece
        await self._wait(self._script.stops_in)

    def ended(self):
        """Everything was sent. Raises ConnectionLostError: there was to be more."""
        self.end()
        if self._script.is_lost:
            raise self._lost()
        self._cost.whole = self._script.is_good

    async def read(self):
        return b"".join([piece async for piece in self.chunks()])

    def untaken(self):
        return self._pump.untaken if self._pump is not None else b""

    async def aclose(self):
        if self._pump is not None:
            self._pump.stop()
        self.end()

    def end(self):
        """The connection is closed."""
        self._closed.set()
        self._of_door.discard(self)
        if self._cost.closed is None:
            self._cost.closed = asyncio.get_running_loop().time()

    def _count(self, sent):
        events = bisect.bisect_right(self._script.ends, sent)
        if events:
            self._cost.written, self._cost.told = self._script.so_far[events - 1]

    async def _wait(self, seconds):
        """Raises if the connection is closed meanwhile, or nothing comes for too long."""
        try:
            async with asyncio.timeout(min(seconds, self._limits.silence)):
                await self._closed.wait()
        except TimeoutError:
            if seconds > self._limits.silence:
                self.end()
                raise HttpTimeoutError("nothing came") from None
            return
        raise self._lost()

    def _lost(self):
        error = ConnectionLostError("the connection was lost", public="stream disconnected before completion")
        error.reached = True
        return error


class Connection:
    """What drives an answer of our own client: a Flow, which reads nothing while it is paused."""

    def __init__(self, stream):
        self._stream, self._is_over = stream, False
        self._may_read = asyncio.Event()
        self._may_read.set()
        self.answer = DirectStream("upstream", "upstream", self)
        framing = Framing.CHUNKED if stream.framed else Framing.CLOSE
        self.answer.begin(AnswerHead(stream.status, dict(stream.headers), framing, 0, keeps=False, idle=None))
        self._task = asyncio.ensure_future(self._drive())

    def pause(self):
        self._may_read.clear()

    def resume(self):
        self._may_read.set()

    def abort(self):
        self._is_over = True
        self._stream.end()
        if asyncio.current_task() is not self._task:
            self._task.cancel()

    async def _drive(self):
        error = None
        try:
            async with contextlib.aclosing(self._stream._pieces()) as pieces:
                async for sent, piece in pieces:
                    await self._read(sent - len(piece), piece)
                    if self._is_over:
                        return
            self._stream.ended()
        except Exception as e:
            error = e
        if not self._is_over:
            self._stream.end()
            self.answer.over(error)

    async def _read(self, before, piece):
        for at in range(0, len(piece), READ_BYTES):
            await self._may_read.wait()
            if self._is_over:
                return
            some = piece[at : at + READ_BYTES]
            self._stream._count(before + at + len(some))
            self._stream._cost.is_pushed |= self.answer._sink is not None
            self.answer.data(some)


FOREVER = 1e6


class Script:
    """What is answered to one request.

    Attributes:
        data: the bytes of the body; `ends` and `so_far`: where its events end, and the tokens written and told up to there.
    """

    def __init__(self, chance, path, body, *, honest):
        self._chance, self._is_honest = chance, honest
        self.fault = "none" if honest else chance.choice(FAULTS)
        self.usage = "true" if honest or chance.random() < 0.5 else chance.choice(USAGES)
        self._path, self._model = path, body["model"]
        self.asks_stream = bool(body.get("stream"))
        self._read = texts(body.get("messages", body.get("input", ""))) // 4
        limit = min([MOST, *(body[name] for name in _LIMITS if name in body)])
        many = limit if self.fault == "flood" or chance.random() < 0.05 else min(limit, 40)
        self.words = [f"w{i} " for i in range(chance.randint(min(1, many), many))]
        self.status, self.framed, self.is_lost, self.stops_in = 200, True, False, 0.0
        self.connects_in = chance.choice([0.0, 0.0, 0.01, 0.3])
        self.head_in = chance.choice([0.0, 0.01, 0.3]) if honest else chance.choice([0.0, 0.01, 0.3, 3.0])
        self._pause = chance.choice([0.0, 0.001]) if honest else chance.choice([0.0, 0.0, 0.001, 0.05, 0.5])
        streams = self.asks_stream != (self.fault == "whole")
        self.headers = {"content-type": "text/event-stream" if streams else "application/json"}
        events = self._events(streams=streams)
        self.is_good = self.fault in ("none", "whole", "flood", "unframed")
        self._break(events)

    def pieces(self):
        """Sizes of what is sent at a time, and the pauses before."""
        rest = len(self.data)
        usual = self._chance.choice([1 << 20, 1000, 200] if self._is_honest else [1 << 20, 7, 40, 200, 1000])
        if usual == 7 and rest > 3000:
            usual = 100
        while rest > 0:
            size = min(rest, self._chance.randint(1, usual))
            rest -= size
            yield size, self._pause

    def _events(self, *, streams):
        if self._path.startswith("/embeddings"):
            self.words = []
            usage = {"prompt_tokens": self._read, "total_tokens": self._read}
            return [
                _event(
                    {"object": "list", "data": [{"index": 0, "embedding": [0.5]}], "usage": usage},
                    0,
                    self._read,
                    whole=True,
                )
            ]
        writer = {"/chat/completions": Chat, "/v1/messages": Messages, "/responses": Responses}[self._path]
        if self.usage == "small" and not streams:  # nothing in a whole answer shows that it is one
            self.usage = "none"
        written = writer(self._model, self._read, self.words, self.usage, self._chance.randrange(10**9))
        return written.stream() if streams else written.whole()

    def _break(self, events):
        chance, at = self._chance, None
        match self.fault:
            case "lost" | "ended" | "hangs" | "error" | "unframed":
                at = chance.randrange(len(events)) if chance.random() < 0.5 else None
                self.is_lost = self.fault == "lost"
                self.framed = self.fault != "unframed"
                self.stops_in = FOREVER if self.fault == "hangs" else 0.0
            case "no head":
                self.head_in = FOREVER
            case "status":
                self.status = chance.choice([400, 403, 429, 500, 503])
                self.headers = {"content-type": "application/json", "retry-after": "1"}
                events = [_event({"error": {"message": "no", "code": "scripted"}}, 0, 0, whole=True)]
            case "nonsense":
                junk = chance.choice(
                    [b"data: {\n\n", b"\xff\xfe\x00", b"<html>", b"data: [1]\n\n", b": \n\n" * 5, b"event: x\n\n"]
                )
                place = chance.randint(0, len(events))
                events = [*events[:place], (junk, 0, 0), *events[place:]]
        if self.fault == "error" and self.asks_stream:
            events = (
                [*events[: at if at is not None else -1], (ERRORS[self._path], 0, 0)]
                if self._path in ERRORS
                else events
            )
        if chance.random() < 0.2:
            events = [(data.replace(b"\n", b"\r\n"), *rest) for data, *rest in events]
        self._lay(events)
        if self.fault in ("lost", "ended", "hangs") or (self.fault == "unframed" and chance.random() < 0.5):
            self._cut(self.ends[at - 1] if at else chance.randrange(len(self.data)))
            self.is_good = False

    def _lay(self, events):
        self.data = b"".join(data for data, *_ in events)
        self.ends = list(itertools.accumulate(len(data) for data, *_ in events))
        written = list(itertools.accumulate(words for _, words, _ in events))
        told = list(itertools.accumulate((told for *_, told in events), max))
        self.so_far = list(zip(written, told, strict=True))

    def _cut(self, at):
        self.data = self.data[:at]


def _event(value, words, told, *, whole=False, name=""):
    data = json.dumps(value, separators=(",", ":")).encode()
    head = f"event: {name}\n".encode() if name else b""
    return (data if whole else head + b"data: " + data + b"\n\n"), words, told


def _split(value, words, told):
    """A whole body, its words apart, so that it may be cut between them."""
    text = "".join(words)
    data = json.dumps(value, separators=(",", ":"))
    before, _, after = data.partition(text) if text else (data, "", "")
    return [(before.encode(), 0, 0), *((word.encode(), 1, 0) for word in words), (after.encode(), 0, told)]


class Writer:
    """An answer in one dialect: its events, each with the words that it holds and the tokens that it tells."""

    def __init__(self, model, read, words, usage, number):
        self.number = number
        self.model, self.read, self.words, self.usage = model, read, words, usage
        self.half = len(words) // 2

    @property
    def last(self):
        """What is told at the end: tokens read and written; None: nothing."""
        return {"true": (self.read, len(self.words)), "small": (self.read, 1)}.get(self.usage)

    @property
    def told(self):
        return sum(self.last) if self.last is not None else 0


class Chat(Writer):
    def _chunk(self, delta, words=0, finish=None, usage=None):
        value = {
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": self.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }  # fmt: skip
        if usage is not None:
            value["usage"] = self._usage(usage)
        return _event(value, words, sum(usage or (0,)))

    def _usage(self, usage):
        return {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}

    def stream(self):
        yielded = [
            self._chunk({"role": "assistant", "content": ""}, usage=(self.read, 0) if self.usage == "start" else None)
        ]
        for i, word in enumerate(self.words):
            early = (self.read, i + 1) if self.usage == "early" and i == self.half else None
            yielded.append(self._chunk({"content": word}, 1, usage=early))
        yielded.append(self._chunk({}, finish="stop", usage=self.last))
        return [*yielded, (b"data: [DONE]\n\n", 0, 0)]

    def whole(self):
        message = {"role": "assistant", "content": "".join(self.words)}
        value = {"id": "c", "object": "chat.completion", "created": 1, "model": self.model, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}  # fmt: skip
        return _split(value | ({"usage": self._usage(self.last)} if self.last else {}), self.words, self.told)


class Messages(Writer):
    def stream(self):
        start = {"input_tokens": self.read, "output_tokens": 1} if self.usage in ("true", "start", "early") else {}
        message = {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": self.model,
            "stop_reason": None,
            "usage": start,
        }
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        events = [
            self._named({"type": "message_start", "message": message}, told=sum(start.values())),
            self._named(block),
        ]
        for i, word in enumerate(self.words):
            events.append(
                self._named(
                    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}, 1
                )
            )
            if self.usage == "early" and i == self.half:
                events.append(self._delta(None, (self.read, i + 1)))
        events.append(self._named({"type": "content_block_stop", "index": 0}))
        return [*events, self._delta("end_turn", self.last), self._named({"type": "message_stop"})]

    def _delta(self, reason, usage):
        value = {"type": "message_delta", "delta": {"stop_reason": reason}}
        if usage is not None:
            value["usage"] = {"input_tokens": usage[0], "output_tokens": usage[1]}
        return self._named(value, told=sum(usage or (0,)))

    def _named(self, value, words=0, told=0):
        return _event(value, words, told, name=value["type"])

    def whole(self):
        value = {"id": "m", "type": "message", "role": "assistant", "model": self.model, "content": [{"type": "text", "text": "".join(self.words)}], "stop_reason": "end_turn"}  # fmt: skip
        usage = {"usage": {"input_tokens": self.last[0], "output_tokens": self.last[1]}} if self.last else {}
        return _split(value | usage, self.words, self.told)


class Responses(Writer):
    def _response(self, status, output, usage):
        value = {
            "id": f"resp_{self.number}",
            "object": "response",
            "created_at": 1,
            "status": status,
            "model": self.model,
            "output": output,
        }
        if usage is not None:
            value["usage"] = {
                "input_tokens": usage[0], "output_tokens": usage[1], "total_tokens": sum(usage),
                "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
            }  # fmt: skip
        return value

    @property
    def _item(self):
        part = {"type": "output_text", "text": "".join(self.words), "annotations": []}
        return {"type": "message", "id": "msg", "role": "assistant", "status": "completed", "content": [part]}

    def stream(self):
        number = itertools.count()

        def named(kind, words=0, told=0, **fields):
            return _event({"type": kind, "sequence_number": next(number), **fields}, words, told, name=kind)

        at = {"output_index": 0, "item_id": "msg", "content_index": 0}
        usage = (self.read, 0) if self.usage in ("start", "early") else None
        return [
            named("response.created", told=sum(usage or (0,)), response=self._response("in_progress", [], usage)),
            named(
                "response.output_item.added",
                output_index=0,
                item={**self._item, "content": [], "status": "in_progress"},
            ),
            named("response.content_part.added", **at, part={"type": "output_text", "text": "", "annotations": []}),
            *(named("response.output_text.delta", 1, **at, delta=word) for word in self.words),
            named("response.output_text.done", **at, text="".join(self.words)),
            named("response.output_item.done", output_index=0, item=self._item),
            named("response.completed", told=self.told, response=self._response("completed", [self._item], self.last)),
        ]

    def whole(self):
        return _split(self._response("completed", [self._item], self.last), self.words, self.told)


ERRORS = {
    "/chat/completions": b'data: {"error":{"message":"broke","code":"server_error"}}\n\n',
    "/v1/messages": b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"broke"}}\n\n',
    "/responses": b'event: error\ndata: {"type":"error","code":"server_error","message":"broke"}\n\n',
}
