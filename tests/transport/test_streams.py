"""One body, every transport: what a ByteStream promises holds for stdio, TCP, a TCP child and the twin in memory."""

import asyncio
import os
import sys
import time
from contextlib import asynccontextmanager

import pytest

from rightseat import CliNotFoundError, CliNotRunnableError, ConnectError, ConnectionLostError
from rightseat.transport.memory import MemoryStream
from rightseat.transport.reader import BATCH_BYTES
from rightseat.transport.stdio import StdioStream
from rightseat.transport.tcp import TcpStream
from rightseat.transport.tcp_child import TcpChildStream
from rightseat.transport.writer import HIGH_WATER_BYTES

ECHO = "import os\nwhile data := os.read(0, 65536):\n    while data:\n        data = data[os.write(1, data):]\n"
TCP_ECHO = """
import os, socket, sys
server = socket.create_server(("127.0.0.1", 0))
print("CLI server listening on port", server.getsockname()[1], flush=True)
peer, _ = server.accept()
while data := peer.recv(65536):
    peer.sendall(data)
"""


@asynccontextmanager
async def memory():
    ours, theirs = MemoryStream.pair()

    async def echo():
        while data := await theirs.read():
            theirs.write(data)
            if theirs.congested:
                await theirs.drain()

    task = asyncio.ensure_future(echo())
    yield ours
    await ours.close()
    await task


@asynccontextmanager
async def stdio():
    stream = StdioStream([sys.executable, "-c", ECHO], env=dict(os.environ))
    yield stream
    await stream.close()


