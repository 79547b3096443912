"""Codex, by the exact bytes it sends: rows 6, 7, 11, 12 and 13 of the table of agents, and fault F1.

Shapes: openai/codex 0.169 (codex-api/src/endpoint/compact.rs, compact_remote_v2.rs, codex-api/src/search.rs, protocol/src/openai_models.rs).
"""

import json

import aiohttp
import pytest

from rightseat.chat import Finish, Reply, ToolCall, ToolCallEvent, Usage
from rightseat.wire.relay import events_in

NATIVE, TWO_ITEMS, CHAT, CLAUDE = MODELS = ["gpt-5", "gpt-5-mini", "gpt-4.1", "claude-sonnet-4.5"]
SAID = [
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "The code word is slate."}]},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Noted."}]},
]
TRIGGER = {"type": "compaction_trigger"}


async def post(served, path, body, **headers):
    async with aiohttp.ClientSession() as http, http.post(served.url + path, json=body, headers=headers) as response:
        return response.status, response.headers, await response.read()


def sent(served):
    """The last request to the model."""
    seen = next(s for s in reversed(served.app.seen) if s.method == "POST" and "/copilot_internal" not in s.path)
    return seen.headers, json.loads(seen.body)


def items_of(data):
    return [event["item"] for event in events_in(data) if event["type"] == "response.output_item.done"]


async def test_compact_gives_the_items_that_take_the_place_of_the_history_on_every_model(gateway):
    served = await gateway()
    for model in MODELS:
        asked = {"model": model, "input": SAID, "instructions": "Be brief.", "tools": [], "prompt_cache_key": "k"}
        status, _, data = await post(served, "/v1/responses/compact", asked)
        done = json.loads(data)
        assert (status, done["object"]) == (200, "response.compaction"), data
        kept, *blobs = done["output"]
        assert kept["content"] == SAID[0]["content"]
        assert [item["type"] for item in blobs] == ["compaction"] * (2 if model == TWO_ITEMS else 1)
        assert done["usage"]["total_tokens"] > 0
        headers, _ = sent(served)
        assert (headers["x-initiator"], headers["x-interaction-type"], headers["openai-intent"]) == ("agent", "conversation-compaction", "conversation-agent")  # fmt: skip
        for other in MODELS:  # and the conversation goes on with it, on this model and on any other
            more = {"model": other, "input": [*done["output"], {"role": "user", "content": "Reply with exactly: on"}]}
            if model != other and {model, other} <= {NATIVE, TWO_ITEMS}:
                continue
            status, _, data = await post(served, "/v1/responses", more)
            assert status == 200, data
            whole = json.dumps(sent(served)[1])
            assert ("rightseat-summary" in whole) is False
            if model in (CHAT, CLAUDE):
                assert "This is its summary" in whole
            elif other in (CHAT, CLAUDE):
                assert "compacted by another model" in whole
    status, _, data = await post(served, "/v1/responses/compact", {"input": SAID})
    assert (status, json.loads(data)["error"]["param"]) == (400, "model")


async def test_a_trigger_gives_exactly_one_item_on_every_model(gateway):
    served = await gateway()
    for model in MODELS:
        tools = [{"type": "function", "name": "shell", "parameters": {"type": "object"}}, {"type": "web_search"}]
        asked = {"model": model, "input": [*SAID, TRIGGER], "stream": True, "store": False, "tools": tools}
        status, head, data = await post(served, "/v1/responses", asked)
        assert (status, head["content-type"]) == (200, "text/event-stream"), data
        (item,) = items_of(data)
        assert item["type"] == "compaction"
        assert item["id"].startswith("cmp_")
        assert item["encrypted_content"]
        last = events_in(data)[-1]
        assert (last["type"], last["response"]["usage"]["total_tokens"] > 0) == ("response.completed", True)
        body = sent(served)[1]
        assert (
            (body["input"][-1] == TRIGGER)
            if model in (NATIVE, TWO_ITEMS)
            else body["tool_choice"] in ("none", {"type": "none"})
        )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([TRIGGER], "nothing to compact"),
        ([TRIGGER, *SAID], "must be the last"),
        ([*SAID, TRIGGER, TRIGGER], "the only one"),
    ],
)
async def test_a_trigger_out_of_place_is_refused_in_words(gateway, given, says):
    served = await gateway()
    status, _, data = await post(served, "/v1/responses", {"model": CHAT, "input": given})
    assert status == 400
    assert says in json.loads(data)["error"]["message"]


GROUP = {
    "type": "namespace",
    "name": "collaboration",
    "description": "",
    "tools": [{"type": "function", "name": "spawn_agent", "description": "", "parameters": {"type": "object", "properties": {"message": {"type": "string", "encrypted": True}}}}],
}  # fmt: skip


async def test_tools_for_several_agents_have_another_name_upstream_and_plain_arguments(gateway):
    async def model(request):
        async def run():
            (tool,) = request.tools
            yield ToolCallEvent(
                ToolCall("c1", tool.name, '{"message": "copilot_collaboration"}', namespace=tool.namespace)
            )
            yield Usage(1, 1)
            yield Finish("tool_calls")

        return Reply(run())

    served = await gateway(model=model)
    call = {
        "type": "function_call",
        "call_id": "c0",
        "name": "spawn_agent",
        "namespace": "collaboration",
        "arguments": "{}",
    }
    history = [{"role": "user", "content": "go"}, call, {"type": "function_call_output", "call_id": "c0", "output": [{"type": "encrypted_content", "encrypted_content": "x"}]}]  # fmt: skip
    for name in (NATIVE, CLAUDE):
        asked = {"model": name, "input": history, "tools": [GROUP]}
        for stream in (True, False):
            status, _, data = await post(served, "/v1/responses", {**asked, "stream": stream})
            assert status == 200, data
            (item,) = items_of(data) if stream else json.loads(data)["output"]
            assert (item["namespace"], item["name"], item["encrypted_function_args"]) == (
                "collaboration",
                "spawn_agent",
                [],
            )
            assert item["arguments"] == '{"message": "copilot_collaboration"}'
        text = json.dumps(sent(served)[1]["tools"])
        assert "copilot_collaboration" in text or name is CLAUDE
        assert '"encrypted"' not in text
        assert '"description": ""' not in text or name is CLAUDE


