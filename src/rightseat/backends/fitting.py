"""A chat request as a model takes it: the endpoint that serves it, its own id, limits and efforts. Pure decisions."""

from __future__ import annotations

import msgspec

from rightseat.backends.registry import Model
from rightseat.chat import ChatRequest, Image
from rightseat.chat.structured import instructed
from rightseat.json_types import JsonObject
from rightseat.wire import dialects
from rightseat.wire.abilities import effort_for
from rightseat.wire.body import BadRequestError
from rightseat.wire.dialect import Dialect
from rightseat.wire.facts import asks_nothing

_LIMITS = ("max_completion_tokens", "max_tokens")


def dialect_for(model: Model | None, preferred: Dialect | None = None) -> Dialect:
    """The dialect to ask a model in: the preferred one where the model speaks it, else the richest that it does.

    Raises:
        BadRequestError: it speaks none of them.
    """
    if model is None:
        return dialects.DEFAULT
    spoken = dialects.spoken_by(model.endpoints, preferred)
    if spoken is None:
        served = ", ".join(model.endpoints) or "nothing"
        raise BadRequestError.at("model", f"{model.id} serves {served} and no conversations")
    return spoken


def initiator(request: ChatRequest) -> str:
    """Who began this: "user" when the last word is the user's, else "agent"."""
    return "user" if not request.messages or request.messages[-1].role == "user" else "agent"


def has_image(request: ChatRequest) -> bool:
    """There is an image in it."""
    return any(isinstance(part, Image) for message in request.messages for part in message.parts)


def intent(tools: object, thinking: object) -> str:
    """What a request is for, in the words that editors send: an agent's turn, with tools or thinking, or a plain chat."""
    return "conversation-agent" if tools or thinking else "conversation-panel"


def fitted(request: ChatRequest, model: Model | None, dialect: Dialect, *, stream: bool) -> ChatRequest:
    """The request as the model takes it: its own id, no more output than it can give, the effort that it has, the format that it can keep."""
    request = _formatted(request, model, dialect)
    extra = dict(request.extra)
    if model is not None:
        if dialect.default_output and model.max_output_tokens and not any(extra.get(name) for name in _LIMITS):
            extra["max_tokens"] = min(dialect.default_output, model.max_output_tokens)
        limit = extra.get("max_tokens")
        if isinstance(limit, (int, float)) and model.max_output_tokens and limit > model.max_output_tokens:
            extra["max_tokens"] = model.max_output_tokens
        if "max_tokens" in extra and dialect.limit_field(model.id) == "max_completion_tokens":
            extra["max_completion_tokens"] = extra.pop("max_tokens")
        budget = extra.get("thinking_budget")
        if budget and not dialect.has_thinking_budget(model.id):
            del extra["thinking_budget"]  # only Claude has one; others have an effort
            extra.setdefault("reasoning_effort", effort_for(budget))
        if isinstance(effort := extra.get("reasoning_effort"), str):
            _set_effort(extra, model, effort)
    return msgspec.structs.replace(request, model=model.id if model else request.model, stream=stream, extra=extra)


def _set_effort(extra: JsonObject, model: Model, asked: str) -> None:
    """The effort that the model has; None: it has none."""
    now = model.abilities.effort(asked)
    if now is None:
        del extra["reasoning_effort"]
    else:
        extra["reasoning_effort"] = (
            "high" if now == "max" and not model.efforts else now
        )  # "max" is Anthropic's word alone


def without(request: ChatRequest, names: frozenset[str]) -> ChatRequest:
    """The request without some of its options. The same object where it has none of them."""
    if names.isdisjoint(request.extra):
        return request
    kept = {name: value for name, value in request.extra.items() if name not in names}
    return msgspec.structs.replace(request, extra=kept)


def _formatted(request: ChatRequest, model: Model | None, dialect: Dialect) -> ChatRequest:
    """With `response_format` in words where the model, or the dialect, has none."""
    if request.extra.get("response_format") is None:
        return request
    cannot = model is not None and model.structured is False
    return instructed(request, keep=False) if cannot or not dialect.expresses(request, "response_format") else request


def warnings_of(given: ChatRequest, asked: ChatRequest, dialect: Dialect) -> tuple[str, ...]:
    """What of a request's options the model is not asked for, or is asked for otherwise.

    Args:
        given: the request as it came.
        asked: the same as it is sent; see `fitted`.
        dialect: in which it is sent.
    """
    found = (_warning(name, value, asked, dialect) for name, value in given.extra.items())
    return tuple(f"{name}: {what}" for name, what in zip(given.extra, found, strict=True) if what)


def _warning(name: str, value: object, asked: ChatRequest, dialect: Dialect) -> str:
    if asks_nothing(name, value) or name in ("response_format", "stream_options"):
        return ""
    if name in _LIMITS:
        now = next((asked.extra[limit] for limit in _LIMITS if limit in asked.extra), value)
        now = max(now, dialect.least_output) if isinstance(now, int) else now
        return "" if now == value else f"{asked.model} takes {now} where {value} was asked for"
    if name not in asked.extra:
        other = asked.extra.get("reasoning_effort") if name == "thinking_budget" else None
        return f"{asked.model} has none; the effort is {other}" if other else f"{asked.model} has no such option"
    now = asked.extra[name]
    if not dialect.expresses(asked, name):
        return f"{asked.model} has no {value!r}" if name == "reasoning_effort" else f"{asked.model} has no such option"
    return "" if now == value else f"{asked.model} takes {now} where {value} was asked for"
