"""What is asked of upstream for a request: a pure decision, made before anything is sent.

Which dialect, whether it is streamed, what the body is, who began the turn, whether there is an image, and what had to be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from rightseat.accounts.identity import has_image, initiator_of
from rightseat.backends.fitting import COMPLETION_LIMIT, fitted
from rightseat.backends.registry import Model
from rightseat.chat.plain import PlainTools
from rightseat.gateway.pipeline.content import Inspection
from rightseat.gateway.pipeline.dialects import CHAT, RESPONSES, Body, Dialect, route
from rightseat.wire.opaque import MARK

# Parameters that change what is said. Left out, they are worth a warning; all others are hints and book-keeping.
_TELLING = frozenset({
    "frequency_penalty", "logit_bias", "logprobs", "max_tool_calls", "modalities", "n", "presence_penalty", "seed", "stop",
    "stop_sequences", "temperature", "top_k", "top_logprobs", "top_p", "truncation", "verbosity",
})  # fmt: skip
# Of those, what each dialect has (in chat's names).
_KNOWN = {
    "chat": _TELLING - {"logprobs", "logit_bias", "n", "top_logprobs", "modalities", "top_k", "truncation"},
    "responses": frozenset({"temperature", "top_p", "verbosity"}),
    "messages": frozenset({"temperature", "top_p", "stop"}),
}
_SAME_AS = {"stop_sequences": "stop"}


class Plan(Struct, frozen=True):
    """What is asked.

    Attributes:
        client: the client's dialect.
        upstream: the dialect upstream is asked in; the same means that bytes pass.
        body: the client's body.
        data: the body that is sent.
        model: the model's id.
        wants_stream: the client wants a stream.
        streams: upstream is asked for one.
        initiator: "user" or "agent".
        vision: there is an image.
        dropped: names of parameters that were left out.
        tools: where it is translated: the request, with plain tools.
        found: kinds of sensitive data in the request, and how often.
        suspect: signs of an injection in it.
        output_limit: tokens of the answer at most, where that is known.
    """

    client: Dialect
    upstream: Dialect
    body: Body
    data: bytes
    model: str
    wants_stream: bool
    streams: bool
    initiator: str
    vision: bool
    dropped: tuple[str, ...] = ()
    tools: PlainTools | None = None
    found: Mapping[str, int] = field(default_factory=dict)
    suspect: tuple[str, ...] = ()
    output_limit: int | None = None

    @property
    def name(self) -> str:
        """The name of the model that the client used."""
        return str(self.body["model"])

    @property
    def intent(self) -> str:
        """What the request is for, as editors tell it."""
        agentic = self.body.get("tools") or self.body.get("thinking") or self.body.get("thinking_budget")
        return "conversation-agent" if agentic else "conversation-panel"


def plan(
    client: Dialect,
    raw: bytes,
    body: Body,
    model: Model | None,
    *,
    initiator: str | None = None,
    plain: bool = False,
    drop_tools: bool = False,
    decoded: bool = False,
    inspection: Inspection | None = None,
) -> Plan:
    """The plan for a request.

    Args:
        client: the dialect the request is in.
        raw: its bytes.
        body: the same, decoded.
        model: the model that is meant; None: unknown, because nobody has logged in yet.
        initiator: what the client says of itself.
        plain: tools that take text are made plain for models that speak `responses` too.
        decoded: the answer is read event by event, also where it could pass.
        inspection: what the request holds.
        drop_tools: tools that cannot be expressed are left out instead of refused.

    Raises:
        BadRequestError: naming the field that is wrong or cannot be expressed.
    """
    client.check(body)
    upstream = route(client, model)
    wants = bool(body.get("stream"))
    streams = wants or (model is not None and model.streaming is True)
    said = body.get("messages") if client is not RESPONSES else body.get("input")
    who = initiator_of(said if isinstance(said, list) else (), initiator)
    tools: PlainTools | None = None
    plainly = plain and client is upstream is RESPONSES and b'"custom"' in raw
    if client is upstream and not plainly and not decoded:
        data, dropped = _passing(client, raw, body, model, streams=streams)
    else:
        expressed, lost = _expressible(client.mend(body)) if drop_tools else (client.mend(body), ())
        request = fitted(client.decode(expressed), model, upstream.api, stream=streams)
        tools = PlainTools(request, text_tools=upstream.api.text_tools and not plainly)
        data = upstream.api.encode(tools.request)
        dropped = tuple(
            name
            for name in body
            if name in _TELLING
            and _SAME_AS.get(name, name) not in _KNOWN[upstream.name]
            and not _asks_nothing(name, body[name])
        )
        dropped += lost
    return Plan(
        client=client,
        upstream=upstream,
        body=body,
        data=data,
        model=model.id if model is not None else body["model"],
        wants_stream=wants,
        streams=streams,
        initiator=who,
        vision=has_image(said),
        dropped=dropped,
        tools=tools,
        found=inspection.found if inspection is not None else {},
        suspect=inspection.suspect if inspection is not None else (),
        output_limit=_output_limit(body, client.limit, model),
    )


def _output_limit(body: Body, name: str, model: Model | None) -> int | None:
    """How many tokens the answer may have, by the client or by the model."""
    given = body.get(name) or body.get("max_completion_tokens")
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        return given
    return model.max_output_tokens if model is not None else None


def _expressible(body: Body) -> tuple[Body, tuple[str, ...]]:
    """The request without tools that only the provider of its dialect can run, and their kinds."""
    tools = body.get("tools")
    if not isinstance(tools, list):
        return body, ()
    kinds = [
        str(tool.get("type", "function")) if isinstance(tool, dict) and "input_schema" not in tool else "function"
        for tool in tools
    ]
    kept = [tool for tool, kind in zip(tools, kinds, strict=True) if kind in _EXPRESSIBLE]
    return {**body, "tools": kept}, tuple(f"tool {kind}" for kind in kinds if kind not in _EXPRESSIBLE)


_EXPRESSIBLE = ("function", "custom", "namespace")


def _asks_nothing(name: str, value: Any) -> bool:
    """As if it were not there."""
    return value is None or value is False or (name == "n" and value == 1)


def _passing(
    dialect: Dialect, raw: bytes, body: Body, model: Model | None, *, streams: bool
) -> tuple[bytes, tuple[str, ...]]:
    """The client's own bytes, unless something must change."""
    sent = dialect.mend(body)
    if MARK.encode() in raw:
        sent = dialect.clean(sent)
    dropped = tuple(name for name in body if name in dialect.unsupported)
    if dropped:
        sent = {name: value for name, value in sent.items() if name not in dialect.unsupported}
        dropped = tuple(name for name in dropped if not _asks_nothing(name, body[name]))
    changes: dict[str, Any] = {}
    if streams != bool(body.get("stream")):
        changes["stream"] = streams
    if model is not None:
        if model.id != body["model"]:
            changes["model"] = model.id
        limit = sent.get(dialect.limit)
        if isinstance(limit, int) and model.max_output_tokens and limit > model.max_output_tokens:
            changes[dialect.limit] = model.max_output_tokens
        if dialect is CHAT and "max_tokens" in sent and model.id.startswith(COMPLETION_LIMIT):
            limit = changes.pop("max_tokens", limit)
            sent = {name: value for name, value in sent.items() if name != "max_tokens"}
            changes["max_completion_tokens"] = limit
    if sent is body and not changes:
        return raw, dropped
    return msgspec.json.encode({**sent, **changes}), dropped
