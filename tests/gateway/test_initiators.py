"""Who began a turn (row 5 of what breaks agents): a person's turn costs more, and no person's turn is taken for an agent's."""

import aiohttp
import pytest

ASKED = "Reply with exactly: pong"
ORDER = (
    "CRITICAL: respond with TEXT ONLY. "
    "Your task is to create a detailed summary of the conversation so far. " + "x " * 600
)
EPHEMERAL = {"type": "ephemeral"}
TITLE = {"type": "json_schema", "schema": {"type": "object", "properties": {"title": {"type": "string"}}}}


def said(*texts, role="user"):
    return {"role": role, "content": [{"type": "text", "text": text} for text in texts]}


RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "ok"}
CALLED = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}]}
CASES = [
    ("a person", {}, [said(ASKED)], {}, "user", "user's words"),
    ("a subagent", {"x-claude-code-agent-id": "a1"}, [said(ASKED)], {}, "agent", "subagent"),
    ("a subagent of Codex", {"x-openai-subagent": "review"}, [said(ASKED)], {}, "agent", "subagent"),
    ("a thread of Codex", {"x-codex-turn-metadata": '{"subagent_kind":"thread_spawn"}'}, [said(ASKED)], {}, "agent", "subagent"),
    ("in the background", {"x-app": "cli-bg"}, [said(ASKED)], {}, "agent", "background"),
    ("says so itself", {"x-initiator": "user", "x-app": "cli-bg"}, [said(ASKED)], {}, "user", "said by the client"),
    ("compaction", {}, [said("hi"), said("yes", role="assistant"), said(ORDER)], {}, "agent", "compaction"),
    ("a person asks for a summary", {}, [said("Give me a detailed summary of the conversation, text only.")], {}, "user", "user's words"),
    ("warm-up", {}, [{"role": "user", "content": [{"type": "text", "text": "Warmup", "cache_control": EPHEMERAL}]}], {}, "agent", "warm-up"),
    ("a person says Warmup", {}, [said("Warmup")], {}, "user", "user's words"),
    ("a title", {}, [said(ASKED)], {"output_config": {"format": TITLE}, "tools": []}, "agent", "title"),
    ("a quota probe", {}, [said("quota")], {"max_tokens": 1}, "agent", "quota"),
    ("tool results", {}, [said(ASKED), CALLED, {"role": "user", "content": [RESULT]}], {}, "agent", "tool results"),
    ("tool results with a reminder", {}, [said(ASKED), CALLED, {"role": "user", "content": [RESULT, said("<system-reminder>x</system-reminder>")["content"][0]]}], {}, "agent", "tool results"),
    ("tool results with words", {}, [said(ASKED), CALLED, {"role": "user", "content": [RESULT, said("and now this")["content"][0]]}], {}, "user", "user's words"),
    ("reminders alone", {}, [said("hi"), said("yes", role="assistant"), said("<task-notification>done</task-notification>")], {}, "agent", "reminders"),
]  # fmt: skip


class TestRow5:
    @pytest.mark.parametrize(
        ("headers", "messages", "more", "initiator", "because"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
    )
    async def test_the_first_rule_that_fits_decides(self, gateway, headers, messages, more, initiator, because):
        served = await gateway()
        body = {"model": "claude-sonnet-4.5", "max_tokens": 99, "messages": messages, **more}
        async with aiohttp.ClientSession() as http:
            async with http.post(f"{served.url}/v1/messages", json=body, headers=headers) as r:
                assert r.status == 200, await r.text()
            async with http.get(f"{served.url}/metrics") as r:
                metrics = await r.text()
        sent = [seen.headers["x-initiator"] for seen in served.app.seen if seen.method == "POST"]
        assert sent == [initiator]
        assert f'rightseat_turns_total{{because="{because}",initiator="{initiator}"}} 1.0' in metrics
