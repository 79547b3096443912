"""What is asked of upstream for a request: a pure decision, made before anything is sent.

Which dialect, whether it is streamed, what the body is, who began the turn, whether there is an image, and what had to be left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from rightseat.backends.fitting import dialect_for, fitted
from rightseat.backends.registry import Model
from rightseat.chat.plain import PlainTools
from rightseat.gateway.pipeline.content import Inspection
from rightseat.wire.dialect import Body, Dialect
from rightseat.wire.facts import expressible


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
    upstream = dialect_for(model, client)
    wants = bool(body.get("stream"))
    streams = wants or (model is not None and model.streaming is True)
    tools: PlainTools | None = None
    plainly = plain and client is upstream and client.has_text_tools and b'"custom"' in raw
    if client is upstream and not plainly and not decoded:
        data, dropped = client.relayed(
            raw,
            body,
            model=model.id if model is not None else body["model"],
            max_output=model.max_output_tokens if model is not None else None,
            stream=streams,
        )
    else:
        clean = client.sanitize(body)
        expressed, lost = expressible(clean) if drop_tools else (clean, ())
        request = fitted(client.decode(expressed), model, upstream, stream=streams)
        tools = PlainTools(request, text_tools=upstream.has_text_tools and not plainly)
        data = upstream.encode(tools.request)
        dropped = (*client.lost(body, upstream), *lost)
    return Plan(
        client=client,
        upstream=upstream,
        body=body,
        data=data,
        model=model.id if model is not None else body["model"],
        wants_stream=wants,
        streams=streams,
        initiator=client.initiator(body, initiator),
        vision=client.has_image(body),
        dropped=dropped,
        tools=tools,
        found=inspection.found if inspection is not None else {},
        suspect=inspection.suspect if inspection is not None else (),
        output_limit=client.output_limit(body) or (model.max_output_tokens if model is not None else None),
    )
