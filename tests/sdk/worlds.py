"""Random worlds of several questions at once on one session: each gets its own answer, once, whatever the others do.

usage: python -m tests.sdk.worlds [--seeds N | --seed N]

A world knows the SDK's public API alone, so the same ones are played in virtual time, with a scripted CLI, and with the real one.
"""

import argparse
import asyncio
import collections
import contextlib
import logging
import random
import time
from typing import Annotated

from tests.sdk.queueing_cli import QueueingCli

from rightseat import CopilotClient, CopilotSession, RuntimeConnection, TurnTimeoutError, define_tool
from rightseat.chat import ChatRequest, Message, TextDelta
from rightseat.sdk.handler import SessionHandler
from rightseat.simulator.peer import ScriptedCli
from rightseat.testing.clock import run_virtual
from rightseat.transport.memory import MemoryStream

QUESTIONS = ("whole", "stream", "handler", "sent", "tool", "tool stream", "left", "cancelled", "timed")
# A message that steers is part of the question that it steers: what a real model answers to both is anybody's guess.
KINDS = (*QUESTIONS, "steering")
LONG = " and the rest of a long answer that takes a while" * 2


def found(text: str) -> str:
    """What the tool finds."""
    return f"found <{text}>"


@define_tool(skip_permission=True)
async def lookup(text: Annotated[str, "what to look for"]) -> str:
    """Look something up."""
    await asyncio.sleep(0)
    return found(text)


class World:
    """Questions to one session.

    Args:
        session: with `streaming=True` and the tool `lookup`.
        seed: another seed, another world.
        second: how long a second is.
        kinds: what is asked.
        most: how many questions.
    """

    def __init__(
        self, session: CopilotSession, seed: int, second: float = 1.0, kinds: tuple[str, ...] = KINDS, most: int = 10
    ) -> None:
        self.kinds = kinds
        self.most = most
        self.session = session
        self.seed = seed
        self.second = second
        self.chance = random.Random(seed)
        self.ends: collections.Counter[str] = collections.Counter()
        self.begun: collections.Counter[str] = collections.Counter()
        self.answers: dict[str, list[str]] = collections.defaultdict(list)  # by the id of the message

    async def play(self) -> collections.Counter:
        """Ask everything at once. Raises AssertionError where a law is broken."""
        stop = self.session.on(lambda e: self.begun.update([e.data.content]), "user.message")
        stop_too = self.session.on(self._note, "assistant.message")
        try:
            kinds = self.chance.choices(self.kinds, k=self.chance.randint(3, self.most))
            async with asyncio.timeout(120):
                await asyncio.gather(*(self._ask(n, kind) for n, kind in enumerate(kinds)))
        finally:
            stop()
            stop_too()
        assert not {prompt: n for prompt, n in self.begun.items() if n > 1}, "a message was worked on twice"
        return self.ends

    def _note(self, event) -> None:
        self.answers[event.data.originating_message_id].append(event.data.content)

    async def _ask(self, n: int, kind: str) -> None:
        await asyncio.sleep(self.chance.choice((0, 0, self.chance.random())) * self.second)
        text = f"world {self.seed} number {n}" + LONG * (self.chance.random() < 0.3)
        ask = {
            "left": self._left,
            "cancelled": self._cancelled,
            "timed": self._timed,
            "steering": self._steering,
            "sent": self._sent,
        }.get(kind)
        if ask is not None:
            await ask(f"Reply with exactly: {text}", text)
        elif kind.startswith("tool"):
            how = self._stream if kind == "tool stream" else self._whole
            answer = await how(f'Use the lookup tool: {{"text": "{text}"}}')
            assert answer == f"The tool answered: {found(text)}", (kind, answer)
        else:
            answer = await {"whole": self._whole, "stream": self._stream, "handler": self._handled}[kind](
                f"Reply with exactly: {text}"
            )
            assert answer == text, (kind, n, answer)
        self.ends[kind] += 1

    async def _whole(self, prompt: str, **options) -> str:
        return (await self.session.send_and_wait(prompt, **options)).data.content

    async def _stream(self, prompt: str) -> str:
        return "".join([text async for text in self.session.stream(prompt)])

    async def _handled(self, prompt: str) -> str:
        async with await SessionHandler(self.session)(ChatRequest("m", (Message("user", prompt),))) as reply:
            return "".join([event.text async for event in reply if isinstance(event, TextDelta)])

    async def _sent(self, prompt: str, text: str) -> None:
        sent = await self.session.send(prompt)
        while not self.answers[sent]:
            await asyncio.sleep(0.02 * self.second)
        assert self.answers[sent] == [text]

    async def _left(self, prompt: str, text: str) -> None:
        """Somebody reads some of it and goes."""
        said = ""
        async with contextlib.aclosing(self.session.stream(prompt)) as stream:
            for _ in range(self.chance.randint(0, 3)):
                said += await anext(stream, "")
        assert text.startswith(said), said

    async def _cancelled(self, prompt: str, text: str) -> None:
        how = self.chance.choice((self._whole, self._stream, self._handled))
        task = asyncio.ensure_future(how(prompt))
        await asyncio.wait({task}, timeout=self.chance.random() * self.second)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            assert await task == text

    async def _timed(self, prompt: str, text: str) -> None:
        with contextlib.suppress(TurnTimeoutError):
            assert await self._whole(prompt, timeout=self.chance.random() * self.second + 0.01) == text

    async def _steering(self, prompt: str, text: str) -> None:
        """It is answered by the turn that it steers, or by its own."""
        answer = await self._whole(prompt, mode="immediate")
        assert answer == text or any(answer in said for said in self.answers.values()), answer


def in_world(main, chance: random.Random | None = None):
    """Run `main(session, cli)` in virtual time; `cli` is a QueueingCli."""

    async def run():
        ours, theirs = MemoryStream.pair()
        async with ScriptedCli(theirs) as scripted:
            cli = QueueingCli(scripted, chance)
            async with CopilotClient(connection=RuntimeConnection.for_stream(ours)) as client:
                session = await client.create_session(streaming=True, tools=[lookup])
                cli.session_id = session.session_id
                result = await main(session, cli)
                assert not session._turns, "somebody still waits"
            cli.close()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "something outlived the client"
        return result

    return run_virtual(run)


def world(seed: int) -> collections.Counter:
    """A world in virtual time."""

    async def main(session, cli):
        cli.queue_takes = 0.05
        ends = await World(session, seed).play()
        assert (await session.send_and_wait("Reply with exactly: the end")).data.content == "the end"
        return ends

    return in_world(main, random.Random(-seed - 1))


def main() -> None:
    """`make sim`."""
    parser = argparse.ArgumentParser(prog="python -m tests.sdk.worlds")
    parser.add_argument("--seeds", type=int, default=1000, help="how many random worlds")
    parser.add_argument("--seed", type=int, help="this one alone")
    given = parser.parse_args()
    logging.disable()
    begun, ends = time.monotonic(), collections.Counter()
    for seed in range(given.seeds) if given.seed is None else [given.seed]:
        try:
            ends += world(seed)
        except BaseException:
            print(f"seed {seed} fails; play it again: python -m tests.sdk.worlds --seed {seed}")
            raise
    print(f"{sum(ends.values())} questions, {time.monotonic() - begun:.0f} s:", dict(sorted(ends.items())))


if __name__ == "__main__":
    main()
