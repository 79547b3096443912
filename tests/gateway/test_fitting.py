"""Requests as agents send them reach every model: what the model does not take is left out or written otherwise, and told. The simulator refuses
what the real API refuses, so an answer shows that nothing of it was sent.
"""

import json

import aiohttp
import pytest

from rightseat.chat.plain import plain_name
from rightseat.simulator.script import Rule, Script, ScriptedError, ScriptedTool
from rightseat.wire.copilot_models import model_entry

ASKED = [{"role": "user", "content": "Reply with exactly: pong"}]
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
NEW = model_entry(
    "claude-opus-4.7",
    endpoints=("/v1/messages",),
    max_output_tokens=64_000,
    supports={"adaptive_thinking": True, "reasoning_effort": ["medium"]},
)
PLAIN = model_entry("claude-haiku-4.5", endpoints=("/v1/messages",), supports={"max_thinking_budget": 8000})


def asking(served):
    async def run(path, body, status=200, **headers):
        async with aiohttp.ClientSession() as http, http.post(f"{served.url}{path}", json=body, headers=headers) as r:
            answer = await r.json()
            assert r.status == status, answer
            sent = json.loads(next(s.body for s in reversed(served.app.seen) if s.method == "POST"))
            return answer, sent, "; ".join(r.headers.getall("warning", []))

    return run


def said_text():
    return [{"type": "text", "text": ASKED[0]["content"]}]


@pytest.fixture
async def ask(gateway):
    """`answer, sent, warning = await ask(path, body)`: what came back, what reached upstream, and what was told of it."""
    return asking(await gateway(extra_models=(NEW, PLAIN)))


def messages(model="claude-sonnet-4.5", **more):
    return {"model": model, "max_tokens": 2000, "messages": ASKED, **more}


class TestRow1:
    """Claude Code sends what only Anthropic's own API takes."""

    @pytest.mark.parametrize(
        ("more", "told"),
        [
            ({"system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "scope": "global"}}]}, "cache_control.scope"),
            ({"tools": [{**TOOL, "eager_input_streaming": True}]}, "tools.eager_input_streaming"),
            ({"tools": [{**TOOL, "strict": True}]}, "tools.strict"),
            ({"tools": [{**TOOL, "defer_loading": True}]}, "tools.defer_loading"),
            ({"speed": "fast"}, "speed"),
            ({"mcp_servers": [{"type": "url", "url": "http://127.0.0.1/", "name": "x"}]}, "mcp_servers"),
            ({"container": "c1"}, "container"),
            ({"service_tier": "auto"}, "service_tier"),
            ({"messages": [{"role": "system", "content": "Be kind."}, *ASKED]}, "told as the user's"),
        ],
    )  # fmt: skip
    async def test_what_is_refused_is_left_out_and_told(self, ask, more, told):
        for model in ("claude-sonnet-4.5", "claude-opus-4.7"):
            answer, _, warning = await ask("/v1/messages", messages(model, **more))
            assert answer["content"][-1]["text"] == "pong"
            assert told in warning

    async def test_it_is_left_out_inside_of_messages_too(self, ask):
        mark = {"type": "ephemeral", "scope": "global", "ttl": "5m"}
        said = [
            *ASKED,
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {}, "caller": {"type": "direct"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "tool_reference", "tool_name": "look"}], "cache_control": mark}]},
        ]  # fmt: skip
        schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {}}
        tools = [{**TOOL, "input_schema": schema, "cache_control": mark}]
        _, sent, _ = await ask("/v1/messages", messages(messages=said, tools=tools))
        assert "caller" not in sent["messages"][1]["content"][0]
        result = sent["messages"][2]["content"][0]
        assert result["cache_control"] == {"type": "ephemeral", "ttl": "5m"}
        assert result["content"] == [{"type": "text", "text": "[tool: look]"}]
        assert sent["tools"][0]["input_schema"] == {"type": "object", "properties": {}}

    async def test_a_request_that_needs_nothing_passes_as_it_is(self, ask):
        body = messages(tools=[TOOL], system=[{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}])
        _, sent, warning = await ask("/v1/messages", body)
        assert sent == body | {"stream": sent["stream"]}
        assert warning == ""


