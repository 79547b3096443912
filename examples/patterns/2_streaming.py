"""Streams with back-pressure: regrouped, bounded, and shown at a rate that eyes can follow."""

import asyncio

from rightseat import AnswerTooLongError, CopilotSDK
from rightseat.streams import bounded, regroup, render


async def main():
    async with CopilotSDK() as sdk, await sdk.create_session() as session:
        # The answer waits in the network, not in memory, while a group is being worked on.
        async for text in regroup(session.stream("Explain Python generators."), size=64, seconds=0.5):
            print(f"[{len(text)} characters]", end=" ")
        print()

        drawn = []
        text = await render(session.stream("Explain decorators."), drawn.append, seconds=0.1)
        print(f"{len(text)} characters drawn in {len(drawn)} steps; the last step is all of it: {drawn[-1] == text}")

        try:
            async for _ in bounded(session.stream("Explain everything."), limit=100):
                pass
        except AnswerTooLongError as e:
            print("stopped:", e)


asyncio.run(main())
