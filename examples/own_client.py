"""A client of the Copilot CLI of your own, on the protocol core alone: a process, a Peer, one loop.

Everything that `CopilotClient` does beyond this is in the guide docs/own-client.md. Run it offline:
`rightseat simulate -- python examples/own_client.py "Why is the sky blue?"`
"""

import asyncio
import json
import sys
import uuid
from asyncio.subprocess import PIPE

from rightseat import find_cli
from rightseat.wire.jsonrpc import METHOD_NOT_FOUND, Answered, Called, Notified, Peer, Refused


class RpcFailedError(Exception):
    """The CLI answered a call with an error."""


class Connection:
    """Bytes to and from the CLI, and the calls that wait for an answer."""

    def __init__(self, process):
        self._process = process
        self._peer = Peer()  # knows ids and frames; does no I/O
        self._waiting = {}  # id of a call -> a future
        self._sessions = {}  # id of a session -> its function for events
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls):
        """Start the CLI and shake hands."""
        argv = [str(find_cli()), "--headless", "--no-auto-update", "--log-level", "error", "--stdio"]
        connection = cls(await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE))
        hello = await connection.call("connect", {})
        if hello["protocolVersion"] != 3:
            raise RpcFailedError(f"protocol {hello['protocolVersion']} is not known here")
        return connection

    async def call(self, method, params):
        """Call the CLI, and wait for its answer."""
        call_id, data = self._peer.call(method, params)
        future = self._waiting[call_id] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(data)
        await self._process.stdin.drain()  # back-pressure: a full pipe makes us wait
        return await future

    def listen(self, session_id, on_event):
        """Be told of a session's events. Before the session is created: events come before the answer to that."""
        self._sessions[session_id] = on_event

    async def close(self):
        """Ask the CLI to end, and see that it does."""
        try:
            async with asyncio.timeout(5):
                await self.call("runtime.shutdown", {})
                await self._process.wait()
        except (TimeoutError, RpcFailedError, ConnectionError):
            self._process.kill()
            await self._process.wait()
        await self._reader

    async def _read(self):
        # Never readline(): asyncio's lines end at 64 KiB, and events are larger.
        while data := await self._process.stdout.read(65536):
            for message in self._peer.feed(data):
                self._take(message)
            if self._peer.failure is not None:
                break
        error = self._peer.failure or ConnectionError("the CLI has ended")
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)  # no call waits for ever

    def _take(self, message):
        match message:
            case Answered(id=call_id, result=result):
                if not (future := self._waiting.pop(call_id)).done():
                    future.set_result(json.loads(bytes(result)))
            case Refused(id=call_id):
                if not (future := self._waiting.pop(call_id)).done():
                    future.set_exception(RpcFailedError(message.message))
            case Notified(method="session.event", params=params):
                told = json.loads(bytes(params))
                if on_event := self._sessions.get(told["sessionId"]):
                    on_event(told["event"])
            case Called(id=call_id, method=method):
                # The CLI asks something that this client does not know: say so, or it waits.
                self._process.stdin.write(self._peer.refuse(call_id, METHOD_NOT_FOUND, f"no handler for {method}"))


class Session:
    """A conversation: text as it comes, one tool, and an answer to every permission question."""

    def __init__(self, connection):
        self.id = str(uuid.uuid4())
        self._connection = connection
        self._events = asyncio.Queue()

    @classmethod
    async def create(cls, connection, **options):
        """Listen first, create then."""
        session = cls(connection)
        connection.listen(session.id, session._events.put_nowait)
        params = {"sessionId": session.id, "streaming": True, "requestPermission": True, **options}
        await connection.call("session.create", params)
        return session

    async def stream(self, prompt, tools=None):
        """Send a message, and give the text of the answer in pieces until the session is idle."""
        sending = asyncio.create_task(self._connection.call("session.send", {"sessionId": self.id, "prompt": prompt}))
        while True:
            event = await self._events.get()
            data = event.get("data") or {}
            if event.get("agentId"):
                continue  # a sub-agent's: its idle is not ours
            match event["type"]:
                case "assistant.message_delta":
                    yield data["deltaContent"]
                case "permission.requested":
                    await self._permit(data)
                case "external_tool.requested":
                    await self._run_tool(data, tools or {})
                case "session.error":
                    raise RpcFailedError(data["message"])
                case "session.idle":
                    await sending
                    return

    async def _permit(self, data):
        # Broadcast as an event, answered by a call. Left unanswered, the turn hangs.
        own = data["permissionRequest"].get("kind") == "custom-tool"
        result = (
            {"kind": "approve-once"} if own else {"kind": "reject", "feedback": "This client runs its own tools only."}
        )
        params = {"sessionId": self.id, "requestId": data["requestId"], "result": result}
        await self._connection.call("session.permissions.handlePendingPermissionRequest", params)

    async def _run_tool(self, data, tools):
        try:
            text = str(tools[data["toolName"]](**(data.get("arguments") or {})))
            result = {"textResultForLlm": text, "resultType": "success"}
        except Exception as e:
            result = {"textResultForLlm": f"It failed: {e}", "resultType": "failure", "error": str(e)}
        params = {"sessionId": self.id, "requestId": data["requestId"], "result": result}
        await self._connection.call("session.tools.handlePendingToolCall", params)


def count_words(text):
    return len(text.split())


COUNT_WORDS = {
    "name": "count_words",
    "description": "Counts the words of a text.",
    "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}


async def main():
    prompt = " ".join(sys.argv[1:]) or "Use the count_words tool on 'one two three four'"
    connection = await Connection.start()
    try:
        session = await Session.create(connection, tools=[COUNT_WORDS])
        async for piece in session.stream(prompt, {"count_words": count_words}):
            print(piece, end="", flush=True)
        print()
    finally:
        await connection.close()


asyncio.run(main())
