"""The dialects, in one list: routes, plans and backends go by it. Who adds one adds its folder and a line here."""

from __future__ import annotations

from collections.abc import Collection

from rightseat.wire import anthropic, openai_chat, openai_responses
from rightseat.wire.dialect import Dialect
from rightseat.wire.openai_chat import legacy

CHAT, RESPONSES, MESSAGES = openai_chat.DIALECT, openai_responses.DIALECT, anthropic.DIALECT

# The richest first: a model that serves several is asked in the first of them, unless the client's own is among them.
ALL: tuple[Dialect, ...] = (MESSAGES, RESPONSES, CHAT)
COMPLETIONS = legacy.DIALECT  # a client's alone: no model is asked in it
DEFAULT = CHAT  # while nothing is known of a model


def spoken_by(endpoints: Collection[str], preferred: Dialect | None = None) -> Dialect | None:
    """The dialect to ask a model in that serves these endpoints: the preferred one where it does; None: it serves no conversations."""
    if preferred is not None and preferred.path in endpoints:
        return preferred
    return next((dialect for dialect in ALL if dialect.path in endpoints), None)
