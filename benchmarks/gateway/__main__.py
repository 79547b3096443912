"""What a request through a gateway costs, in one run: beside nginx, a bare relay and the peers that are there, by size, and by feature.

Everything stands before the same fake upstream; each gateway is one process, pinned to one core, upstream and load to another. CPU is
user and system time of the gateway's processes, from /proc. "whole": 50 upstream chunks as one answer; "stream": the same
50 passed on; "paced": 50 chunks 10 ms apart, 64 streams at a time; "TLS": with an upstream that speaks it; "first chunk": what the gateway
adds, at rest; "p99": what it adds when two ask at a time; "idle": memory of one open stream that is silent; "start": from the command to the
first answer. All take turns, and each figure is the median of the rounds: a machine that others use too is faster in one minute than in the
next. Ratios count, and only within one run. `make bench-peers` installs the peers.
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
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from rich.console import Console
from tests.contract.http.certificates import Authority

from benchmarks.gateway import tables
from benchmarks.gateway.loads import FEATURES, MAIN, SIZES, Load, body_of, first_chunk_ms, idle_kib, processes, run
from benchmarks.gateway.targets import COLLECTOR, FAKE, FAKE_TLS, Target, Upstream, feature_targets, main_targets

console = Console(stderr=True)
_CALM = Load("calm", stream=False, connections=2)


class _Collector(BaseHTTPRequestHandler):
    """Takes traces and forgets them."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Started:
    """A target's process, pinned to a core, as a context manager."""

    def __init__(self, target: Target, log: Path) -> None:
        self._target, self._log = target, log

    def __enter__(self) -> Self:
        cores = sorted(os.sched_getaffinity(0))
        pin = ["taskset", "-c", str(cores[0])] if shutil.which("taskset") and len(cores) > 1 else []
        begun = time.monotonic()
        env = {**os.environ, **self._target.env}
        with self._log.open("wb") as out:
            self._process = subprocess.Popen([*pin, *self._target.argv], env=env, stdout=out, stderr=out, start_new_session=True)  # fmt: skip
        self.pid = self._process.pid
        try:
            self._wait(60)
        except BaseException:
            self.__exit__()
            raise
        self.seconds = time.monotonic() - begun
        return self

    def __exit__(self, *_: object) -> None:
        for one in reversed(processes(self.pid)):
            os.kill(one, signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _wait(self, seconds: float) -> None:
        """Until the first good answer."""
        until = time.monotonic() + seconds
        target = self._target
        url = f"http://127.0.0.1:{target.port}{target.path}"
        headers = {"content-type": "application/json", **target.headers}
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise RuntimeError(f"{target.name}: ended with status {self._process.returncode}")
            try:
                request = urllib.request.Request(url, body_of(Load("")), headers)
                urllib.request.urlopen(request, timeout=5).read()
                return
            except (OSError, urllib.error.HTTPError):
                time.sleep(0.02)
        raise RuntimeError(f"{target.name}: no good answer within {seconds} s")


class Bench:
    """Runs everything, in rounds."""

    def __init__(self, options: argparse.Namespace, home: Path) -> None:
        self._options, self._log = options, home / "log"
        authority = Authority(home)
        authority.server("localhost")
        self.certificate = home / "localhost.pem"
        (home / "tls").mkdir()
        self._plain, self._tls = Upstream(home), Upstream(home / "tls", authority.file)

    def run(self) -> dict[str, dict[str, dict]]:
        """Table -> row -> figures."""
        jobs: dict[str, Callable[[], list[tuple[Target, Callable[[Target, bool], dict]]]]] = {
            "main": self._main, "sizes": self._sizes, "features": self._features
        }  # fmt: skip
        found: dict[str, dict[str, list[dict]]] = {name: {} for name in self._options.tables}
        self._direct = asyncio.run(first_chunk_ms(Target("direct", FAKE, [], path="/chat/completions")))
        chosen = [(table, target, how) for table in self._options.tables for target, how in jobs[table]()]
        for number in range(self._options.rounds):
            for table, target, how in chosen:
                if self._options.only.lower() not in target.name.lower():
                    continue
                console.print(f"[dim]{number + 1}: {table}: {target.name}[/dim]")
                try:
                    found[table].setdefault(target.name, []).append(how(target, number == 0))
                except (RuntimeError, OSError, subprocess.SubprocessError) as e:
                    log = self._log.read_text(errors="replace")[-1500:]
                    console.print(f"not measured: {e}\n{log}", markup=False)
        return {table: {name: median_of(several) for name, several in rows.items()} for table, rows in found.items()}

    def _main(self) -> list[tuple[Target, Callable[[Target, bool], dict]]]:
        before = self._options.before
        over_tls = {target.name: target for target in main_targets(self._tls, before)}
        return [(t, lambda t, first: self._all(t, over_tls[t.name], first)) for t in main_targets(self._plain, before)]

    def _all(self, target: Target, over_tls: Target, first: bool) -> dict:
        with Started(target, self._log) as on:
            found = {"start_s": on.seconds, **self._loads(target, on.pid, [load for load in MAIN if not load.tls])}
            if target.wholes:
                found["calm"] = run(target, on.pid, _CALM, self._options.seconds)
            found["first_ms"] = asyncio.run(first_chunk_ms(target)) - self._direct
            if first and self._options.idle:
                count = self._options.idle if target.quick else min(self._options.idle, 500)
                try:
                    found["idle_kib"] = asyncio.run(idle_kib(target, on.pid, count))
                except (TimeoutError, OSError, asyncio.IncompleteReadError) as e:
                    console.print(f"[yellow]{target.name}: silent streams not measured: {type(e).__name__}[/yellow]")
        if not self._options.no_tls:
            with Started(over_tls, self._log) as on:
                found |= self._loads(over_tls, on.pid, [load for load in MAIN if load.tls])
        return found

    def _sizes(self) -> list[tuple[Target, Callable[[Target, bool], dict]]]:
        chosen = [t for t in main_targets(self._plain, self._options.before) if t.name != "ASGI and aiohttp"]
        return [(target, lambda t, _: self._simple(t, SIZES)) for target in chosen]

    def _features(self) -> list[tuple[Target, Callable[[Target, bool], dict]]]:
        return [(target, lambda t, _: self._simple(t, FEATURES)) for target in feature_targets(self._plain)]

    def _simple(self, target: Target, loads: tuple[Load, ...]) -> dict:
        with Started(target, self._log) as on:
            return self._loads(target, on.pid, loads)

    def _loads(self, target: Target, pid: int, loads: "list[Load] | tuple[Load, ...]") -> dict:
        found = {}
        for load in loads:
            if (load.stream or target.wholes) and (target.messages_path or not load.translated):
                try:
                    found[load.name] = run(target, pid, load, self._options.seconds)
                except RuntimeError as e:
                    console.print(f"not measured: {e}", markup=False)
        return found


def median_of(several: list[dict]) -> dict:
    """The median of each figure, wherever it was measured."""
    found = {}
    for name in dict.fromkeys(name for one in several for name in one):
        values = [one[name] for one in several if name in one]
        found[name] = median_of(values) if isinstance(values[0], dict) else statistics.median(values)
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gateway", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=3, help="length of each load")
    parser.add_argument("--rounds", type=int, default=3, help="how many times everything is measured")
    parser.add_argument("--idle", type=int, default=10_000, help="silent streams held open; 0: none")
    parser.add_argument("--only", default="", help="measure only targets whose name holds this")
    parser.add_argument(
        "--tables", nargs="+", default=["main", "sizes", "features"], choices=["main", "sizes", "features"]
    )
    parser.add_argument("--no-tls", action="store_true", help="leave out the columns with TLS")
    parser.add_argument(
        "--before", type=Path, help="a checkout of another commit, measured too: git worktree add DIR COMMIT"
    )
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    return parser.parse_args()


def main() -> None:
    options = _options()
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed (Debian, Ubuntu: apt-get install wrk)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        collector = ThreadingHTTPServer(("127.0.0.1", COLLECTOR), _Collector)
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        argv = [sys.executable, "-m", "benchmarks.fake_copilot", str(FAKE), str(FAKE_TLS), str(bench.certificate)]
        fake = subprocess.Popen(argv, stdout=subprocess.PIPE)
        try:
            fake.stdout.readline()
            found = bench.run()
        finally:
            fake.terminate()
            fake.wait(10)
            collector.shutdown()
    print(json.dumps(found, indent=2)) if options.json else tables.show(found)


if __name__ == "__main__":
    main()
