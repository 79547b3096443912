"""A chat request that passes, as Copilot's models take it. Sources are in `docs/decisions/0019-fitting.md`."""

from __future__ import annotations

from rightseat.json_types import Json, JsonObject
from rightseat.wire.abilities import Abilities, FittedBody
from rightseat.wire.body import differs

MARK = "copilot_cache_control"
_MARKS = 4  # of one request


def fit(body: JsonObject, raw: bytes, abilities: Abilities) -> FittedBody:
    """The body as the model takes it: an effort that it has, what Claude takes of temperature and top_p, cache marks in Copilot's form."""
    work = _ChatFitting(body, abilities)
    if body.get("tools") == []:
        work.without("tools", "tool_choice", "parallel_tool_calls")
    if isinstance(asked := body.get("reasoning_effort"), str):
        work.effort(asked)
    if abilities.claude is not None:
        work.sampling()
        work.marks(given=b'"cache_control"' in raw or MARK.encode() in raw)
    return FittedBody(work.body, tuple(work.dropped), tuple(work.changed))


class _ChatFitting:
    def __init__(self, body: JsonObject, abilities: Abilities) -> None:
        self.body = body
        self.dropped: list[str] = []
        self.changed: list[str] = []
        self._abilities = abilities

    def effort(self, asked: str) -> None:
        now = self._abilities.effort(asked)
        if now is None:
            self.without("reasoning_effort")
            self.dropped.append("reasoning_effort")
        elif now != asked:
            self.body = {**self.body, "reasoning_effort": now}
            self.changed.append(f"effort: {now} instead of {asked}")

    def sampling(self) -> None:
        temperature = self.body.get("temperature")
        if isinstance(temperature, (int, float)) and temperature > 1:
            self.body = {**self.body, "temperature": 1}
            self.changed.append(f"temperature: 1 instead of {temperature}")
        if temperature is not None and self.body.get("top_p") is not None:
            self.without("top_p")
            self.dropped.append("top_p")

    def marks(self, *, given: bool) -> None:
        """Where Claude may keep what it has read: as the client says, else behind the system's words and the last two that were said to it."""
        messages = self.body.get("messages")
        if not isinstance(messages, list):
            return
        marked = [_marked(message) for message in messages] if given else _with_marks(messages)
        if differs(marked, messages):
            self.body = {**self.body, "messages": marked}

    def without(self, *names: str) -> None:
        self.body = {name: value for name, value in self.body.items() if name not in names}


def _marked(message: Json) -> Json:
    """A message with the mark of one of its parts as its own."""
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(content, list):
        return message
    marks = [part["cache_control"] for part in content if isinstance(part, dict) and "cache_control" in part]
    if not marks:
        return message
    plain = [
        {k: v for k, v in part.items() if k != "cache_control"} if isinstance(part, dict) else part for part in content
    ]
    return {**message, "content": plain, MARK: {"type": "ephemeral"}}


def _with_marks(messages: list[Json]) -> list[Json]:
    ends = [i for i, m in enumerate(messages) if isinstance(m, dict) and m.get("role") in ("user", "tool")][-2:]
    system = [i for i, m in enumerate(messages) if isinstance(m, dict) and m.get("role") in ("system", "developer")][
        -1:
    ]
    chosen = {*system, *ends}
    if len(messages) < 2 or len(chosen) > _MARKS:
        return messages
    return [
        {**m, MARK: {"type": "ephemeral"}} if i in chosen and isinstance(m, dict) else m for i, m in enumerate(messages)
    ]