@asynccontextmanager
async def tcp():
    async def echo(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    stream = await TcpStream.connect(*server.sockets[0].getsockname()[:2])
    yield stream
    await stream.close()
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def tcp_child():
    stream = await TcpChildStream.start([sys.executable, "-c", TCP_ECHO], env=dict(os.environ), timeout=10)
    yield stream
    await stream.close()


@pytest.fixture(params=[memory, stdio, tcp, tcp_child], ids=lambda make: make.__name__)
async def echo(request):
    async with asyncio.timeout(30), request.param() as stream:
        yield stream


async def read_exactly(stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = await stream.read()
        assert piece, f"the stream ended after {len(data)} of {size} bytes"
        data += piece
    return data


async def test_bytes_come_back_in_order(echo):
    sent = [b"%d;" % i for i in range(2000)]
    for piece in sent:
        echo.write(piece)
    assert b"".join(sent) == await read_exactly(echo, len(b"".join(sent)))


async def test_a_large_message_passes_whole(echo):
    block = os.urandom(3 * 1024 * 1024 + 1)
    writing = asyncio.ensure_future(asyncio.sleep(0))
    echo.write(block)
    assert block == await read_exactly(echo, len(block))
    await writing


async def test_congestion_is_told_and_ends(echo):
    for _ in range(40):
        echo.write(b"x" * (HIGH_WATER_BYTES // 4))
    assert echo.congested
    reading = asyncio.ensure_future(read_exactly(echo, 10 * HIGH_WATER_BYTES))
    await echo.drain()
    assert not echo.congested
    assert len(await reading) >= 10 * HIGH_WATER_BYTES


async def test_after_close_reading_ends_and_writing_is_harmless(echo):
    await echo.close()
    echo.write(b"too late")
    assert await echo.read() == b""
    assert await echo.read() == b""
    await echo.drain()
    await echo.close()
    assert (await echo.end()).reason


async def test_closing_wakes_who_reads(echo):
    reading = asyncio.ensure_future(echo.read())
    await asyncio.sleep(0)
    await echo.close()
    assert await reading == b""


WRITER = """
import os, sys
for i in range(200):
    os.write(1, (b"%06d" % i) * 10000)
os.write(2, b"all written\\n")
os.read(0, 1)
"""


async def test_a_blocked_event_loop_does_not_block_the_child():
    lines: list[str] = []
    stream = StdioStream([sys.executable, "-c", WRITER], env=dict(os.environ), on_stderr=lines.append)
    deadline = time.monotonic() + 20
    while not lines and time.monotonic() < deadline:  # the loop does not run while this waits
        time.sleep(0.01)
    assert lines == ["all written"]
    data = await read_exactly(stream, 200 * 60000)
    assert data == b"".join((b"%06d" % i) * 10000 for i in range(200))
    await stream.close()


async def test_what_has_piled_up_comes_in_bounded_batches():
    lines: list[str] = []
    stream = StdioStream([sys.executable, "-c", WRITER], env=dict(os.environ), on_stderr=lines.append)
    while not lines:
        time.sleep(0.01)
    assert len(await stream.read()) <= BATCH_BYTES
    await stream.close()


async def test_a_dead_child_says_how_and_its_last_words():
    code = (
        "import sys; sys.stderr.write('first\\n' * 5000 + 'last words gho_abcdefghijklmnopqrstuvwxyz\\n'); sys.exit(7)"
    )
    stream = StdioStream([sys.executable, "-c", code], env=dict(os.environ))
    assert await stream.read() == b""
    end = await stream.end()
    assert end.exit_status == 7
    assert end.reason == "the Copilot CLI exited with status 7"
    assert end.stderr_tail.endswith("last words gho_...wxyz")
    assert len(end.stderr_tail) < 1000
    await stream.close()


async def test_a_killed_child_says_the_signal():
    stream = StdioStream([sys.executable, "-c", ECHO], env=dict(os.environ))
    stream.process.kill()
    assert await stream.read() == b""
    assert (await stream.end()).reason == "the Copilot CLI was killed by signal 9"
    await stream.close()


async def test_a_grandchild_that_holds_the_pipe_does_not_hide_the_childs_death():
    code = "import subprocess, sys, os; subprocess.Popen(['sleep', '60']); os._exit(3)"
    stream = StdioStream([sys.executable, "-c", code], env=dict(os.environ))
    async with asyncio.timeout(2):
        assert await stream.read() == b""
    assert (await stream.end()).exit_status == 3
    await stream.close()
    assert await marked(stream) == []


async def marked(stream) -> list[int]:
    """Processes that still carry the child's mark."""
    return await stream.process.stragglers()


async def test_close_leaves_no_descendant_behind():
    code = (
        "import subprocess, sys\n"
        "subprocess.Popen(['sleep', '60'])\n"
        "subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)'],"
        " start_new_session=True)\n"
        "sys.stdout.write('ready'); sys.stdout.flush(); sys.stdin.read()\n"
    )
    stream = StdioStream([sys.executable, "-c", code], env=dict(os.environ))
    assert await stream.read() == b"ready"
    assert len(await marked(stream)) == 3
    await stream.close()
    assert await marked(stream) == []


async def test_a_process_caught_in_the_middle_of_its_exec_is_seen(monkeypatch):
    monkeypatch.setattr("rightseat.transport.process._EXEC_SECONDS", 10)  # the test may be on a busy machine
    code = (  # no environment until the word is given, as in execve(2)
        "import os, subprocess, sys\n"
        "line = 'read word; exec env RIGHTSEAT_CHILD=$0 sleep 60'\n"
        "child = ['sh', '-c', line, os.environ['RIGHTSEAT_CHILD']]\n"
        "held = subprocess.Popen(child, env={}, stdin=subprocess.PIPE, start_new_session=True)\n"
        "sys.stdout.write('ready'); sys.stdout.flush(); sys.stdin.readline()\n"
        "held.stdin.write(b'go\\n'); held.stdin.flush(); sys.stdin.read()\n"
    )
    stream = StdioStream([sys.executable, "-c", code], env=dict(os.environ))
    assert await stream.read() == b"ready"
    looking = asyncio.ensure_future(marked(stream))
    await asyncio.wait([looking], timeout=0)  # its first look is over
    stream.write(b"go\n")
    assert len(await looking) == 1
    await stream.close()
    assert await marked(stream) == []


async def test_no_such_program():
    with pytest.raises(CliNotFoundError, match="'/no/such/copilot' does not exist"):
        StdioStream(["/no/such/copilot"], env={})


async def test_no_such_working_directory(tmp_path):
    with pytest.raises(CliNotFoundError, match="working directory .* does not exist"):
        StdioStream([sys.executable], env={}, cwd=str(tmp_path / "nowhere"))


async def test_a_file_that_is_no_program(tmp_path):
    (tmp_path / "copilot").write_bytes(b"\x00\x01")
    (tmp_path / "copilot").chmod(0o755)
    with pytest.raises(CliNotRunnableError, match="cannot run"):
        StdioStream([str(tmp_path / "copilot")], env={})


async def test_nobody_listens():
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectError, match=f"cannot connect to 127.0.0.1:{port}"):
        await TcpStream.connect("127.0.0.1", port)


async def test_a_tcp_child_that_dies_first_says_why():
    code = "import sys; sys.stderr.write('port 1 is taken\\n'); sys.exit(2)"
    with pytest.raises(ConnectionLostError, match=r"(?s)status 2 before it listened.*port 1 is taken"):
        await TcpChildStream.start([sys.executable, "-c", code], env=dict(os.environ), timeout=10)
