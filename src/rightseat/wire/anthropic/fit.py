"""A request of Anthropic's that passes, as Copilot's models take it: what clients send and Copilot refuses is left out or written otherwise.

What is known to be refused, with its sources, is in `docs/decisions/0019-fitting.md`. Whatever is done is told.
"""

from __future__ import annotations

from rightseat.chat.structured import in_words
from rightseat.json_types import Json, JsonObject
from rightseat.wire.abilities import Abilities, FittedBody, budget_for, effort_for
from rightseat.wire.body import differs
from rightseat.wire.facts import listed

# Members of tools and blocks that clients of Anthropic's own API send.
_OF_TOOLS = ("eager_input_streaming", "strict")
_MARKS = (b'"scope"', b'"caller"', b'"tool_reference"', b'"system"')
_SEARCHES_TOOLS = b"tool_search_tool_"
_GO_ON = {"role": "user", "content": [{"type": "text", "text": "Please continue."}]}
_LAST_WITH_PREFILL = (4, 5)  # of Claude's versions
_LEAST_BUDGET = 1024


def fit(body: JsonObject, raw: bytes, abilities: Abilities) -> FittedBody:
    """The body as the model takes it.

    Args:
        body: checked and sanitized.
        raw: its bytes, as the client sent them: what does not stand in them is not looked for.
        abilities: of the model.
    """
    work = _MessagesFitting(body, raw, abilities)
    for step in (work.tools, work.said, work.thinking, work.sampling, work.format, work.prefill):
        step()
    return FittedBody(work.body, tuple(dict.fromkeys(work.dropped)), tuple(work.changed))


