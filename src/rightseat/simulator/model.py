"""The simulated model: a Handler that says what the script, the instructions or the prose decide, at a pace."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from rightseat.chat import ChatRequest, Finish, ModelEvent, ReasoningDelta, Reply, TextDelta, ToolCallEvent, Usage
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import InvalidOptionError, PeerError
from rightseat.handler import as_handler, tool_call
from rightseat.simulator.faults import FaultyReply
from rightseat.simulator.instructions import Say, UseTool, decide
from rightseat.simulator.prose import count_tokens, prose, tokens
from rightseat.simulator.script import Rule, Script, ScriptedError


class SimulatedError(PeerError):
    """The script wants an HTTP error."""

    def __init__(self, error: ScriptedError) -> None:
        super().__init__(error.message)
        self.error = error


class SimulatedModel:
    """A model without weights.

    Args:
        seed: the same seed and prompt give the same prose.
        words: how long prose is, in words.
        pace: tokens a second; 0: as fast as possible.
        script: rules or a function that come first.
        clock: what passes between tokens.

    Raises:
        InvalidOptionError: a negative length or pace.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        words: int = 60,
        pace: float = 100.0,
        script: Script | Callable[..., Any] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if words < 1:
            raise InvalidOptionError(f"words must be at least 1, not {words}")
        if pace < 0:
            raise InvalidOptionError(f"pace must be 0 (no pauses) or more tokens a second, not {pace}")
        self._seed = seed
        self._words = words
        self._pause = 1 / pace if pace else 0.0
        self._script = script
        self._clock = clock

    async def __call__(self, request: ChatRequest) -> Reply:
        """Answer.

        Raises:
            SimulatedError: the script wants an HTTP error.
        """
        if isinstance(self._script, Script):
            rule = self._script.next(request)
            if rule is not None:
                return await self._scripted(rule, request)
        elif self._script is not None:
            answer = self._script(request)
            if inspect.isawaitable(answer):
                answer = await answer
            if answer is not None:
                return await as_handler(lambda _: answer)(request)
        return Reply(self._decided(request))

    async def _scripted(self, rule: Rule, request: ChatRequest) -> Reply:
        await self._clock.sleep(rule.delay)
        if rule.error is not None:
            raise SimulatedError(rule.error)
        if rule.fault is not None:
            return FaultyReply(self._play(rule, request), rule.fault)
        return Reply(self._play(rule, request))

    async def _play(self, rule: Rule, request: ChatRequest) -> AsyncIterator[ModelEvent]:
        said = rule.reasoning or ""
        for piece in tokens(said):
            yield ReasoningDelta(piece)
            await self._wait()
        for piece in rule.chunks if rule.chunks is not None else tokens(rule.text or ""):
            said += piece
            yield TextDelta(piece)
            await self._wait()
        if rule.tool is not None:
            yield ToolCallEvent(tool_call(rule.tool.name, rule.tool.arguments))
        yield Finish("tool_calls" if rule.tool is not None else "stop")
        yield _usage(request, said)

    async def _decided(self, request: ChatRequest) -> AsyncIterator[ModelEvent]:
        match decide(request, lambda prompt: prose(prompt, self._seed, self._words)):
            case UseTool(name, arguments):
                tool = next((t for t in request.tools if t.name == name), None)
                call = msgspec.structs.replace(tool_call(name, arguments), namespace=tool.namespace if tool else "")
                if isinstance(arguments, str):
                    call = msgspec.structs.replace(call, kind="custom")
                yield ToolCallEvent(call)
                yield Finish("tool_calls")
                yield _usage(request, call.arguments)
            case Say(text):
                for piece in tokens(text):
                    yield TextDelta(piece)
                    await self._wait()
                yield Finish("stop")
                yield _usage(request, text)

    async def _wait(self) -> None:
        if self._pause:
            await self._clock.sleep(self._pause)


def _usage(request: ChatRequest, said: str) -> Usage:
    return Usage(sum(count_tokens(message.content) for message in request.messages), count_tokens(said))
