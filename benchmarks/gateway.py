"""What a request through the gateway costs: CPU of the gateway's process per request, measured with wrk against a fake upstream.

usage: python -m benchmarks.gateway [--seconds N]        (needs wrk: apt-get install wrk)

"whole": 50 upstream chunks folded into one answer; "stream": the same 50 chunks passed through. The relay beside it is a plain ASGI
application on the same server and HTTP client that copies bytes: what Python can do at best with these libraries.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rightseat.upstream.store import Account, FileStore

RELAY = """
import asyncio, sys
import aiohttp, uvicorn
target = sys.argv[2]
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    global session
    body, more = b"", True
    while more:
        m = await receive(); body += m.get("body", b""); more = m.get("more_body")
    async with session.post(target + "/chat/completions", data=body) as r:
        await send({"type": "http.response.start", "status": r.status, "headers": [(b"content-type", b"text/event-stream")]})
        while chunk := await r.content.readany():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
async def main():
    global session
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await uvicorn.Server(uvicorn.Config(app, port=int(sys.argv[1]), log_level="warning", lifespan="off")).serve()
import uvloop; uvloop.run(main())
"""
LUA = 'wrk.method = "POST"\nwrk.body = \'%s\'\nwrk.headers["content-type"] = "application/json"\n'


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(port: int, pid: int, stream: bool, seconds: int) -> dict:
    body = json.dumps({"model": "gpt-5", "stream": stream, "messages": [{"role": "user", "content": "hello " * 20}]})
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA % body)
        script.flush()
        run = ["wrk", "-t1", "-c32", f"-d{seconds}s", "-s", script.name, f"http://127.0.0.1:{port}/v1/chat/completions"]
        subprocess.run([*run[:3], "-d1s", *run[4:]], check=True, capture_output=True)
        before = cpu(pid)
        said = subprocess.run(run, check=True, capture_output=True, text=True).stdout
        used = cpu(pid) - before
    requests = int(next(line.split()[0] for line in said.splitlines() if "requests in" in line))
    assert "Non-2xx" not in said, said
    return {"per_second": requests / seconds, "cpu_ms": used / requests * 1000}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=5)
    seconds = parser.parse_args().seconds
    processes, rows = [], []
    with tempfile.TemporaryDirectory() as home:
        try:
            fake = subprocess.Popen([sys.executable, "-m", "benchmarks.fake_copilot", "8931"], stdout=subprocess.PIPE)
            processes.append(fake)
            fake.stdout.readline()
            FileStore(Path(home)).save(Account("bench", "gho_bench", host="http://127.0.0.1:8931"))
            env = {**os.environ, "RIGHTSEAT_HOME": home}
            relay = subprocess.Popen([sys.executable, "-c", RELAY, "8932", "http://127.0.0.1:8931"])
            ours = subprocess.Popen(
                [sys.executable, "-m", "rightseat", "serve", "--port", "8933"], env=env, stderr=subprocess.DEVNULL
            )
            processes += [relay, ours]
            for port in (8932, 8933):
                wait_for(port)
            for name, port, process, stream in (
                ("relay, stream", 8932, relay, True), ("gateway, stream", 8933, ours, True), ("gateway, whole", 8933, ours, False),
            ):  # fmt: skip
                rows.append((name, measure(port, process.pid, stream, seconds)))
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
                process.wait(10)
    table = Table("", "requests/s", "CPU per request, ms", "x relay", title="Gateway, one worker, 32 connections")
    for name, row in rows:
        table.add_row(
            name, f"{row['per_second']:,.0f}", f"{row['cpu_ms']:.3f}", f"{row['cpu_ms'] / rows[0][1]['cpu_ms']:.2f}"
        )
    Console().print(table)


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=1).read()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


if __name__ == "__main__":
    main()
