"""Speaking JSON-RPC without a CopilotClient, and answering what the CLI calls beyond what a session answers."""

import asyncio
import subprocess
import sys
from subprocess import PIPE

import pytest
from copilot.jsonrpc import JsonRpcClient, JsonRpcError, ProcessExitedError

from rightseat import ConnectionLostError, InvalidOptionError, NotStartedError, RpcError, RpcTimeoutError
from rightseat.simulator.peer import ScriptedRefusal

# The other side: answers "add", refuses "no", asks back for "ask", tells for "tell", hangs for "hang", ends for "end".
PEER = """
import json, sys
def read():
    head = b""
    while not head.endswith(b"\\r\\n\\r\\n"):
        byte = sys.stdin.buffer.read(1)
        if not byte:
            sys.exit()
        head += byte
    return json.loads(sys.stdin.buffer.read(int(head.split(b":")[1])))
def write(**message):
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body)
    sys.stdout.buffer.flush()
while True:
    asked = read()
    method, params, id = asked.get("method"), asked.get("params"), asked.get("id")
    if method == "add":
        write(id=id, result=sum(params["of"]))
    elif method == "no":
        write(id=id, error={"code": -32001, "message": "not you", "data": {"why": 1}})
    elif method == "ask":
        write(id="theirs", method=params["method"], params={"x": 2})
        write(id=id, result=read())
    elif method == "tell":
        for n in range(3):
            write(method="told", params={"n": n})
        write(id=id, result=None)
    elif method == "end":
        sys.stderr.write("last words\\n")
        sys.exit(3)
"""


@pytest.fixture
async def client():
    process = subprocess.Popen([sys.executable, "-c", PEER], stdin=PIPE, stdout=PIPE, stderr=PIPE)
    client = JsonRpcClient(process)
    client.start(asyncio.get_running_loop())
    yield client
    await client.stop()
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()


async def test_requests_notifications_and_errors(client):
    told = []
    client.set_notification_handler(lambda method, params: told.append((method, params["n"])))
    client.start()  # once is enough
    assert await asyncio.gather(*(client.request("add", {"of": [n, n]}) for n in range(50))) == [
        2 * n for n in range(50)
    ]
    await client.request("tell")
    assert told == [("told", 0), ("told", 1), ("told", 2)]
    with pytest.raises(JsonRpcError, match="not you") as e:
        await client.request("no")
    assert (e.value.code, e.value.data) == (-32001, {"why": 1})
    await client.notify("nothing", {"a": 1})
    with pytest.raises(RpcTimeoutError):
        await client.request("hang", timeout=0.05)


async def test_what_the_peer_calls_is_answered(client):
    async def double(params):
        return {"y": params["x"] * 2}

    def refuse(params):
        raise RpcError("refuse", -32042, "not today")

    client.set_request_handler("double", double)
    client.set_request_handler("refuse", refuse)
    assert (await client.request("ask", {"method": "double"}))["result"] == {"y": 4}
    assert (await client.request("ask", {"method": "refuse"}))["error"]["code"] == -32042
    client.set_request_handler("double", None)
    assert (await client.request("ask", {"method": "double"}))["error"]["code"] == -32601


async def test_an_end_is_told_to_all_who_wait(client):
    closed = asyncio.Event()
    client.on_close = closed.set
    waiting = asyncio.ensure_future(client.request("hang"))
    with pytest.raises(ProcessExitedError, match="exited with status 3"):
        await client.request("end")
    with pytest.raises(ConnectionLostError, match="last words"):
        await waiting
    await closed.wait()
    assert client.get_stderr_output() == "last words"
    with pytest.raises(ConnectionLostError):
        await client.request("add", {"of": []})


async def test_a_client_that_cannot_work_says_why():
    with pytest.raises(InvalidOptionError, match="stdin=PIPE"):
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        JsonRpcClient(process).start()
    with pytest.raises(NotStartedError, match="start"):
        await JsonRpcClient(process).request("x")
    other = asyncio.new_event_loop()
    with pytest.raises(InvalidOptionError, match="^loop: "):
        JsonRpcClient(process).start(other)
    other.close()


async def test_further_requests_of_the_cli_have_handlers(scripted):
    client, cli = await scripted()

    async def weather(params):
        return {"of": params.city_name, "sun": True}

    def refuse(params):
        raise RpcError("x", -32042, "not today")

    end = client.on_request("weather.get", weather)
    client.on_request("weather.refuse", refuse)
    assert await cli.ask("weather.get", {"cityName": "Rome"}) == {"of": "Rome", "sun": True}
    with pytest.raises(ScriptedRefusal, match="not today") as e:
        await cli.ask("weather.refuse", {})
    assert e.value.code == -32042
    with pytest.raises(InvalidOptionError, match=r"'weather\.get' has a handler"):
        client.on_request("weather.get", weather)
    with pytest.raises(InvalidOptionError, match="must be a function"):
        client.on_request("other", None)
    end()
    end()
    with pytest.raises(ScriptedRefusal, match="Unhandled method"):
        await cli.ask("weather.get", {"cityName": "Rome"})
