"""What one question has come to: what was said for it, what it used, and whether its answer fits. Does not know how is asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rightseat.chat import Completion, Message, Usage
from rightseat.errors import AnswerFormatError
from rightseat.facade.response import messages_of

if TYPE_CHECKING:
    from rightseat.facade.structured import Format


class Progress:
    """What one question has come to so far.

    Args:
        form: the type that the answer shall have.
        most: how many times the model is asked, not counting a repair.

    Attributes:
        sent: all that was said for it, as the model is told it.
        kept: the same as the conversation keeps it: without an answer that did not fit.
        held: characters of the answers so far.
        usage: of all steps; None: not told.
        warnings: what was not done, each once.
        steps: how many times the model was asked.
        repaired: an answer did not fit, and was asked for once more.
        parsed: the answer as a value of the type.
    """

    def __init__(self, form: Format[Any] | None, most: int) -> None:
        self.sent: list[Message] = []
        self.kept: list[Message] = []
        self.held = 0
        self.usage: Usage | None = None
        self.warnings: dict[str, None] = {}
        self.steps = 0
        self.repaired = False
        self.parsed: Any = None
        self._form = form
        self._most = most

    def goes_on(self) -> bool:
        """The model may be asked, or once more."""
        self.steps += 1
        return self.steps <= self._most + self.repaired

    def say(self, *messages: Message) -> None:
        """The next messages."""
        self.sent += messages
        self.kept += messages

    def warn(self, warnings: Iterable[str]) -> None:
        """What was not done; the same is told once."""
        self.warnings |= dict.fromkeys(warnings)

    def add(self, done: Completion) -> None:
        """What a step has used."""
        if done.usage is not None:
            self.usage = done.usage if self.usage is None else self.usage + done.usage

    def asks_again(self, done: Completion) -> bool:
        """Whether the answer is to be asked for once more. Raises AnswerFormatError: it does not fit, and was asked for already."""
        if self._form is None or done.tool_calls:
            return False
        try:
            self.parsed = self._form.parse(done.text)
        except ValueError as e:
            if self.repaired or done.finish_reason == "content_filter":
                raise AnswerFormatError(done.text, str(e), done.finish_reason) from e
            self.repaired = True
            self.sent += [*messages_of(done), Message("user", self._form.again(str(e)))]
            return True
        return False
