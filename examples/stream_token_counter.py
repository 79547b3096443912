"""Watch the speed of an answer live: pieces of text a second, and at the end the tokens the model itself reports."""

import asyncio
import time

from rightseat import CopilotClient, SessionEventType


class Meter:
    """Counts pieces and remembers when they came. Keeps numbers only, however long the answer is."""

    def __init__(self):
        self.pieces = 0
        self.first = self.last = 0.0

    def add(self):
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.pieces += 1

    @property
    def speed(self):
        seconds = self.last - self.first
        return (self.pieces - 1) / seconds if seconds else 0.0


async def main():
    meter = Meter()
    async with CopilotClient() as client, await client.create_session(streaming=True) as session:
        with_usage = asyncio.get_running_loop().create_future()
        session.on(
            lambda event: with_usage.done() or with_usage.set_result(event.data), SessionEventType.ASSISTANT_USAGE
        )
        sent = time.monotonic()
        async for _ in session.stream("Write a short Python function to calculate Fibonacci numbers", timeout=60):
            meter.add()
            if meter.pieces % 10 == 0:
                print(f"[{meter.pieces:4d} pieces | {meter.speed:6.1f}/s]")
        usage = await asyncio.wait_for(with_usage, 10)
    print(
        f"first text after {meter.first - sent:.2f} s, {meter.pieces} pieces in {meter.last - meter.first:.2f} s ({meter.speed:.1f}/s)"
    )
    print(f"the model read {usage.input_tokens} tokens and wrote {usage.output_tokens}")


asyncio.run(main())
