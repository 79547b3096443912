"""A Copilot API on a bare socket, which cuts, stalls, lies and closes wherever a test wants, and sees when its client leaves."""

import asyncio
import contextlib
import json

from rightseat.wire.copilot_models import model_entry

TOKEN_PATH = "/copilot_internal/v2/token"
CONVERSATIONS = ("/chat/completions", "/responses", "/v1/messages")
MODELS = {
    "gpt-chat": ("/chat/completions",),
    "gpt-responses": ("/responses",),
    "claude-messages": ("/v1/messages",),
    "text-embedding-3-small": ("/embeddings",),
}


def entries() -> list[dict]:
    """A model for each dialect, and one for each that gives no streams."""
    found = []
    for name, endpoints in MODELS.items():
        found.append(model_entry(name, endpoints=endpoints))
        whole = model_entry(f"{name}-whole", endpoints=endpoints)
        whole["capabilities"]["supports"]["streaming"] = False
        found.append(whole)
    return found


def answer(body: bytes | dict, status: str = "200 OK", kind: str = "application/json", **headers: str) -> bytes:
    """A whole answer with its length."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n{more}\r\n".encode() + data


class Asked:
    """A request that came in."""

    def __init__(self, path: str, writer: asyncio.StreamWriter, body: bytes) -> None:
        self.path, self.writer, self.body = path, writer, body
        self.left = asyncio.Event()


class RawUpstream:
    """`async with RawUpstream() as upstream`; `upstream.answers[path] = what`.

    What: bytes, which are sent; None, for silence; or a coroutine function of the request. After the bytes the connection is closed where
    the request is in `closes`.
    """

    def __init__(self) -> None:
        self.url = ""
        self.closes = False
        self.asked: list[Asked] = []
        token = {"token": "tid=raw;exp=99999999999;st=dotcom:raw", "expires_at": 99999999999, "refresh_in": 1500}
        self.answers = {TOKEN_PATH: answer(token), "/models": answer({"data": entries()})}
        self._came = asyncio.Event()
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def came(self, path: str, count: int = 1) -> Asked:
        """The request of that number to a path, once it is there."""
        async with asyncio.timeout(10):
            while len(found := [one for one in self.asked if one.path == path]) < count:
                self._came.clear()
                await self._came.wait()
        return found[count - 1]

    async def _serve(self, reader, writer) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        mine: list[Asked] = []
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._one(reader, writer, mine):
                    pass
        finally:
            self._tasks.discard(task)
            for asked in mine:
                asked.left.set()
            writer.close()

    async def _one(self, reader, writer, mine) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = next((line for line in head.lower().split("\r\n") if line.startswith("content-length:")), ":0")
        body = await reader.readexactly(int(length.partition(":")[2]))
        asked = Asked(head.split(" ")[1], writer, body)
        self.asked.append(asked)
        mine.append(asked)
        self._came.set()
        what = self.answers.get(asked.path)
        if callable(what):
            what = await what(asked)
        if what is not None:
            writer.write(what)
            await writer.drain()
            if self.closes and asked.path in (*CONVERSATIONS, "/embeddings"):
                return False
            if what.startswith(b"HTTP/1.1") and b"\r\ncontent-length:" in what.partition(b"\r\n\r\n")[0]:
                return True
        with contextlib.suppress(ConnectionError):
            await reader.read(1)  # until whoever asked has left
        return False
