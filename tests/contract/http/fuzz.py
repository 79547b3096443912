"""Rows of `cases`, mutated, in pieces cut anywhere: nothing unexpected happens, and how the bytes come changes nothing.

usage: python -m tests.contract.http.fuzz [--count N] [--seed N]
"""

import argparse
import asyncio
import logging
import random
import sys
import time
from functools import partial

from tests.contract.http.cases import CASES, CHUNKED, PLAIN, POST, corpus
from tests.contract.http.wire import Wired, methods_of, verdict

from rightseat.testing import run_virtual

BATCH = 1000
MEANING = [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"\r\n\r\n", b"chunked", b"\xff", CHUNKED, b"Content-Length: 3\r\n", b"Connection: close\r\n", b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"Expect: 100-continue\r\n", PLAIN, POST]  # fmt: skip
SEEDS = [case.data for case in CASES if len(case.data) < 600] + [data for _, data in corpus() if len(data) < 600]


def mutated(chance):
    """A row with some of what means something put in, taken out, doubled or moved; or two rows, one behind the other."""
    data = chance.choice(SEEDS)
    if chance.random() < 0.3:
        data += chance.choice(SEEDS)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 8))):
        at, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
        end = min(end, at + chance.choice((1, 2, 8, 40)))
        match chance.randrange(5):
            case 0:
                data = data[:at] + chance.choice(MEANING) + data[at:]
            case 1:
                data = data[:at] + data[end:]
            case 2:
                data = data[:end] + data[at:end] + data[end:]
            case 3:
                data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
            case 4:
                data = data[:at] + chance.choice(SEEDS)[: chance.randint(0, 40)] + data[at:]
    return data


def pieces_of(chance, data):
    cuts = sorted(chance.randint(0, len(data)) for _ in range(chance.choice((1, 2, 5, 30))))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


async def outcome(pieces):
    """The verdict, what was seen, and what nobody expected."""
    wired = Wired()
    transport = wired.connect()
    for piece in pieces:
        transport.send(piece)
    await asyncio.sleep(1e-6)
    result = verdict(transport.said, transport.ended, methods_of(b"".join(pieces)))
    seen = [one[:4] for one in wired.app.seen]
    await asyncio.sleep(1000)
    if transport.is_open or wired.core.connections or wired.core.tasks or wired.app.bodies.used or wired.memory.used:
        raise AssertionError("something is left")
    return result, seen


class Unexpected(logging.Handler):
    """Errors that the server has logged, but for those that the application makes on purpose.

    Attributes:
        data: the request.
    """

    def __init__(self):
        super().__init__(logging.ERROR)
        self.found = []
        self.data = b""

    def emit(self, record):
        if not (b"/f" in self.data and record.getMessage().endswith("internal error")):
            self.found.append(record.getMessage())


async def run(count, seed, found):
    chance, unexpected = random.Random(seed), Unexpected()
    logging.getLogger("rightseat").addHandler(unexpected)
    asyncio.get_running_loop().set_exception_handler(lambda _, what: unexpected.found.append(repr(what)))
    for i in range(count):
        data = unexpected.data = mutated(chance)
        whole = None
        for pieces in ([data], pieces_of(chance, data)):
            try:
                got = await outcome(pieces)
            except Exception as e:
                unexpected.found.append(repr(e))
                got = None
            if unexpected.found:
                found.append((i, data, unexpected.found[:]))
                unexpected.found.clear()
                break
            # A body that is cut short ends by time, or by garbage on an idle connection: how many answers there are may differ then.
            if whole is not None and got[1] != whole[1]:
                found.append((i, data, [len(piece) for piece in pieces], whole, got))
            whole = got


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.getLogger("rightseat").propagate = False
    found, began = [], time.perf_counter()
    for at in range(0, options.count, BATCH):  # a clock that has run for very long is too coarse
        run_virtual(partial(run, min(BATCH, options.count - at), f"{options.seed}.{at}", found))
    for one in found[:20]:
        print(one)
    print(
        f"{options.count} requests, each whole and in pieces, in {time.perf_counter() - began:.0f} s: {len(found)} unexpected"
    )
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
