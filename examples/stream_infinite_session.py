"""A conversation without end: the CLI summarises the past when the context fills up, and we can ask for it too."""

import asyncio

from rightseat import CopilotClient, SessionEventType

PROMPTS = [
    "Tell me about machine learning",
    "Now explain deep learning",
    "What is the difference between them?",
    "Tell me about transformers",
    "What is BERT?",
]


def show(event):
    if event.type is SessionEventType.SESSION_COMPACTION_START:
        print("[compaction started]")
    elif event.data.success:
        print(f"[compaction complete: {event.data.messages_removed} messages became a summary]")
    else:
        print(f"[compaction failed: {event.data.error}]")


async def main():
    options = {
        "streaming": True,
        "infinite_sessions": {
            "enabled": True,
            "background_compaction_threshold": 0.5,  # begin in the background at half of the context
            "buffer_exhaustion_threshold": 0.8,  # wait for it at 80 %
        },
    }
    async with CopilotClient() as client, await client.create_session(options) as session:
        print(f"files of this session: {session.workspace_path}")
        session.on(show, SessionEventType.SESSION_COMPACTION_START, SessionEventType.SESSION_COMPACTION_COMPLETE)
        for prompt in PROMPTS:
            reply = await session.send_and_wait(prompt, timeout=60)
            print(f"{prompt} -> {len(reply.data.content)} characters")
        done = await session.compact()
        print(f"asked for: {done.messages_removed} messages removed")


asyncio.run(main())
