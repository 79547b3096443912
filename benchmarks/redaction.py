"""What looking for secrets costs: 10 KB of clean prose and of code, our patterns behind one RE2 set beside the same ones by `re`.

usage: python -m benchmarks.redaction [--json]
"""

import argparse
import json
import re
import statistics
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rightseat.masking.finder import Finder, python_form
from rightseat.security.redaction import StreamRedactor

PROSE = ("The quick brown fox jumps over the lazy dog and runs into the forest, where it meets another fox. " * 110)[
    :10240
]
CODE = (Path(__file__).parent.parent / "src" / "rightseat" / "sdk" / "client.py").read_text(encoding="utf-8")[:10240]
WORDS = PROSE.split(" ")


def median_us(call, rounds=50):
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        times.append((time.perf_counter() - begun) * 1e6)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.redaction", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    options = parser.parse_args()
    finder = Finder()
    plain = [re.compile(python_form(p.regex)) for p in finder.patterns]

    def by_re(text):
        return [match for one in plain for match in one.finditer(text)]

    def stream():
        redactor = StreamRedactor(finder)
        for word in WORDS:
            redactor.feed(word + " ")
        redactor.end()

    found = {
        "prose, RE2 set": median_us(lambda: finder.find(PROSE)),
        "prose, re": median_us(lambda: by_re(PROSE), 5),
        "code, RE2 set": median_us(lambda: finder.find(CODE)),
        "code, re": median_us(lambda: by_re(CODE), 5),
        "a word of a stream": median_us(stream) / len(WORDS),
    }
    if options.json:
        print(json.dumps(found, indent=2))
        return
    table = Table(title=f"{len(plain)} patterns over 10 KB, us (goal 30)")
    table.add_column("")
    table.add_column("us", justify="right")
    for name, us in found.items():
        table.add_row(name, f"{us:,.1f}")
    Console(width=80).print(table)


if __name__ == "__main__":
    main()
