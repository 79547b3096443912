"""What was said, for the log, where the owner has asked for it: redacted, and no more than so much of it."""

from __future__ import annotations

import json
from typing import Any

from rightseat.backends import reading
from rightseat.chat import ReasoningDelta, TextDelta, ToolCallEvent
from rightseat.errors import RightseatError
from rightseat.gateway.pipeline.plan import Plan
from rightseat.log import logger
from rightseat.security.redaction import redact
from rightseat.wire.openai_stream import ChunkError

MOST = 64 * 1024  # characters of a request, and of an answer
_MOST_BYTES = 1024 * 1024  # of an answer that are kept


class Spoken:
    """One request and its answer."""

    def __init__(self, plan: Plan, request_id: str) -> None:
        self._plan = plan
        self._request_id = request_id
        self._pieces: list[bytes] = []
        self._size = 0
        said = {name: plan.body[name] for name in ("system", "instructions", "messages", "input") if name in plan.body}
        self._log("asked", said)

    def hear(self, piece: bytes) -> None:
        """A piece of the answer, as the client gets it."""
        if self._size < _MOST_BYTES:
            self._pieces.append(piece)
            self._size += len(piece)

    def end(self) -> None:
        """That was all."""
        data, api = b"".join(self._pieces), self._plan.client.api
        if not data:
            return
        try:
            if self._plan.wants_stream:
                reader = api.reader()
                events = [*reader.feed(data), *reader.feed_eof()]
            else:
                events = reading.whole(api, data)
        except (RightseatError, ChunkError):
            self._log("answered", "(cannot be read)")
            return
        text = "".join(e.text for e in events if isinstance(e, TextDelta))
        thought = "".join(e.text for e in events if isinstance(e, ReasoningDelta))
        calls = [{"name": e.call.name, "arguments": e.call.arguments} for e in events if isinstance(e, ToolCallEvent)]
        self._log(
            "answered",
            {"text": text, **({"reasoning": thought} if thought else {}), **({"calls": calls} if calls else {})},
        )

    def _log(self, what: str, value: Any) -> None:
        text = redact(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        logger.info("%s %s: %s", self._request_id, what, text[:MOST])
