"""One question with its options, checked. Does not know who answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rightseat.chat import MAX_ANSWER_CHARS, Message
from rightseat.errors import InvalidOptionError
from rightseat.facade.options import QUESTION, request_options
from rightseat.json_types import JsonObject
from rightseat.layers.checks import number

if TYPE_CHECKING:
    from rightseat.facade.structured import Format


class ChatQuestion:
    """A question.

    Args:
        prompt: its text.
        options: see `ChatOptions`; and `response_format`.
        may_be_empty: for doubles, which take any prompt.

    Attributes:
        prompt: its text.
        extra: what is sent with it.
        timeout: seconds, for this question alone.
        priority: see Meta.
        limit: characters of the answer; None: any number.
        format: the type that the answer shall have; None: text.

    Raises:
        UnknownOptionError, InvalidOptionError: the prompt is empty, or an option makes no sense.
    """

    def __init__(self, prompt: str, options: Mapping[str, Any], *, may_be_empty: bool = False) -> None:
        if not isinstance(prompt, str) or not (prompt.strip() or may_be_empty):
            raise InvalidOptionError(f"prompt: must be {'text' if may_be_empty else 'a non-empty string'}")
        self.prompt = prompt
        given = dict(options)
        form = given.pop("response_format", None)
        self.extra: JsonObject = request_options(given, "chat", also=QUESTION)
        self._images: Sequence[Any] = self.extra.pop("images", ())
        self.timeout: float | None = self.extra.pop("timeout", None)
        self.priority: int = self.extra.pop("priority", 0)
        self.limit: int | None = self.extra.pop("max_answer_chars", MAX_ANSWER_CHARS)
        if "max_answer_chars" in given and given["max_answer_chars"] is None:
            self.limit = None
        self._check()
        self.format: Format[Any] | None = None
        if isinstance(form, Mapping):
            self.extra["response_format"] = dict(form)
        elif form is not None:
            from rightseat.facade.structured import format_of  # which few need

            self.format = format_of(form)
            self.extra["response_format"] = self.format.wire

    def _check(self) -> None:
        if self.timeout is not None:
            number("timeout", self.timeout, above=0)
        number("priority", self.priority, least=-1000, most=1000, whole=True)
        if self.limit is not None:
            number("max_answer_chars", self.limit, least=1, whole=True)

    async def message(self) -> Message:
        """What the user says. Raises InvalidOptionError: an image that is none."""
        if not len(self._images):
            return Message("user", self.prompt)
        from rightseat.facade.images import images_of  # which few need

        images = await images_of(self._images)
        return Message("user", self.prompt, parts=(self.prompt, *images))
