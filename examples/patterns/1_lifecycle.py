"""Sessions that are always closed: as a block, from a pool, or made when first used."""

import asyncio
from contextlib import asynccontextmanager

from rightseat import CopilotSDK, LazySession, SessionPool


@asynccontextmanager
async def copilot_session(**options):
    """Whatever happens in the block, the session and its connections are closed."""
    async with CopilotSDK(**options) as sdk, await sdk.create_session() as session:
        yield session


async def main():
    async with copilot_session(model="gpt-4.1") as session:
        response = await session.chat("What is Python?")
        print("closed afterwards:", response.text[:40])

    async with CopilotSDK() as sdk, SessionPool(sdk, size=3) as pool:

        async def handle(prompt):
            async with pool.session() as session:  # waits while all three are in use
                return (await session.chat(prompt)).text

        answers = await asyncio.gather(*(handle(f"Reply with exactly: number {i}") for i in range(9)))
        print(f"{len(answers)} answers from {pool.made} sessions; the last: {answers[-1]}")

        lazy = LazySession(sdk)
        print("sessions before the first use:", sdk.sessions - pool.made)
        await lazy.chat("Hello")
        print("and after it:", sdk.sessions - pool.made)


asyncio.run(main())
