"""Loads on one gateway, and what is measured of it meanwhile: CPU from /proc, memory, latency."""

import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway.targets import Target

_LUA = """
local file = io.open("%s", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
%s
"""
_TOOL_RESULT = (
    "The file has a line that says so, and another one that says something else. "  # of agents' conversations
)


@dataclass(frozen=True)
class Load:
    """One kind of request.

    Attributes:
        name: of its column.
        model: "gpt-5" answers at once, "paced" every 10 ms, "idle" never ends.
        stream: the answer is a stream.
        connections: at a time.
        kib: size of the conversation, with 20 tools; 0: a question of 120 characters.
        translated: asked in the other dialect, Anthropic's.
        tls: the upstream is reached over TLS.
    """

    name: str
    model: str = "gpt-5"
    stream: bool = True
    connections: int = 32
    kib: int = 0
    translated: bool = False
    tls: bool = False


MAIN = (
    Load("whole", stream=False),
    Load("stream"),
    Load("paced", "paced", connections=64),
    Load("stream, TLS", tls=True),
    Load("paced, TLS", "paced", connections=64, tls=True),
)
SIZES = (
    Load("small"),
    Load("100 KiB", kib=100, connections=8),
    Load("400 KiB", kib=400, connections=8),
    Load("400 KiB, translated", kib=400, connections=8, translated=True),
    Load("2 MiB", kib=2048, connections=4),
    Load("10 MiB", kib=10240, connections=2),
)
FEATURES = (Load("stream"), Load("paced", "paced", connections=64))


def conversation(kib: int) -> tuple[list[dict], list[dict]]:
    """Messages of an agent's session in OpenAI's shape, of about that many KiB, and its 20 tools."""
    schema = {"type": "object", "properties": {"path": {"type": "string"}, "line": {"type": "integer"}}}
    tools = [
        {"type": "function", "function": {"name": f"tool_{i}", "description": "Reads. " * 40, "parameters": schema}}
        for i in range(20)
    ]
    messages: list[dict] = [{"role": "user", "content": "hello " * 20}]
    size = len(json.dumps(tools))
    for i in range(kib and 10**6):
        call = {"id": f"call_{i}", "type": "function", "function": {"name": "tool_1", "arguments": '{"path": "a.py", "line": 7}'}}  # fmt: skip
        messages += [
            {"role": "assistant", "content": "I read it.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"call_{i}", "content": _TOOL_RESULT * 24},
        ]
        size += 2100
        if size >= kib * 1024:
            break
    return messages, tools if kib else []


def body_of(load: Load) -> bytes:
    messages, tools = conversation(load.kib)
    body: dict = {"model": load.model, "stream": load.stream, "messages": messages}
    if load.translated:
        body["messages"] = [_anthropic(message) for message in messages]
        body["max_tokens"] = 1000
        tools = [
            {"name": f["name"], "description": f["description"], "input_schema": f["parameters"]}
            for f in (tool["function"] for tool in tools)
        ]
    if tools:
        body["tools"] = tools
    return json.dumps(body, separators=(",", ":")).encode()


def _anthropic(message: dict) -> dict:
    if message["role"] == "tool":
        block = {"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": message["content"]}
        return {"role": "user", "content": [block]}
    content = [{"type": "text", "text": message["content"]}]
    for call in message.get("tool_calls", ()):
        use = json.loads(call["function"]["arguments"])
        content.append({"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": use})
    return {"role": message["role"], "content": content}


def processes(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += processes(int(child))
    return found


def cpu(pid: int) -> float:
    total = 0
    for one in processes(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def memory_kib(pid: int) -> float:
    return sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in processes(pid)) * 4


def run(target: Target, pid: int, load: Load, seconds: int) -> dict:
    """Put a load on it. Raises RuntimeError: an answer was no good."""
    headers = {"content-type": "application/json", **target.headers}
    lines = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in headers.items())
    path = target.messages_path if load.translated else target.path
    with tempfile.TemporaryDirectory() as folder:
        body, script = Path(folder, "body"), Path(folder, "script.lua")
        body.write_bytes(body_of(load))
        script.write_text(_LUA % (body, lines))
        argv = [f"-c{load.connections}", "--timeout", "30s", "--latency", "-s", str(script), f"http://127.0.0.1:{target.port}{path}"]  # fmt: skip
        subprocess.run(["wrk", "-t1", "-d1s", *argv], check=True, capture_output=True)
        before = cpu(pid)
        said = subprocess.run(["wrk", "-t1", f"-d{seconds}s", *argv], check=True, capture_output=True, text=True).stdout
        used = cpu(pid) - before
    requests = int(next(line.split()[0] for line in said.splitlines() if "requests in" in line))
    if "Non-2xx" in said or not requests:
        raise RuntimeError(f"{target.name}, {load.name}: {said}")
    return {"per_second": requests / seconds, "cpu_ms": used / requests * 1000, **_latencies(said)}


def _latencies(said: str) -> dict:
    found = {}
    for line in said.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] in ("50%", "99%"):
            number = words[1].rstrip("musn")
            unit = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}[words[1][len(number) :]]
            found["p" + words[0][:2]] = float(number) * unit
    return found


async def _open(target: Target, model: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, float]:
    """Ask for a stream on a connection of its own; seconds until its first chunk."""
    body = body_of(Load("", model))
    lines = "".join(f"{name}: {value}\r\n" for name, value in target.headers.items())
    head = f"POST {target.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{lines}content-length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port, limit=2**20)
    begun = time.perf_counter()
    writer.write(head.encode() + body)
    await reader.readuntil(b"data: {")
    return reader, writer, time.perf_counter() - begun


async def first_chunk_ms(target: Target, rounds: int = 100) -> float:
    """Until the first chunk, at rest."""
    times = []
    for _ in range(rounds + 20):
        _, writer, seconds = await _open(target, "gpt-5")
        times.append(seconds * 1000)
        writer.close()
    return statistics.median(times[20:])


async def idle_kib(target: Target, pid: int, count: int) -> float:
    """Memory of one open stream that has said a word and is silent."""
    streams = []
    before = memory_kib(pid)
    try:
        async with asyncio.timeout(120):
            for _ in range(0, count, 50):
                streams += await asyncio.gather(*(_open(target, "idle") for _ in range(50)))
        return (memory_kib(pid) - before) / count
    finally:
        for _, writer, _ in streams:
            writer.close()
        await asyncio.sleep(0.5)
