"""What the layers cost: each alone and the default stack, per successful call and per streamed event, beside other libraries.

usage: python -m benchmarks.layers [--calls N] [--json]

The upstream is a coroutine that returns an answer at once. A call is: ask, read no piece, close. An event is one TextDelta of a stream of
thousands. Each figure is the median of seven interleaved rounds, less what the bare upstream costs in the same round.
"""

import argparse
import asyncio
import json
import statistics
import time

from rich.console import Console
from rich.table import Table

from rightseat.chat import ChatRequest, Finish, Message, Reply, TextDelta
from rightseat.handler import stack
from rightseat.layers import (
    Breaker,
    Cache,
    CachePolicy,
    Deadline,
    Fallback,
    Limit,
    Queue,
    RateLimiter,
    Retry,
    Shed,
    Window,
)
from rightseat.layers.presets import Layers, Resilience

ROUNDS = 7
REQUEST = ChatRequest("gpt-5", (Message("system", "Be brief."), Message("user", "What is Python? " * 10)))
WORD = TextDelta(" word")


async def nothing():
    return
    yield


async def upstream(_):
    return Reply(nothing())


def streaming(events):
    async def pieces():
        for _ in range(events):
            yield WORD
        yield Finish()

    async def handler(_):
        return Reply(pieces())

    return handler


def default():
    return stack(*Layers(Resilience()).layers)


LAYERS = {
    "Retry": Retry(),
    "Breaker": Breaker(),
    "Deadline": Deadline(60, 30),
    "Queue": Queue(),
    "RateLimiter, requests": RateLimiter(requests=Limit(6e9, 1e9)),
    "RateLimiter, tokens too": RateLimiter(requests=Limit(6e9, 1e9), tokens=Limit(6e12, 1e12), estimate=lambda _: 100),
    "Window": Window(),
    "Shed": Shed(),
    "Fallback": Fallback(fallbacks={"gpt-5": ["gpt-4.1"]}),
    "Cache, a hit": Cache(policy=CachePolicy(seconds=3600)),
    "the default stack": default(),
}


async def calls(handler, n):
    """Microseconds a call."""
    begun = time.perf_counter()
    for _ in range(n):
        async with await handler(REQUEST):
            pass
    return (time.perf_counter() - begun) / n * 1e6


async def events(handler, n):
    """Microseconds an event."""
    begun = time.perf_counter()
    async with await handler(REQUEST) as reply:
        async for _ in reply:
            pass
    return (time.perf_counter() - begun) / n * 1e6


def others():
    """What others ask for a call that succeeds: (name, call)."""
    import stamina
    import tenacity
    from aiolimiter import AsyncLimiter

    async def bare():
        return None

    limiter = AsyncLimiter(1e9, 1)
    found = [
        ("stamina, retry", stamina.retry(on=ValueError)(bare)),
        (
            "tenacity, retry",
            tenacity.retry(wait=tenacity.wait_random_exponential(), stop=tenacity.stop_after_attempt(3))(bare),
        ),
    ]

    async def limited():
        async with limiter:
            return await bare()

    return [*found, ("aiolimiter", limited)]


async def each(call, n):
    begun = time.perf_counter()
    for _ in range(n):
        await call()
    return (time.perf_counter() - begun) / n * 1e6


async def plain(argument):
    """A function that is no handler."""
    return argument


async def measure(n):
    wrapped = {name: layer(upstream) for name, layer in LAYERS.items()}
    wrapped["Cache, a hit"] = LAYERS["Cache, a hit"](streaming(1))
    async with await wrapped["Cache, a hit"](REQUEST) as reply:
        async for _ in reply:
            pass
    streams = {name: layer(streaming(n)) for name, layer in LAYERS.items() if not name.startswith("Cache")}
    rounds = {}
    around = stack(*Layers(Resilience(window=None)).layers)(plain)
    foreign = [*others(), ("the same around a plain function, without Window", lambda: around(1))]
    for _ in range(ROUNDS):
        bare, bare_event = await calls(upstream, n), await events(streaming(n), n)
        for name, handler in wrapped.items():
            call = await calls(handler, n) - bare
            event = await events(streams[name], n) - bare_event if name in streams else None
            rounds.setdefault(name, []).append((call, event))
        for name, call in foreign:
            rounds.setdefault(name, []).append((await each(call, n), None))
    return {
        name: {
            "call_us": statistics.median(r[0] for r in rows),
            "event_us": statistics.median(r[1] for r in rows) if rows[0][1] is not None else None,
        }
        for name, rows in rounds.items()
    }


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers", description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=5000, help="calls, and events, a round")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    options = parser.parse_args()
    found = asyncio.run(measure(options.calls))
    if options.json:
        print(json.dumps(found, indent=2))
        return
    table = Table(title="What a layer adds, us (medians; the default stack: goals 25 a call, 0.5 an event)")
    table.add_column("")
    table.add_column("successful call", justify="right")
    table.add_column("streamed event", justify="right")
    for name, row in found.items():
        event = "" if row["event_us"] is None else f"{max(0, row['event_us']):.2f}"
        table.add_row(name, f"{row['call_us']:.2f}", event)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
