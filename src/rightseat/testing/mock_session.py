"""The guide's double of a session: canned answers by pattern, whatever the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rightseat.errors import NotStartedError
from rightseat.facade.question import ChatQuestion
from rightseat.facade.session import ChatStream
from rightseat.testing.scripted_session import ScriptedSession


class MockCopilotSession(ScriptedSession):
    """A ScriptedSession that takes any prompt, also an empty one, so that property tests need not avoid what a session refuses.

        session = MockCopilotSession(canned_responses={"python": "A programming language."})
        response = await session.chat("Tell me about Python")

    Args:
        canned_responses: pattern -> answer; the first that is in the prompt counts, without regard to case.

    Attributes:
        call_history: (method, prompt, options) of each call.
    """

    def __init__(self, canned_responses: Mapping[str, Any] | None = None) -> None:
        super().__init__(canned_responses)

    def _stream(self, prompt: str, options: Mapping[str, object]) -> ChatStream[Any]:
        if self.closed:
            raise NotStartedError("this session is closed")
        return ChatStream(self, ChatQuestion(prompt, options, may_be_empty=True))
