"""Retry with jitter and a budget, a circuit breaker around each model, another model when one is down."""

import asyncio
import contextlib
import random

from rightseat import CircuitOpenError, CopilotSDK, UpstreamError
from rightseat.layers import Backoff, BreakerPolicy
from rightseat.testing import Fail

chance = random.Random(4)
# Trouble for this demonstration: one call in five fails as an overloaded server does.
trouble = Fail(lambda: UpstreamError(503, "overloaded"), rate=0.2, chance=chance.random)
down = Fail(lambda: UpstreamError(503, "down"))


async def main():
    retry = Backoff(attempts=5, base=0.01, cap=0.1)
    async with CopilotSDK(retry=retry, extra=[trouble]) as sdk:
        answers = [await sdk.chat(f"Reply with exactly: {i}") for i in range(10)]
        print("in spite of the trouble:", " ".join(answer.text for answer in answers))

    breaker = BreakerPolicy(min_calls=5, open_seconds=30)
    async with CopilotSDK(retry=None, breaker=breaker, extra=[down]) as sdk:
        for _ in range(5):
            with contextlib.suppress(UpstreamError):  # five failures open the circuit
                await sdk.chat("Hello")
        try:
            await sdk.chat("Hello")
        except CircuitOpenError as e:
            print("not asked any more:", e)
        print("the breaker's state:", sdk.state.circuits.states())

    async with CopilotSDK(model="gpt-99", fallbacks={"gpt-99": ["gpt-4.1"]}, retry=None) as sdk:
        try:
            print((await sdk.chat("Hello")).text)
        except UpstreamError as e:
            print("an unknown model is the caller's mistake:", e.message)


asyncio.run(main())