class TestRow4:
    """Thinking, effort and begun answers, as far as the model has them (F3)."""

    @pytest.mark.parametrize(
        ("model", "more", "sent", "told"),
        [
            ("claude-opus-4.7", {"thinking": {"type": "enabled", "budget_tokens": 1500}}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}, "adaptive"),
            ("claude-opus-4.7", {"output_config": {"effort": "xhigh"}}, {"output_config": {"effort": "medium"}}, "effort: medium instead of xhigh"),
            ("claude-haiku-4.5", {"output_config": {"effort": "high"}}, {"output_config": None}, "output_config.effort"),
            ("claude-haiku-4.5", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, {"thinking": {"type": "enabled", "budget_tokens": 1999}, "output_config": None}, "a budget of 1999"),
            ("claude-haiku-4.5", {"thinking": {"type": "enabled", "budget_tokens": 9000}, "max_tokens": 10_000}, {"thinking": {"type": "enabled", "budget_tokens": 8000}}, "8000 tokens instead of 9000"),
            ("claude-haiku-4.5", {"thinking": {"type": "adaptive"}, "max_tokens": 500}, {"thinking": None}, "thinking"),
            ("claude-sonnet-4.5", {"temperature": 1.5}, {"temperature": 1}, "temperature"),
            ("claude-sonnet-4.5", {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": None}, "top_p"),
        ],
    )  # fmt: skip
    async def test_a_model_is_asked_for_what_it_has(self, ask, model, more, sent, told):
        _, reached, warning = await ask("/v1/messages", messages(model, **more))
        assert {name: reached.get(name) for name in sent} == sent
        assert told in warning

    @pytest.mark.parametrize(
        ("path", "model", "more", "sent"),
        [
            ("/v1/chat/completions", "gpt-4.1", {"reasoning_effort": "high"}, None),
            ("/v1/chat/completions", "gpt-5", {"reasoning_effort": "xhigh"}, "high"),
            ("/v1/chat/completions", "gpt-5", {"reasoning_effort": "minimal"}, "low"),
            ("/v1/responses", "gpt-5", {"reasoning": {"effort": "minimal"}}, "low"),
            ("/v1/responses", "gpt-4.1", {"reasoning": {"effort": "low"}}, None),
            ("/v1/messages", "gpt-5", {"output_config": {"effort": "max"}}, "high"),
            ("/v1/responses", "claude-opus-4.7", {"reasoning": {"effort": "xhigh"}}, "medium"),
        ],
    )
    async def test_an_effort_is_one_that_the_model_has(self, ask, path, model, more, sent):
        asked = {"input": "hi"} if path == "/v1/responses" else {"messages": ASKED, "max_tokens": 99}
        _, reached, warning = await ask(path, {"model": model, **asked, **more})
        effort = (reached.get("reasoning") or reached.get("output_config") or {}).get("effort")
        assert reached.get("reasoning_effort", effort) == sent
        assert "effort" in warning

    async def test_a_newer_model_is_asked_to_continue_what_was_begun_for_it(self, ask):
        begun = [*ASKED, {"role": "assistant", "content": "po"}]
        _, sent, warning = await ask("/v1/messages", messages("claude-opus-4.7", messages=begun))
        assert sent["messages"][-1]["role"] == "user"
        assert "continue" in warning
        _, sent, warning = await ask("/v1/messages", messages(messages=begun))
        assert (sent["messages"][-1]["role"], warning) == ("assistant", "")


class TestRow8:
    async def test_items_go_without_ids_that_hold_on_one_connection_only(self, ask):
        said = [
            {"type": "message", "id": "msg_" + "x" * 400, "role": "user", "content": "hi", "internal_chat_message_metadata_passthrough": {"turn_id": "1"}},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "id": "fco_1", "call_id": "c1", "output": "a lamp"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"},
        ]  # fmt: skip
        _, sent, _ = await ask("/v1/responses", {"model": "gpt-5", "input": said})
        assert [item.get("id") for item in sent["input"]] == [None, None, None, "rs_1"]
        assert "internal_chat_message_metadata_passthrough" not in json.dumps(sent)

    async def test_a_401_about_an_item_renews_no_token(self, gateway):
        message = "input item ID does not belong to this connection"
        served = await gateway(script=Script([Rule(times=1, error=ScriptedError(401, message))]))
        answer, _, _ = await asking(served)("/v1/responses", {"model": "gpt-5", "input": "hi"}, status=400)
        assert message in answer["error"]["message"]
        assert sum(seen.path.endswith("/v2/token") for seen in served.app.seen) == 1
        await asking(served)("/v1/responses", {"model": "gpt-5", "input": "hi"})


class TestF2:
    async def test_marks_of_parts_become_marks_of_messages(self, ask):
        part = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
        body = {"model": "claude-sonnet-4.5", "messages": [{"role": "system", "content": [part]}, *ASKED]}
        _, sent, _ = await ask("/v1/chat/completions", body)
        assert sent["messages"][0]["copilot_cache_control"] == {"type": "ephemeral"}
        assert "cache_control" not in sent["messages"][0]["content"][0]
        assert "copilot_cache_control" not in sent["messages"][1]

    async def test_where_a_client_sets_none_they_are_set(self, ask):
        said = [{"role": "system", "content": "Be brief."}, *ASKED, {"role": "assistant", "content": "pong"}, *ASKED]
        _, sent, warning = await ask("/v1/chat/completions", {"model": "claude-sonnet-4.5", "messages": said})
        assert ["copilot_cache_control" in message for message in sent["messages"]] == [True, True, False, True]
        assert warning == ""
        _, sent, _ = await ask("/v1/chat/completions", {"model": "gpt-4.1", "messages": said})
        assert "cache_control" not in json.dumps(sent)

    async def test_other_dialects_have_them_set(self, ask):
        body = {"model": "claude-opus-4.7", "instructions": "Be brief.", "input": "Reply with exactly: pong", "tools": [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}]}  # fmt: skip
        _, sent, _ = await ask("/v1/responses", body)
        assert sent["tools"][-1]["cache_control"] == {"type": "ephemeral"}
        assert sent["system"][-1]["cache_control"] == {"type": "ephemeral"}
        assert sent["messages"][-1]["content"][-1]["cache_control"] == {"type": "ephemeral"}


