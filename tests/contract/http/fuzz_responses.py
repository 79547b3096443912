"""Mutated answers, each in several splits: the direct client must end every one of them, the same way however the bytes come.

    python -m tests.contract.http.fuzz_responses --count 100000 [--seed 1] [--twin 200]

Prints what it found, and exits with 1 where there is anything: an error that is none of ours, a client that waits for ever, or a split that
changes what comes of an answer. `--twin N` shows every Nth answer to aiohttp as well, on real sockets: what ours takes for whole, aiohttp
must not refuse, and both must get the same body.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
from collections.abc import Iterator

from tests.contract.http.clients import ask, serving
from tests.contract.http.memory import exchanged
from tests.contract.http.response_cases import CASES, Case, Outcome

from rightseat.errors import RightseatError
from rightseat.transport.http.aiohttp import AiohttpSender
from rightseat.transport.http.base import Timeouts

_SEEDS = [case for case in CASES if len(case.answer) < 600]
_PARTS = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"5", b"f", b"\x80", b"\xff", b"\x0b", b"\x7f", b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0", b"100", b"101", b"204", b"304", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: x\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"Content-Encoding: gzip\r\n", b"chunked", b"identity",
    b"Keep-Alive: timeout=0\r\n",
]  # fmt: skip


def mutated(chance: random.Random) -> Case:
    """A row, changed at up to four places: bytes go, come, are doubled, or are those of another row."""
    case = chance.choice(_SEEDS)
    answer = case.answer
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(answer))
        end = min(len(answer), at + chance.choice([0, 1, 1, 2, 5, 20]))
        match chance.randint(0, 4):
            case 0:
                answer = answer[:at] + answer[end:]
            case 1:
                answer = answer[:at] + chance.choice(_PARTS) + answer[at:]
            case 2:
                answer = answer[:at] + chance.choice(_PARTS) + answer[end:]
            case 3:
                answer = answer[:end] + answer[at:]
            case _:
                other = chance.choice(_SEEDS).answer
                cut = chance.randint(0, len(other))
                answer = answer[:at] + other[cut : cut + 40] + answer[end:]
    return case._replace(answer=answer, ends=True, method=chance.choice(["GET", "GET", "GET", "HEAD"]))


def splits(answer: bytes, chance: random.Random) -> Iterator[list[bytes]]:
    """At once, byte by byte, and in pieces."""
    yield [answer]
    yield [answer[i : i + 1] for i in range(len(answer))]
    for _ in range(2):
        places = (
            sorted(chance.sample(range(1, len(answer)), min(len(answer) - 1, chance.randint(1, 4))))
            if len(answer) > 1
            else []
        )
        yield [answer[a:b] for a, b in itertools.pairwise([0, *places, len(answer)])]


def fault(case: Case, chance: random.Random) -> str:
    """What is wrong with what ours makes of an answer; "": nothing."""
    try:
        got = {exchanged(pieces, ends=True, method=case.method) for pieces in splits(case.answer, chance)}
    except Exception as e:  # whatever it is, it is one too many
        return f"{type(e).__name__}: {e}"
    return "" if len(got) == 1 else f"it depends on the split: {got}"


async def against_the_twin(cases: list[Case]) -> list[str]:
    """What ours takes and aiohttp refuses, or reads otherwise."""
    answers = iter(cases)
    faults: list[str] = []

    async def script(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(case.answer)
        return True

    async with serving(script) as server, AiohttpSender() as sender:
        for case in answers:
            right = exchanged([case.answer], ends=True, method=case.method)
            if not right.whole or not right.status:
                continue
            got = await _twins(sender, server.url, case)
            if right.status == 205 or (not right.reused and not got.status):
                continue  # known: it has a body; or something is behind it: ours gives it and closes, aiohttp refuses it
            if got != right._replace(reused=False):
                faults.append(f"{case.answer!r} {case.method}: ours {right}, aiohttp {got}")
    return faults


async def _twins(sender: AiohttpSender, url: str, case: Case) -> Outcome:
    try:
        async with asyncio.timeout(2):
            stream = await sender.open(ask(url, case.method, timeouts=Timeouts(head=1.0, silence=1.0)))
            try:
                return Outcome(stream.status, await stream.read())
            finally:
                await stream.aclose()
    except (RightseatError, TimeoutError):
        return Outcome(0, whole=False)


async def run(count: int, seed: int, twin: int) -> list[str]:
    """The faults that were found."""
    chance = random.Random(seed)
    found: list[str] = []
    shown: list[Case] = []
    for n in range(count):
        case = mutated(chance)
        if what := fault(case, chance):
            found.append(f"{case.answer!r} {case.method}: {what}")
        if twin and n % twin == 0:
            shown.append(case)
        if n % 1000 == 999:
            await asyncio.sleep(0)  # what was cancelled goes
            if n % 20_000 == 19_999:
                print(f"{n + 1} answers, {len(found)} faults", file=sys.stderr)
    return found + await against_the_twin(shown)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--twin", type=int, default=0)
    given = parser.parse_args()
    found = asyncio.run(run(given.count, given.seed, given.twin))
    for each in found[:50]:
        print(each)
    print(f"{given.count} answers: {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
