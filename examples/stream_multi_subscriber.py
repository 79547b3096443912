"""Several listeners on one stream: one prints, one collects, one counts. One of them fails, and the others do not notice."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from rightseat import CopilotClient, SessionEventType


class Collector:
    """Keeps the answer, up to a limit: a model must not decide how much memory we use."""

    def __init__(self, limit=100_000):
        self.text = ""
        self._limit = limit

    def __call__(self, event):
        self.text += event.data.delta_content[: self._limit - len(self.text)]


async def main():
    counts: Counter[str] = Counter()
    collector = Collector()

    def count(event):
        counts[event.raw_type] += 1

    def fail(event):
        raise RuntimeError("this listener is broken; it is logged, and the others go on")

    async with CopilotClient() as client, await client.create_session(streaming=True) as session:
        session.on(
            lambda event: print(event.data.delta_content, end="", flush=True), SessionEventType.ASSISTANT_MESSAGE_DELTA
        )
        session.on(collector, SessionEventType.ASSISTANT_MESSAGE_DELTA)
        session.on(fail, SessionEventType.ASSISTANT_MESSAGE)
        stop_counting = session.on(count)
        reply = await session.send_and_wait("What are the top 3 machine learning frameworks and why?", timeout=60)
        stop_counting()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "response.txt"
        path.write_text(collector.text, encoding="utf-8")
        print(
            f"\n\nsaved {path.stat().st_size} bytes; the whole message is the same: {collector.text == reply.data.content}"
        )
    for kind, number in counts.most_common(5):
        print(f"{number:5d} {kind}")


asyncio.run(main())
