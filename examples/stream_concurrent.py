"""Many users on one CLI process: a session each, at most a few turns at a time."""

import asyncio

from rightseat import CopilotClient

QUESTIONS = {
    "ann": "What are variables in Python?",
    "ben": "What are lists in Python?",
    "cat": "What are functions in Python?",
    "dan": "What are classes in Python?",
}


async def answer(client, limit, user, question):
    async with limit, await client.create_session(streaming=True) as session:
        length = 0
        async for text in session.stream(question, timeout=60):
            length += len(text)
    print(f"{user}: {length} characters")
    return length


async def main():
    limit = asyncio.Semaphore(3)
    async with CopilotClient() as client, asyncio.TaskGroup() as group:
        tasks = [group.create_task(answer(client, limit, user, question)) for user, question in QUESTIONS.items()]
    print(f"all {len(tasks)} answers: {sum(task.result() for task in tasks)} characters")


asyncio.run(main())
