"""What a client can do to the gateway and to the others: nothing, however slow, stalled or many they are."""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from rightseat.accounts.store import Account, FileStore
from rightseat.chat import Finish, Reply, TextDelta
from rightseat.simulator.app import SimulatorApp
from rightseat.simulator.server import SimulatorServer


@pytest.fixture(params=["core+direct", "uvicorn+aiohttp"])
def http_server(request):
    """Each promise is kept by both servers."""
    return request.param


BODY = {"model": "gpt-4.1", "stream": True, "messages": [{"role": "user", "content": "Reply with exactly: hi"}]}


async def connect(served):
    host, _, port = served.url.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


@pytest.mark.parametrize("head", [b"", b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: "])
async def test_a_head_that_does_not_come_ends_the_connection(gateway, head):
    served = await gateway(settings={"header_seconds": 0.2})
    reader, writer = await connect(served)
    writer.write(head)
    async with asyncio.timeout(5):
        assert b"408" in await reader.read()
    writer.close()


async def test_a_body_that_does_not_come_is_an_error_that_says_so(gateway):
    served = await gateway(settings={"body_seconds": 0.2})
    for begun in (b"", b'{"model":'):
        reader, writer = await connect(served)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n" + begun)
        async with asyncio.timeout(5):
            assert b"408" in await reader.readline()
            assert b"did not come in time" in await reader.readuntil(b"}}")
        writer.close()


async def test_a_connection_that_is_kept_open_serves_the_next_request(gateway):
    served = await gateway(settings={"header_seconds": 0.3})
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http:
        for pause in (0.5, 0):
            async with http.post(f"{served.url}/v1/chat/completions", json=BODY) as response:
                assert b"hi" in await response.read()
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            loop.call_later(pause, done.set_result, None)
            await done


async def test_too_many_connections_are_told_so(gateway):
    served = await gateway(settings={"connections": 3})
    idle = [await connect(served) for _ in range(3)]
    async with aiohttp.ClientSession() as http, http.get(f"{served.url}/health") as response:
        assert response.status == 503
    for _, writer in idle:
        writer.close()


async def test_a_body_that_is_too_large(gateway):
    served = await gateway(settings={"body_limit": 1000})
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{served.url}/v1/chat/completions", data=b"x" * 2000) as response:
            assert response.status == 413

        async def pieces():
            for _ in range(20):
                yield b"x" * 100

        async with http.post(f"{served.url}/v1/chat/completions", data=pieces()) as response:
            assert response.status == 413


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_five_hundred_stalled_readers_cost_bounded_memory_and_harm_nobody(tmp_path):
    async def floods(request):
        async def run():
            if "flood" in request.prompt:
                for _ in range(100):
                    yield TextDelta("x" * 100_000)
            else:
                yield TextDelta("unharmed")
            yield Finish("stop")

        return Reply(run())

    async with SimulatorServer(SimulatorApp(floods)) as cloud:
        FileStore(tmp_path).save(Account("ann", "gho_simulated", host=cloud.url))
        command = [sys.executable, "-m", "rightseat", "serve", "--port", "0"]
        env = {
            "RIGHTSEAT_HOME": str(tmp_path),
            "PATH": "",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }
        gateway = await asyncio.create_subprocess_exec(*command, env=env, stderr=asyncio.subprocess.PIPE)
        try:
            line = (await gateway.stderr.readline()).decode()
            url = line.split("/v1")[0]
            host, _, port = url.removeprefix("http://").partition(":")
            body = json.dumps({**BODY, "messages": [{"role": "user", "content": "flood"}]}).encode()
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n" % len(body)
            before = resident_mib(gateway.pid)
            stalled = []
            for _ in range(500):
                one = socket.create_connection((host, int(port)))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                one.sendall(head + body)
                stalled.append(one)
                await asyncio.sleep(0)
            async with aiohttp.ClientSession() as http:
                for _ in range(20):
                    async with http.post(f"{url}/v1/chat/completions", json=BODY) as response:
                        assert b"unharmed" in await response.read()
            grown = resident_mib(gateway.pid) - before
            assert grown < 260, (
                f"{grown:.0f} MiB for 500 readers"
            )  # of 10 MB each that they do not read; 170 of them are usual
            for one in stalled:
                one.close()
        finally:
            gateway.terminate()
            await gateway.wait()