async def test_what_copilot_refuses_is_mended(gateway):
    served = await gateway()
    mark = {"internal_chat_message_metadata_passthrough": {"turn_id": "t"}}
    asked = {
        "model": NATIVE,
        "tools": [
            {"type": "image_generation"},
            {"type": "namespace", "name": "image_gen", "description": "x", "tools": []},
            {"type": "custom", "name": "exec", "description": ""},
        ],
        "tool_choice": {"type": "image_generation"},
        "input": [
            {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "f", "description": "", "parameters": {"type": "object"}}]},
            {"type": "message", "role": "user", "content": "Reply with exactly: ok", **mark},
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "other"}},
            {"type": "web_search_call", "id": "ws_2", "status": "completed", "action": {"type": "search", "query": "q"}},
            {"type": "image_generation_call", "id": "ig_1", "result": "x"},
            {"type": "context_compaction"},
            {"type": "configuration_update"},
        ],
    }  # fmt: skip
    status, head, data = await post(served, "/v1/responses", asked)
    assert (status, json.loads(data)["output"][0]["content"][0]["text"]) == (200, "ok"), data
    assert head["warning"] == '299 rightseat "not supported and left out: tool image_generation, tool image_gen"'
    body = sent(served)[1]
    assert [item["type"] for item in body["input"]] == ["additional_tools", "message", "web_search_call"]
    assert (body["tool_choice"], body["tools"][0]["description"]) == ("auto", "exec")
    for model in (CHAT, CLAUDE):  # and models that have no place for such items answer, too
        more = [
            {"type": "local_shell_call", "call_id": "c1", "status": "completed", "action": {"type": "exec", "command": ["ls"]}},
            {"type": "local_shell_call_output", "call_id": "c1", "output": "a.txt"},
            {"type": "agent_message", "author": "root", "recipient": "all", "content": [{"type": "input_text", "text": "hello there"}]},
            {"type": "tool_search_call", "call_id": "t1", "arguments": "{}", "execution": "client"},
            {"type": "tool_search_output", "call_id": "t1", "execution": "client", "tools": [{"type": "function", "name": "found"}]},
            {"type": "message", "role": "user", "content": "Reply with exactly: ok"},
        ]  # fmt: skip
        status, head, data = await post(
            served, "/v1/responses", {**asked, "model": model, "input": [*asked["input"], *more]}
        )
        assert (status, json.loads(data)["output"][0]["content"][0]["text"]) == (200, "ok"), data
        text = json.dumps(sent(served)[1])
        assert "hello there" in text
        assert "found" in text


async def test_the_tools_that_codex_always_offers_are_left_out_with_a_warning(gateway):
    served = await gateway()
    for model in (CHAT, CLAUDE):
        asked = {"model": model, "input": "Reply with exactly: ok", "tools": [{"type": "function", "name": "shell"}, {"type": "web_search"}, {"type": "tool_search"}], "tool_choice": "auto"}  # fmt: skip
        status, head, data = await post(served, "/v1/responses", asked)
        assert status == 200, data
        assert "tool web_search, tool tool_search" in head["warning"]


async def test_the_catalogue_of_models(gateway):
    served = await gateway()
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{served.url}/v1/models", params={"client_version": "0.169.0"}) as response:
            models = (await response.json())["models"]
        async with http.get(f"{served.url}/models", headers={"user-agent": "codex_exec/0.169.0"}) as response:
            assert (await response.json())["models"] == models
    assert [m["slug"] for m in models][:2] == ["gpt-5", "gpt-4"]
    assert "text-embedding-3-small" not in [m["slug"] for m in models]
    for model in models:
        assert {"display_name", "supported_reasoning_levels", "shell_type", "visibility", "priority", "base_instructions", "truncation_policy"} <= set(model)  # fmt: skip
        assert model["context_window"] > 0
        assert model["apply_patch_tool_type"] == "freeform"


SEARCH = {"id": "s", "model": CLAUDE, "commands": {"search_query": [{"q": "rust"}]}, "settings": {"search_context_size": "low", "filters": {"allowed_domains": ["a.org"], "blocked_domains": []}}}  # fmt: skip


@pytest.mark.parametrize("model", ["", CHAT])
async def test_a_search_is_refused_clearly_where_no_model_can_do_it(gateway, model):
    served = await gateway(settings={"search_model": model})
    status, head, data = await post(served, "/v1/alpha/search", SEARCH)
    assert (status, head["x-should-retry"]) == (403, "false")
    assert "search_model" in json.loads(data)["error"]["message"]


async def test_a_search_is_answered_by_the_model_that_is_set(gateway):
    served = await gateway(settings={"search_model": NATIVE})
    status, _, data = await post(served, "/alpha/search", SEARCH)
    assert status == 200, data
    assert json.loads(data)["output"]
    body = sent(served)[1]
    assert (body["model"], body["tools"]) == (NATIVE, [{"type": "web_search", "search_context_size": "low", "filters": {"allowed_domains": ["a.org"]}}])  # fmt: skip
    assert "rust" in body["input"]
    status, _, data = await post(served, "/v1/alpha/search", {**SEARCH, "commands": {}})
    assert (status, json.loads(data)["error"]["param"]) == (400, "commands")
