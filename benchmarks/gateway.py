"""What a request through a gateway costs, in one run and one table: nginx (the limit), a plain relay, ours, and the peers that are there.

usage: python -m benchmarks.gateway [--seconds N] [--rounds N] [--idle N] [--before DIR] [--only NAME] [--json]     (needs wrk; nginx if it shall be measured)

`--before DIR` adds the Rightseat of another checkout, such as `git worktree add DIR COMMIT` makes, to see what a change costs.

Everything stands before the same fake upstream; each gateway is one process, pinned to one core, upstream and load to another. CPU is
user and system time of the gateway's processes, from /proc. "whole": 50 upstream chunks as one answer; "stream": the same
50 passed on; "paced": 50 chunks 10 ms apart, 64 streams at a time; "first chunk": what the gateway adds, at rest; "idle": memory of one open
stream that is silent; "start": from the command to the first answer. All take turns, and each figure is the median of the rounds: a machine
that others use too is faster in one minute than in the next. `make bench-peers` installs the peers.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.peers import PEERS
from rightseat.accounts.store import Account, FileStore

FAKE, COLLECTOR = 8931, 8930
console = Console(stderr=True)

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
NGINX = """
worker_processes 1; daemon off; pid %(state)s/nginx.pid; error_log %(state)s/error.log;
events { worker_connections 12000; }
http {
  access_log off; client_body_temp_path %(state)s; proxy_temp_path %(state)s; fastcgi_temp_path %(state)s;
  uwsgi_temp_path %(state)s; scgi_temp_path %(state)s; keepalive_requests 1000000;
  upstream fake { server 127.0.0.1:%(fake)d; keepalive 128; keepalive_requests 1000000; }
  server { listen 127.0.0.1:%(port)d; location / {
    proxy_pass http://fake; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_read_timeout 300; } }
}
"""
LUA = "wrk.method = \"POST\"\nwrk.body = '%s'\n%s"


@dataclass
class Target:
    """Something that is measured."""

    name: str
    port: int
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    path: str = "/v1/chat/completions"
    headers: dict[str, str] = field(default_factory=dict)
    wholes: bool = True
    quick: bool = True  # can hold thousands of streams in a time that somebody waits for


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


def body_of(model: str, *, stream: bool) -> str:
    return json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hello " * 20}]})


def load(target: Target, pid: int, model: str, *, stream: bool, seconds: int, connections: int) -> dict:
    headers = {"content-type": "application/json", **target.headers}
    lines = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in headers.items())
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA % (body_of(model, stream=stream), lines))
        script.flush()
        run = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", script.name, f"http://127.0.0.1:{target.port}{target.path}"]  # fmt: skip
        subprocess.run([*run[:3], "-d1s", *run[4:]], check=True, capture_output=True)
        before = cpu(pid)
        said = subprocess.run(run, check=True, capture_output=True, text=True).stdout
        used = cpu(pid) - before
    requests = int(next(line.split()[0] for line in said.splitlines() if "requests in" in line))
    if "Non-2xx" in said or not requests:
        raise RuntimeError(f"{target.name}: {said}")
    return {"per_second": requests / seconds, "cpu_ms": used / requests * 1000}


async def _open(target: Target, model: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, float]:
    """Ask for a stream on a connection of its own; seconds until its first chunk."""
    body = body_of(model, stream=True).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in target.headers.items())
    head = f"POST {target.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{lines}content-length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port, limit=2**20)
    begun = time.perf_counter()
    writer.write(head.encode() + body)
    await reader.readuntil(b"data: {")
    return reader, writer, time.perf_counter() - begun


async def first_chunk_ms(target: Target, rounds: int = 100) -> float:
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
        async with asyncio.timeout(90):
            for _ in range(0, count, 50):
                streams += await asyncio.gather(*(_open(target, "idle") for _ in range(50)))
        return (memory_kib(pid) - before) / count
    finally:
        for _, writer, _ in streams:
            writer.close()
        await asyncio.sleep(0.5)


def wait_for(target: Target, process: subprocess.Popen, seconds: float) -> None:
    """Until the first good answer."""
    until = time.monotonic() + seconds
    url = f"http://127.0.0.1:{target.port}{target.path}"
    headers = {"content-type": "application/json", **target.headers}
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{target.name}: ended with status {process.returncode}")
        try:
            request = urllib.request.Request(url, body_of("gpt-5", stream=True).encode(), headers)
            urllib.request.urlopen(request, timeout=5).read()
            return
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.02)
    raise RuntimeError(f"{target.name}: no good answer within {seconds} s")


def targets(home: Path, before: Path | None = None) -> list[Target]:
    fake = f"http://127.0.0.1:{FAKE}"
    found = []
    if nginx := shutil.which("nginx"):
        conf = home / "nginx.conf"
        conf.write_text(NGINX % {"state": home, "fake": FAKE, "port": 8934})
        found.append(Target("nginx (the limit)", 8934, [nginx, "-c", str(conf)], wholes=False))
    found.append(Target("plain relay", 8932, [sys.executable, "-c", RELAY, "8932", fake], wholes=False))
    FileStore(home).save(Account("bench", "gho_bench", host=fake))
    ours = [sys.executable, "-m", "rightseat", "serve", "--port", "8933"]
    found.append(Target("Rightseat", 8933, ours, {"RIGHTSEAT_HOME": str(home), "RIGHTSEAT_CONNECTIONS": "20000"}))
    env = {"RIGHTSEAT_HOME": str(home), "RIGHTSEAT_CONNECTIONS": "20000"}
    if before is not None:
        found.append(
            Target(
                "Rightseat, before", 8938, [*ours[:-1], "8938"], {**env, "PYTHONPATH": str(before.resolve() / "src")}
            )
        )
    quiet = {
        "RIGHTSEAT_LOG": "off",
        "RIGHTSEAT_METRICS": "false",
        "RIGHTSEAT_REDACT_REQUESTS": "off",
        "RIGHTSEAT_SCREEN_REQUESTS": "off",
    }
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{COLLECTOR}"}
    found.append(Target("Rightseat, nothing observed", 8935, [*ours[:-1], "8935"], {**env, **quiet}))
    found.append(
        Target("Rightseat, metrics", 8936, [*ours[:-1], "8936"], {**env, **quiet, "RIGHTSEAT_METRICS": "true"})
    )
    found.append(
        Target(
            "Rightseat, metrics and traces",
            8937,
            [*ours[:-1], "8937"],
            {**env, **quiet, **traced, "RIGHTSEAT_METRICS": "true"},
        )
    )
    for i, peer in enumerate(PEERS):
        state = home / f"peer{i}"
        state.mkdir()
        if (how := peer.command(8940 + i, fake, state)) is not None:
            found.append(Target(peer.name, 8940 + i, *how, path=peer.path, headers=peer.headers, quick=False))
    return found


class _Collector(BaseHTTPRequestHandler):
    """Takes traces and forgets them."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def measure(target: Target, seconds: int, idle: int, log: Path) -> dict:
    """All figures of one target, which is started and ended here."""
    cores = sorted(os.sched_getaffinity(0))
    pin = ["taskset", "-c", str(cores[0])] if shutil.which("taskset") and len(cores) > 1 else []
    begun = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*pin, *target.argv], env={**os.environ, **target.env}, stdout=out, stderr=out, start_new_session=True
        )
    try:
        wait_for(target, process, 60)
        found = {"start_s": time.monotonic() - begun}
        if target.wholes:
            found["whole"] = load(target, process.pid, "gpt-5", stream=False, seconds=seconds, connections=32)
        found["stream"] = load(target, process.pid, "gpt-5", stream=True, seconds=seconds, connections=32)
        found["paced"] = load(target, process.pid, "paced", stream=True, seconds=seconds, connections=64)
        found["first_ms"] = asyncio.run(first_chunk_ms(target))
        if idle:
            try:
                found["idle_kib"] = asyncio.run(idle_kib(target, process.pid, idle if target.quick else min(idle, 500)))
            except (TimeoutError, OSError, asyncio.IncompleteReadError) as e:
                console.print(f"[yellow]{target.name}: silent streams not measured: {type(e).__name__}[/yellow]")
        return found
    finally:
        for one in reversed(processes(process.pid)):
            os.kill(one, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def median_of(several: list[dict]) -> dict:
    """The median of each figure, wherever it was measured."""
    found = {}
    for name in dict.fromkeys(name for one in several for name in one):
        values = [one[name] for one in several if name in one]
        found[name] = median_of(values) if isinstance(values[0], dict) else statistics.median(values)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=3, help="length of each load")
    parser.add_argument("--rounds", type=int, default=3, help="how many times everything is measured")
    parser.add_argument("--idle", type=int, default=5000, help="silent streams held open; 0: none")
    parser.add_argument("--only", default="", help="measure only targets whose name holds this")
    parser.add_argument("--before", type=Path, help="a checkout of another commit, measured too")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed (Debian, Ubuntu: apt-get install wrk)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    rounds: dict[str, list[dict]] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        collector = ThreadingHTTPServer(("127.0.0.1", COLLECTOR), _Collector)
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        fake = subprocess.Popen([sys.executable, "-m", "benchmarks.fake_copilot", str(FAKE)], stdout=subprocess.PIPE)
        try:
            fake.stdout.readline()
            direct = asyncio.run(first_chunk_ms(Target("direct", FAKE, [], path="/chat/completions")))
            chosen = [target for target in targets(home, options.before) if options.only.lower() in target.name.lower()]
            for number, target in [(number, target) for number in range(options.rounds) for target in chosen]:
                console.print(f"[dim]{number + 1}: {target.name}[/dim]")
                log = home / "log"
                try:
                    one = measure(target, options.seconds, 0 if number else options.idle, log)
                    one["first_ms"] -= direct
                    rounds.setdefault(target.name, []).append(one)
                except (RuntimeError, OSError, subprocess.SubprocessError) as e:
                    console.print(
                        f"[yellow]not measured: {e}[/yellow]\n{log.read_text(errors='replace')[-1500:]}", markup=False
                    )
        finally:
            fake.terminate()
            fake.wait(10)
            collector.shutdown()
    found = {name: median_of(several) for name, several in rounds.items()}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    table = Table(title="One process on one core; CPU per request in ms, and how many times ours")
    columns = ("whole", "stream", "paced")
    table.add_column("")
    for name in (*columns, "streams/s", "first chunk, ms", "idle stream, KiB", "start, s"):
        table.add_column(name, justify="right")
    ours = found.get("Rightseat")
    for name, row in found.items():
        cells = []
        for column in columns:
            mine = row.get(column, {}).get("cpu_ms")
            base = (ours or {}).get(column, {}).get("cpu_ms")
            cells.append("" if mine is None else f"{mine:.2f} ({mine / base:.1f}x)" if base else f"{mine:.2f}")
        idle = f"{row['idle_kib']:.0f}" if "idle_kib" in row else ""
        table.add_row(
            name,
            *cells,
            f"{row['stream']['per_second']:,.0f}",
            f"{row['first_ms']:+.2f}",
            idle,
            f"{row['start_s']:.2f}",
        )
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
