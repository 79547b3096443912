"""Requests and tokens a minute, a bounded line with priorities, and a batch of many prompts."""

import asyncio
import json
import tempfile
from pathlib import Path

from rightseat import CopilotSDK, QueueFullError
from rightseat.batch import run_batch
from rightseat.layers import Limit, QueuePolicy


async def main():
    queue = QueuePolicy(concurrency=5, length=100, wait_seconds=30)
    async with CopilotSDK(
        requests_per_minute=Limit(6000, burst=10), tokens_per_minute=1_000_000, concurrency=queue
    ) as sdk:
        urgent = sdk.chat("Reply with exactly: urgent", priority=2)
        answers = await asyncio.gather(urgent, *(sdk.chat(f"Reply with exactly: {i}") for i in range(20)))
        print(
            f"{len(answers)} answers; {sdk.state.limits.waited} waited for the limit, {sdk.state.queue.waited} in the queue"
        )

        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "answers.jsonl"
            prompts = [json.dumps({"id": f"p{i}", "prompt": f"Reply with exactly: {i}"}).encode() for i in range(25)]
            report = await run_batch(sdk, prompts, output, concurrency=5)
            again = await run_batch(sdk, prompts, output, concurrency=5)
            print(f"batch: {report.answered} answered; once more: {again.skipped} skipped")

    async with CopilotSDK(concurrency=QueuePolicy(concurrency=1, length=1)) as sdk:
        results = await asyncio.gather(*(sdk.chat("Hello") for _ in range(5)), return_exceptions=True)
        print(sum(isinstance(result, QueueFullError) for result in results), "were sent away at once, and know why")


asyncio.run(main())
