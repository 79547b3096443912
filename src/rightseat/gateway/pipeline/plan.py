"""What is asked of upstream for a request: a pure decision, made before anything is sent.

    Relay      the client's dialect is upstream's: bytes pass, both ways
    Converse   everything else: the request is read, asked of a Handler, and its events are written in the client's dialect

Who began the turn, whether there is an image, what the answer may cost and what had to be left out are decided here, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import msgspec
from msgspec import Struct

from rightseat.backends.fitting import dialect_for, intent
from rightseat.backends.registry import Model
from rightseat.chat import ChatRequest
from rightseat.chat.plain import PlainTools, is_plain_name
from rightseat.gateway.pipeline.intake import Taken
from rightseat.wire.abilities import Abilities, Relayed
from rightseat.wire.dialect import Body, Dialect
from rightseat.wire.facts import expressible
from rightseat.wire.initiator import Began

_NONE: Mapping[str, str] = MappingProxyType({})
_MOST_DROPPED = 32  # that are named: they become a header


class Relay(Struct, frozen=True):
    """Bytes pass.

    Attributes:
        data: the body that is sent.
    """

    data: bytes


class Converse(Struct, frozen=True):
    """The request is read, and its answer written anew.

    Attributes:
        request: with tools that every dialect has, where that was wanted.
        tools: calls of those tools, back to the client's own.
    """

    request: ChatRequest
    tools: PlainTools | None = None


How: TypeAlias = Relay | Converse


class Options(Struct, frozen=True):
    """Settings of the plan.

    Attributes:
        plain_tools: tools that take text become functions, also for models that have them.
        drop_tools: tools that cannot be expressed are left out instead of refused.
        read_answers: answers are read event by event, also where they could pass.
    """

    plain_tools: bool = False
    drop_tools: bool = False
    read_answers: bool = False


class Plan(Struct, frozen=True):
    """What is asked.

    Attributes:
        how: whether bytes pass.
        client: the client's dialect.
        upstream: the dialect that upstream is asked in.
        body: the client's body.
        model: the model's id.
        wants_stream: the client wants a stream.
        streams: upstream is asked for one.
        began: who began the turn, and how that is known.
        vision: there is an image.
        dropped: names of parameters and tools that were left out.
        changed: what was changed so that the model takes it, in words.
        output_limit: tokens of the answer at most, where that is known.
        is_agents: it is an agent's own, whatever is in it, such as a compaction.
    """

    how: How
    client: Dialect
    upstream: Dialect
    body: Body
    model: str
    wants_stream: bool
    streams: bool
    began: Began
    vision: bool
    dropped: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    output_limit: int | None = None
    is_agents: bool = False

    @property
    def name(self) -> str:
        """The name of the model that the client used."""
        return str(self.body["model"])

    @property
    def reserved_output(self) -> int | None:
        """How many tokens the answer may really have: an API raises limits that are too small for it. None: unknown."""
        return None if self.output_limit is None else max(self.output_limit, self.upstream.least_output)

    @property
    def intent(self) -> str:
        """What the request is for; see `fitting.intent`."""
        thinking = self.body.get("thinking") or self.body.get("thinking_budget")
        return intent(self.body.get("tools"), self.is_agents or thinking)


def plan(client: Dialect, taken: Taken, options: Options, headers: Mapping[str, str] = _NONE) -> Plan:
    """The plan for a request.

    Args:
        client: the dialect that the request is in.
        taken: the request.
        options: see Options.
        headers: the client's, by lower-case name.

    Raises:
        BadRequestError: naming the field that is wrong or cannot be expressed.
    """
    body, model = taken.body, taken.model
    client.check(body)
    upstream = dialect_for(model, client)
    wants = bool(body.get("stream"))
    streams = wants or (model is not None and model.streaming is True)
    plain = _has_odd_names(body) or (options.plain_tools and client.has_text_tools and b'"custom"' in taken.raw)
    how: How
    dropped: tuple[str, ...]
    changed: tuple[str, ...]
    if client is upstream and not plain and not options.read_answers:
        passed = _relayed(client, taken, stream=streams)
        how, dropped, changed = Relay(passed.data), passed.dropped, passed.changed
    else:
        how, dropped, changed = _converse(client, upstream, taken, options, stream=wants, plain=plain)
    return Plan(
        how=how,
        client=client,
        upstream=upstream,
        body=body,
        model=taken.name,
        wants_stream=wants,
        streams=streams,
        began=client.began(body, headers),
        vision=_may_hold_image(taken.raw) and client.has_image(body),
        dropped=tuple(dict.fromkeys(dropped))[:_MOST_DROPPED],
        changed=changed[:_MOST_DROPPED],
        output_limit=_output_limit(client, body, model),
    )


def _has_odd_names(body: Body) -> bool:
    """Whether a tool has a name that models refuse: it is asked by another one, which the answer gets back."""
    tools = body.get("tools")
    if not isinstance(tools, list):
        return False
    for tool in tools:
        inner = tool.get("function") if isinstance(tool, dict) else None
        name = inner.get("name") if isinstance(inner, dict) else tool.get("name") if isinstance(tool, dict) else None
        if isinstance(name, str) and not is_plain_name(name):
            return True
    return False


def _may_hold_image(raw: bytes) -> bool:
    """Whether the word is in it, which is found much sooner than a part of that kind. Names may be written with escapes."""
    return b"image" in raw or b"\\u" in raw


def _relayed(client: Dialect, taken: Taken, *, stream: bool) -> Relayed:
    model = taken.model
    most = model.max_output_tokens if model is not None else None
    return client.relayed(taken.raw, taken.body, _abilities(taken), max_output=most, stream=stream)


def _abilities(taken: Taken) -> Abilities:
    told = taken.model.abilities if taken.model is not None else None
    return told if told is not None and told.model else Abilities(taken.name)


def _converse(
    client: Dialect, upstream: Dialect, taken: Taken, options: Options, *, stream: bool, plain: bool
) -> tuple[How, tuple[str, ...], tuple[str, ...]]:
    body = client.sanitize(taken.body)
    lost: tuple[str, ...] = ()
    if options.drop_tools:
        body, lost = expressible(body)
    request = msgspec.structs.replace(client.decode(body), model=taken.name, stream=stream)
    tools = PlainTools(request, text_tools=False) if plain else None
    how = Converse(tools.request if tools is not None else request, tools)
    effort = request.extra.get("reasoning_effort")
    now = _abilities(taken).effort(effort) if isinstance(effort, str) else effort
    if now is None and effort is not None:
        lost = (*lost, "reasoning effort")
    changed = (f"effort: {now} instead of {effort}",) if now is not None and now != effort else ()
    return how, (*client.lost(taken.body, upstream), *lost), changed


def _output_limit(client: Dialect, body: Body, model: Model | None) -> int | None:
    """How many tokens the answer may have: by the fields that upstream honours, else by the model."""
    most = model.max_output_tokens if model is not None else None
    given = client.output_limit(body)
    if given is None:
        return most
    return given if most is None else min(given, most)
