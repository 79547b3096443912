"""Print an answer while it is being written."""

import asyncio

from rightseat import CopilotClient


async def main():
    async with CopilotClient() as client, await client.create_session(streaming=True) as session:
        async with session.stream("Explain what machine learning is in 2-3 sentences", timeout=60) as answer:
            async for text in answer:
                print(text, end="", flush=True)
        print(f"\n\nwritten by {answer.reply.data.model}")


asyncio.run(main())
