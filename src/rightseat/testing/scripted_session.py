"""A chat session with canned answers, for code that uses `chat` and `stream` and should not need more in its tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rightseat.facade.session import ChatSession
from rightseat.json_types import JsonObject
from rightseat.testing.scripted import Canned, ScriptedHandler


class ScriptedSession(ChatSession):
    """A session whose answers are canned: all of `ChatSession` works, streams, tools, history and errors too.

        session = ScriptedSession({"python": "A programming language."})
        response = await session.chat("Tell me about Python")
        assert session.call_history[0][1] == "Tell me about Python"

    Args:
        canned_responses: pattern -> answer; see `ScriptedHandler`.
        default: the answer when no pattern fits.
        tools, system, max_steps: see `CopilotSDK.create_session`.
        **options: see `ScriptedHandler`: sequence, pieces, pause.

    Attributes:
        call_history: (method, prompt, options) of each call.
        handler: the handler; its `calls` are the requests.
    """

    def __init__(
        self,
        canned_responses: Mapping[Any, Canned] | None = None,
        *,
        default: Canned = "Default mock response",
        model: str = "scripted",
        tools: Any = (),
        system: str | None = None,
        max_steps: int = 10,
        **options: Any,
    ) -> None:
        self.handler = ScriptedHandler(canned_responses, default=default, **options)
        self.call_history: list[tuple[str, str, JsonObject]] = []
        super().__init__(self.handler, model, tools=tools, system=system, max_steps=max_steps)

    def _note(self, method: str, prompt: str, options: Mapping[str, object]) -> None:
        self.call_history.append((method, prompt, dict(options)))