class _MessagesFitting:
    def __init__(self, body: JsonObject, raw: bytes, abilities: Abilities) -> None:
        self.body = body
        self.dropped: list[str] = []
        self.changed: list[str] = []
        self._raw, self._abilities = raw, abilities
        self._searches = _SEARCHES_TOOLS in raw

    def tools(self) -> None:
        """Tools without what is refused of them; none where there is none."""
        tools = self.body.get("tools")
        if not tools:
            self._without("tools", "tool_choice")
            self._called_before()
            return
        if not isinstance(tools, list):
            return
        kept = [self._tool(tool) for tool in tools]
        if differs(kept, tools):
            self._set(tools=kept)

    def said(self) -> None:
        """Messages and the system prompt without members that are refused."""
        if not any(mark in self._raw for mark in _MARKS):
            return
        for name in ("messages", "system"):
            value = self.body.get(name)
            if isinstance(value, list):
                kept = [self._message(item) if name == "messages" else self._block(item) for item in value]
                if differs(kept, value):
                    self._set(**{name: kept})

    def thinking(self) -> None:
        """Thinking and effort in the way that the model has."""
        thinking, config = self.body.get("thinking"), self.body.get("output_config")
        kind = thinking.get("type") if isinstance(thinking, dict) else None
        effort = config.get("effort") if isinstance(config, dict) else None
        if isinstance(thinking, dict) and kind == "enabled" and self._abilities.adaptive_thinking:
            self._set(thinking={**{k: v for k, v in thinking.items() if k != "budget_tokens"}, "type": "adaptive"})
            self.changed.append("thinking: adaptive, because the model takes no budget")
            effort = effort or effort_for(thinking.get("budget_tokens"))
        elif kind == "adaptive" and self._abilities.adaptive_thinking is False:
            self._budget(effort)
        elif isinstance(thinking, dict) and kind == "enabled":
            self._bounded(thinking)
        if isinstance(effort, str):
            self._effort(effort)

    def sampling(self) -> None:
        """One of temperature and top_p, within what Claude takes."""
        temperature = self.body.get("temperature")
        if isinstance(temperature, (int, float)) and temperature > 1:
            self._set(temperature=1)
            self.changed.append(f"temperature: 1 instead of {temperature}")
        if temperature is not None and self.body.get("top_p") is not None:
            self._without("top_p")
            self.dropped.append("top_p")

    def format(self) -> None:
        """A format of the answer in words: Copilot has no field for it."""
        config = self.body.get("output_config")
        inner = config.get("format") if isinstance(config, dict) else None
        form = inner if inner is not None else self.body.get("output_format")
        if isinstance(config, dict) and inner is not None:
            rest = {name: value for name, value in config.items() if name != "format"}
            self._set(output_config=rest) if rest else self._without("output_config")
        self._without("output_format")
        if isinstance(form, dict) and form.get("type") == "json_schema":
            words = in_words({"type": "json_schema", "json_schema": {"schema": form.get("schema")}})
            self._set(system=[*_blocks(self.body.get("system")), {"type": "text", "text": words}])
            self.changed.append("output_format: asked for in words")

    def prefill(self) -> None:
        """Newer models do not continue an answer that was begun for them."""
        version, messages = self._abilities.claude, self.body.get("messages")
        if version is None or version <= _LAST_WITH_PREFILL or not isinstance(messages, list) or not messages:
            return
        last = messages[-1]
        if isinstance(last, dict) and last.get("role") == "assistant" and not _calls(last):
            self._set(messages=[*messages, _GO_ON])
            self.changed.append("messages: the user asks to continue, because the model takes no begun answer")

    def _called_before(self) -> None:
        """A history with calls is refused without their tools."""
        if b'"tool_use"' not in self._raw:
            return
        names = dict.fromkeys(
            str(block.get("name"))
            for message in listed(self.body.get("messages"))
            for block in (listed(message.get("content")) if isinstance(message, dict) else ())
            if isinstance(block, dict) and block.get("type") == "tool_use"
        )
        if names:
            schema = {"type": "object", "properties": {}}
            self._set(tools=[{"name": name, "description": name, "input_schema": schema} for name in names])
            self.changed.append("tools: those that were called before, because a history with calls is refused without")

    def _tool(self, tool: Json) -> Json:
        if not isinstance(tool, dict):
            return tool
        names = [name for name in _OF_TOOLS if name in tool]
        if "defer_loading" in tool and not self._searches:
            names.append("defer_loading")
        self.dropped += [f"tools.{name}" for name in names]
        kept = {name: value for name, value in tool.items() if name not in names} if names else tool
        schema = kept.get("input_schema")
        if isinstance(schema, dict) and "$schema" in schema:
            kept = {**kept, "input_schema": {name: value for name, value in schema.items() if name != "$schema"}}
        return self._unscoped(kept)

    def _message(self, message: Json) -> Json:
        if not isinstance(message, dict):
            return message
        kept = message
        if isinstance(content := message.get("content"), list):
            blocks = [self._block(block) for block in content]
            kept = {**message, "content": blocks} if differs(blocks, content) else message
        if message.get("role") == "system":
            kept = {**kept, "role": "user", "content": _reminders(kept.get("content"))}
            self.changed.append("messages: the system's words in between are told as the user's")
        return kept

    def _block(self, block: Json) -> Json:
        if not isinstance(block, dict):
            return block
        kept = self._unscoped(block)
        if kept.get("type") == "tool_use" and "caller" in kept:
            kept = {name: value for name, value in kept.items() if name != "caller"}
            self.dropped.append("tool_use.caller")
        elif kept.get("type") == "tool_reference" and not self._searches:
            self.changed.append("tool_reference: told as text")
            return {"type": "text", "text": f"[tool: {kept.get('tool_name')}]"}
        elif kept.get("type") == "tool_result" and isinstance(inner := kept.get("content"), list):
            blocks = [self._block(one) for one in inner]
            kept = {**kept, "content": blocks} if differs(blocks, inner) else kept
        return kept

    def _unscoped(self, holder: JsonObject) -> JsonObject:
        mark = holder.get("cache_control")
        if not isinstance(mark, dict) or "scope" not in mark:
            return holder
        self.dropped.append("cache_control.scope")
        return {**holder, "cache_control": {name: value for name, value in mark.items() if name != "scope"}}

    def _budget(self, effort: Json) -> None:
        """A budget in place of adaptive thinking, or no thinking where the model has no budget."""
        most = min(self._abilities.most_thinking, self._limit() - 1)
        least = max(self._abilities.least_thinking, _LEAST_BUDGET)
        if most < least:
            self._without("thinking")
            self.dropped.append("thinking")
            return
        budget = max(least, min(most, budget_for(effort)))
        self._set(thinking={"type": "enabled", "budget_tokens": budget})
        self.changed.append(f"thinking: a budget of {budget} tokens, because the model does not decide itself")

    def _bounded(self, thinking: JsonObject) -> None:
        """A budget within the bounds of the model and of the answer."""
        asked, most = thinking.get("budget_tokens"), self._abilities.most_thinking
        if isinstance(asked, int) and most and asked > most:
            self._set(thinking={**thinking, "budget_tokens": most})
            self.changed.append(f"thinking: a budget of {most} tokens instead of {asked}")

    def _limit(self) -> int:
        limit = self.body.get("max_tokens")
        return limit if isinstance(limit, int) else 0

    def _effort(self, asked: str) -> None:
        config = self.body.get("output_config")
        config = config if isinstance(config, dict) else {}
        now = self._abilities.effort(asked)
        if now == config.get("effort"):
            return
        if now is not None:
            self._set(output_config={**config, "effort": now})
            if "effort" in config:
                self.changed.append(f"effort: {now} instead of {asked}")
            return
        if "effort" in config:
            self.dropped.append("output_config.effort")
        rest = {name: value for name, value in config.items() if name != "effort"}
        self._set(output_config=rest) if rest else self._without("output_config")

    def _set(self, **members: Json) -> None:
        self.body = {**self.body, **members}

    def _without(self, *names: str) -> None:
        if any(name in self.body for name in names):
            self.body = {name: value for name, value in self.body.items() if name not in names}


def _blocks(system: Json) -> list[Json]:
    if isinstance(system, list):
        return system
    return [{"type": "text", "text": system}] if isinstance(system, str) and system else []


def _reminders(content: Json) -> list[Json]:
    """Words of the system as the user's, in the form that agents use for them."""
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return [
        {**block, "text": f"<system-reminder>\n{block.get('text')}\n</system-reminder>"}
        if isinstance(block, dict) and block.get("type") == "text"
        else block
        for block in blocks
    ]


def _calls(message: JsonObject) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(isinstance(b, dict) and b.get("type") == "tool_use" for b in content)
