"""Measure Rightseat beside the official SDK and the limit of the machine, in one run, and print ratios.

usage: python -m benchmarks [--rounds N] [--fuzz FRAMES] [--json]

Each SDK lives in an environment of its own (.bench/), both speak to the same fake CLI over stdio through their public APIs,
rounds are interleaved, medians are shown. Absolute numbers depend on the machine; the ratios are what counts.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import venv
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.fuzz import fuzz

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / ".bench"
HERE = ROOT / "benchmarks"
console = Console(stderr=True)


def environment(name: str, *install: str) -> str:
    """The Python of an environment that holds one SDK alone."""
    folder = BENCH / name
    python = folder / "bin" / "python"
    stamp = folder / ".installed"
    wanted = repr(install) + (ROOT / "requirements" / f"bench-{name}.txt").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        console.print(f"[dim]making the environment .bench/{name}[/dim]")
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements" / f"bench-{name}.txt")], check=True)
        if install:
            subprocess.run([*pip, "--no-deps", *install], check=True)
        stamp.write_text(wanted)
    return str(python)


def measure(python: str, *arguments: str) -> dict:
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "COPILOT_SKIP_CLI_DOWNLOAD": "1"}
    done = subprocess.run([python, *arguments], capture_output=True, text=True, check=False, env=env, timeout=300)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def median(results: list[dict], key: str) -> float:
    return statistics.median(result[key] for result in results)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--fuzz", type=int, default=1_000_000, help="mutated frames (default 1,000,000; 0: none)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()

    pythons = {"copilot": environment("official"), "rightseat": environment("rightseat")}
    subprocess.run(  # the package itself, as it is now
        [
            pythons["rightseat"],
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--no-deps",
            "--no-build-isolation",
            str(ROOT),
        ],
        check=True,
    )
    fake = str(HERE / "fake_cli.py")
    results: dict[str, dict[str, list[dict]]] = {
        name: {"import": [], "stream": [], "ping": []} for name in (*pythons, "limit")
    }
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("measuring", total=options.rounds * (len(pythons) * 3 + 1))
        for _ in range(options.rounds):
            for name, python in pythons.items():
                for what in ("import", "stream", "ping"):
                    os.environ["PINGS"] = "30000" if name == "rightseat" else "3000"
                    results[name][what].append(measure(python, str(HERE / "client.py"), name, what, fake))
                    progress.advance(task)
            limit = measure(pythons["rightseat"], str(HERE / "limits.py"), fake)
            for what, result in limit.items():
                results["limit"][what].append(result)
            progress.advance(task)
    rows = figures(results)
    fuzzed = None
    if options.fuzz:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("fuzzing", total=options.fuzz)
            fuzzed = fuzz(options.fuzz, progress=lambda done: progress.update(task, completed=done))
    if options.json:
        print(json.dumps({"sdk": rows, "fuzz": fuzzed}, indent=1))
    else:
        show(rows, fuzzed)
    sys.exit(bool(fuzzed and fuzzed["unexpected"]))


def figures(results: dict) -> list[dict]:
    """name, unit, official, ours, limit, ratio (how many times better we are), target ratio."""
    rows = []
    for name, unit, what, key, higher, goal in (
        ("import time", "ms", "import", "ms", False, 8.0),
        ("memory after import", "MiB", "import", "mib", False, None),
        ("CPU per streamed delta", "us", "stream", "cpu_us", False, 25.0),
        ("events per second, end to end", "1/s", "stream", "per_second", True, None),
        ("peak memory while streaming", "MiB", "stream", "peak_mib", False, None),
        ("round trips, 50 in flight", "1/s", "ping", "per_second", True, None),
        ("CPU per round trip", "us", "ping", "cpu_us", False, None),
    ):
        official, ours = median(results["copilot"][what], key), median(results["rightseat"][what], key)
        limit = median(results["limit"][what], key) if key in results["limit"][what][0] else None
        ratio = ours / official if higher else official / ours
        rows.append(
            {
                "name": name,
                "unit": unit,
                "official": official,
                "rightseat": ours,
                "limit": limit,
                "ratio": ratio,
                "goal": goal,
            }
        )
    return rows


def show(rows: list[dict], fuzzed: dict | None) -> None:
    out = Console(width=118)
    table = Table(title="SDK: official github-copilot-sdk 1.0.27, Rightseat, and the limit of this machine (medians)")
    for column, justify in (
        ("", "left"),
        ("unit", "left"),
        ("official", "right"),
        ("rightseat", "right"),
        ("limit", "right"),
        ("ratio", "right"),
    ):
        table.add_column(column, justify=justify)
    for row in rows:
        values = [f"{row[key]:,.1f}" if row[key] is not None else "" for key in ("official", "rightseat", "limit")]
        goal = f" (goal {row['goal']:.0f})" if row["goal"] else ""
        table.add_row(row["name"], row["unit"], *values, f"{row['ratio']:.1f}x{goal}")
    out.print(table)
    if fuzzed:
        out.print(
            f"fuzz: {fuzzed['frames']:,} mutated frames at {fuzzed['per_second']:,.0f}/s: {fuzzed['messages']:,} messages read, "
            f"{fuzzed['failures']:,} conversations ended with a typed failure, {sum(fuzzed['unexpected'].values())} unexpected errors"
        )
        for error, count in fuzzed["unexpected"].items():
            out.print(f"  {count} x {error}")


if __name__ == "__main__":
    main()
