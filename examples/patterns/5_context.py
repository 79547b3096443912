"""A conversation that never outgrows its window: what matters stays, the rest leaves a summary."""

import asyncio

from rightseat import ContextWindow, CopilotSDK, MessagePriority


async def main():
    window = ContextWindow(max_tokens=200)
    window.add_message("system", "You are a helpful assistant.", MessagePriority.SYSTEM)
    for i in range(20):
        window.add_message("user", f"Question {i}: what is a list, and how is it different from a tuple?")
        window.add_message("assistant", "A list can be changed.", MessagePriority.HIGH)
    kept = window.get_messages()
    print(
        f"{len(kept)} messages, {window.tokens} tokens; the first: {kept[0]['content']!r}, the last: {kept[-2]['content'][:12]!r}"
    )

    # A session has a window of its own.
    left_out = []

    async def summarise(messages):
        left_out.extend(messages)
        return f"({len(messages)} earlier messages were about Python.)"

    async with CopilotSDK(window=600, summarise=summarise) as sdk:
        session = await sdk.create_session(system="Be brief.")
        for i in range(8):
            await session.chat(f"Tell me about Python feature number {i}.", max_tokens=60)
        print(
            f"{len(session.history)} messages of history, {bool(left_out)} that some were left out of the last request"
        )


asyncio.run(main())
