"""The queue of the Copilot CLI, played on a scripted CLI as version 1.0.102 was seen to treat it.

One message is answered at a time. Those that come meanwhile wait; one that is sent in mode "immediate" steers what runs.
`session.idle` comes when nothing waits. `session.abort` ends what runs and drops everything that waits.
"""

import asyncio
import json
import random
from dataclasses import dataclass, field

from rightseat.simulator.peer import ScriptedCli


@dataclass
class Sent:
    """A message."""

    id: str
    prompt: str
    delivery: str = "idle"
    interaction: str = ""
    begun: asyncio.Event = field(default_factory=asyncio.Event)


class QueueingCli:
    """Answers the messages of one session.

    Attributes:
        answered, aborted, dropped: what became of the messages.
        sending_takes, queue_takes, word_takes: seconds.
    """

    def __init__(self, cli: ScriptedCli, chance: random.Random | None = None) -> None:
        self.cli = cli
        self.chance = chance
        self.session_id = ""
        self.answered: list[Sent] = []
        self.aborted: list[Sent] = []
        self.dropped: list[Sent] = []
        self.waiting: list[Sent] = []
        self.sending_takes = self.queue_takes = 0.0
        self.word_takes = 0.05
        self._messages: dict[str, Sent] = {}
        self._steering: list[Sent] = []
        self._running: tuple[Sent, asyncio.Task] | None = None
        self._tools: dict[str, asyncio.Future] = {}
        self._known = asyncio.Condition()
        cli.methods |= {
            "session.send": self._send,
            "session.abort": self._abort,
            "session.queue.pendingItems": self._pending,
            "session.queue.removeAt": self._remove,
            "session.tools.handlePendingToolCall": self._tool_answered,
        }

    async def until_begun(self, prompt: str) -> None:
        """Wait until a message is taken up."""
        async with self._known:
            await self._known.wait_for(lambda: any(m.prompt == prompt for m in self._messages.values()))
        await next(m for m in self._messages.values() if m.prompt == prompt).begun.wait()

    def close(self) -> None:
        """Work on nothing any more."""
        if self._running is not None:
            self._running[1].cancel()

    async def _send(self, params):
        await self._pause(self.sending_takes)
        message = Sent(f"message-{len(self._messages) + 1}", params["prompt"])
        async with self._known:
            self._messages[message.id] = message
            self._known.notify_all()
        if self._running is None:
            self._run(message)
        elif params.get("mode") == "immediate":
            self._steering.append(message)
        else:
            message.delivery = "queued"
            self.waiting.append(message)
        await self._pause(0)
        return {"messageId": message.id}

    def _run(self, message: Sent) -> None:
        message.interaction = f"interaction-{message.id}"
        self._running = (message, asyncio.ensure_future(self._answer(message)))

    async def _answer(self, message: Sent) -> None:
        await self._pause(0)
        self._begin(message, message.delivery, message.interaction)
        text = await self._use_tool(message) if "tool" in message.prompt else echo(message.prompt)
        self._event("assistant.usage", {"model": "m", "inputTokens": 3, "outputTokens": 2})
        reply = f"reply-{message.id}"
        for n, word in enumerate(text.split(" ")):
            await self._pause(self.word_takes)
            while self._steering:
                self._begin(self._steering.pop(0), "steering", message.interaction)
            piece = {"messageId": reply, "deltaContent": word if n == 0 else f" {word}"}
            self._event("assistant.message_delta", piece, ephemeral=True)
        about = {"originatingMessageId": message.id, "interactionId": message.interaction}
        self._event("assistant.message", {"messageId": reply, "content": text, **about})
        self.answered.append(message)
        self.waiting[:0], self._steering = self._steering, []
        self._running = None
        if self.waiting:
            self._run(self.waiting.pop(0))
        else:
            self._event("session.idle", ephemeral=True)

    async def _use_tool(self, message: Sent) -> str:
        call = {
            "toolCallId": f"call-{message.id}",
            "toolName": "lookup",
            "arguments": json.loads(message.prompt.partition(": ")[2]),
        }
        request = f"request-{message.id}"
        answer = self._tools[request] = asyncio.get_running_loop().create_future()
        self._event("tool.execution_start", call)
        self._event("external_tool.requested", {"requestId": request, "sessionId": self.session_id, **call})
        text = await answer
        self._event("tool.execution_complete", {"toolCallId": call["toolCallId"], "success": True})
        return f"The tool answered: {text}"

    def _tool_answered(self, params):
        answer = self._tools.pop(params["requestId"])
        if not answer.done():
            answer.set_result(params["result"]["textResultForLlm"])
        return {"success": True}

    def _begin(self, message: Sent, delivery: str, interaction: str) -> None:
        said = {"content": message.prompt, "messageId": message.id, "interactionId": interaction, "delivery": delivery}
        self._event("user.message", said)
        message.begun.set()

    async def _abort(self, _):
        await self._pause(0)
        self.dropped += [*self.waiting, *self._steering]
        self.waiting, self._steering = [], []
        if self._running is not None:
            message, task = self._running
            task.cancel()
            self._running = None
            self.aborted.append(message)
            self._event("abort", {"reason": "user_initiated"})
            self._event("session.idle", {"aborted": True}, ephemeral=True)
        return {"success": True}

    async def _pending(self, _):
        items = [{"id": m.id, "messageId": m.id, "kind": "message"} for m in self.waiting]
        steering = [m.prompt for m in self._steering]
        await self._pause(self.queue_takes)
        return {"items": items, "steeringMessages": steering, "inFlightSteeringCount": 0}

    def _remove(self, params):
        before = len(self.waiting)
        self.waiting = [m for m in self.waiting if m.id != params["id"]]
        return {"removed": len(self.waiting) < before}

    def _event(self, kind, data=None, **envelope) -> None:
        self.cli.event(self.session_id, kind, data, **envelope)

    async def _pause(self, seconds: float) -> None:
        if self.chance is not None:
            seconds = self.chance.choice((0, 0, seconds, self.chance.random() * 0.2))
        await asyncio.sleep(seconds)


def echo(prompt: str) -> str:
    """What is answered to a prompt without a tool."""
    return prompt.partition("exactly: ")[2] or f"echo: {prompt}"