class TestF7:
    @pytest.mark.parametrize("where", ["output_format", "output_config"])
    async def test_a_format_is_asked_for_in_words(self, ask, where):
        form = {"type": "json_schema", "schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
        more = {"output_format": form} if where == "output_format" else {"output_config": {"format": form}}
        for model in ("claude-sonnet-4.5", "claude-opus-4.7"):
            _, sent, warning = await ask("/v1/messages", messages(model, system="Be brief.", **more))
            assert where not in sent
            assert sent["system"][0]["text"] == "Be brief."
            assert '"city"' in sent["system"][1]["text"]
            assert "output_format" in warning

    async def test_no_tools_are_left_out(self, ask):
        _, sent, _ = await ask("/v1/messages", messages(tools=[], tool_choice={"type": "auto"}))
        assert "tools" not in sent
        _, sent, _ = await ask("/v1/responses", {"model": "gpt-5", "input": "hi", "tools": []})
        assert "tools" not in sent
        _, sent, _ = await ask("/v1/chat/completions", {"model": "gpt-4.1", "messages": ASKED, "tools": []})
        assert "tools" not in sent


class TestUnknownFields:
    """What is in no table yet, and is refused by name, is left out once and from then on at once."""

    @pytest.mark.parametrize(
        ("path", "more", "message"),
        [
            (["brand_new"], {"brand_new": {"a": 1}}, "brand_new: Extra inputs are not permitted"),
            (["tools", "sparkle"], {"tools": [{**TOOL, "sparkle": True}]}, "tools.0.custom.sparkle: Extra inputs are not permitted"),
            (["metadata"], {"metadata": {"user_id": "u"}}, "Unknown parameter: 'metadata'."),
        ],
    )  # fmt: skip
    async def test_a_field_that_is_refused_by_name_is_left_out(self, gateway, path, more, message):
        served = await gateway(script=Script([Rule(times=1, error=ScriptedError(400, message))]))
        for _ in range(2):
            answer, _, warning = await asking(served)("/v1/messages", messages(**more))
            assert answer["content"][-1]["text"] == "pong"
            assert path[-1] in warning
        had = [path[-1].encode() in seen.body for seen in served.app.seen if seen.method == "POST"]
        assert had == [True, False, False]  # the second time it was known

    async def test_what_a_request_cannot_do_without_is_no_matter_of_a_second_try(self, gateway):
        refused = ScriptedError(400, "messages: Extra inputs are not permitted")
        served = await gateway(script=Script([Rule(times=1, error=refused)]))
        await asking(served)("/v1/messages", messages(), status=400)
        assert sum(seen.method == "POST" for seen in served.app.seen) == 1


GOES_ON = [{"role": "assistant", "content": "ok"}, *ASKED]
ODD = "files.read/" + "x" * 80


class TestF6:
    """A conversation may go on with any model, whatever it began with."""

    @pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5", "claude-sonnet-4.5", "claude-opus-4.7"])
    @pytest.mark.parametrize("dialect", ["messages", "chat"])
    async def test_odd_names_and_ids_are_rewritten_and_given_back(self, gateway, model, dialect):
        calls = Script([Rule(times=1, tool=ScriptedTool(plain_name(ODD), {"path": "a"}))])
        served = await gateway(extra_models=(NEW,), script=calls)
        schema = {"type": "object", "properties": {"path": {"type": "string"}}}
        odd_id = "call:1.2/" + "y" * 90
        if dialect == "messages":
            use = {"type": "tool_use", "id": odd_id, "name": ODD, "input": {}}
            result = {"type": "tool_result", "tool_use_id": odd_id, "content": "ok"}
            said = [*ASKED, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}, *GOES_ON]
            body = messages(model, messages=said, tools=[{"name": ODD, "input_schema": schema}])
            answer, _, _ = await asking(served)("/v1/messages", body)
            assert [block["name"] for block in answer["content"] if block["type"] == "tool_use"] == [ODD]
        else:
            call = {"id": odd_id, "type": "function", "function": {"name": ODD, "arguments": "{}"}}
            said = [
                *ASKED,
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": odd_id, "content": "ok"},
                *GOES_ON,
            ]
            tools = [{"type": "function", "function": {"name": ODD, "parameters": schema}}]
            answer, _, _ = await asking(served)(
                "/v1/chat/completions", {"model": model, "messages": said, "tools": tools}
            )
            assert answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == ODD

    @pytest.mark.parametrize("model", ["claude-sonnet-4.5", "gpt-4.1", "gpt-5"])
    async def test_a_history_with_calls_needs_no_tools_any_more(self, ask, model):
        use = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
        result = {"type": "tool_result", "tool_use_id": "t1", "content": "ok"}
        said = [*ASKED, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result, *said_text()]}]
        answer, _, _ = await ask("/v1/messages", messages(model, messages=said))
        assert answer["content"][-1]["text"] == "pong"

    @pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5"])
    async def test_what_a_provider_did_by_itself_is_told_as_text(self, ask, model):
        found = {
            "type": "web_search_result",
            "url": "https://example.com/a",
            "title": "A page",
            "encrypted_content": "x",
        }
        searched = [
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "a"}},
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [found]},
            {"type": "text", "text": "I found it."},
        ]
        document = {
            "type": "document",
            "title": "Notes",
            "source": {"type": "text", "media_type": "text/plain", "data": "read me"},
        }
        said = [
            {"role": "user", "content": [document, *said_text()]},
            {"role": "assistant", "content": searched},
            *ASKED,
        ]
        _, sent, _ = await ask("/v1/messages", messages(model, messages=said))
        for words in ("https://example.com/a", "Notes", "read me"):
            assert words in json.dumps(sent)
