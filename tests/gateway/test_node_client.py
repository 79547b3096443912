"""The unmodified OpenAI client for Node: chat with tools, responses, embeddings, models, and errors of the right class."""

import json

import pytest

from rightseat.simulator.faults import Fault
from rightseat.simulator.script import Rule, Script, ScriptedError

MODELS = ["gpt-5", "gpt-4.1", "claude-sonnet-4.5"]  # responses, chat, messages upstream
SCHEMA = {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}
QUESTION = "What is 25 * 4 + 10? Use the calculate tool."


@pytest.mark.parametrize("model", MODELS)
async def test_a_tool_turn_by_its_runner(gateway, node, model):
    """The client's own loop runs the tool and asks again."""
    said = await node(await gateway(), f"""
        const runner = client.chat.completions.runTools({{
          model: {model!r}, messages: [{{role: "user", content: {QUESTION!r}}}], stream: true,
          tools: [{{type: "function", function: {{name: "calculate", parse: JSON.parse, parameters: {json.dumps(SCHEMA)},
                    function: async ({{expression}}) => {{ console.log("asked", expression); return "110"; }}}}}}],
        }});
        console.log(await runner.finalContent());
    """)  # fmt: skip
    asked, answer = said.strip().split("\n", 1)
    assert asked == "asked 25 * 4 + 10"
    assert "110" in answer


@pytest.mark.parametrize("model", MODELS)
async def test_responses_streamed_and_whole(gateway, node, model):
    said = await node(await gateway(), f"""
        const input = "Reply with exactly: hello node";
        const stream = client.responses.stream({{model: {model!r}, input}});
        let text = ""; for await (const e of stream) if (e.type === "response.output_text.delta") text += e.delta;
        const final = await stream.finalResponse();
        const whole = await client.responses.create({{model: {model!r}, input}});
        console.log(JSON.stringify([text, final.output_text, final.status, whole.output_text, whole.usage.output_tokens > 0]));
    """)  # fmt: skip
    assert json.loads(said) == ["hello node", "hello node", "completed", "hello node", True]


async def test_embeddings_and_models(gateway, node):
    said = await node(await gateway(), """
        const made = await client.embeddings.create({model: "text-embedding-3-small", input: ["a", "b"]});
        const ids = []; for await (const model of client.models.list()) ids.push(model.id);
        const one = await client.models.retrieve("gpt-5");
        console.log(JSON.stringify([made.data.map(d => d.embedding.length), ids.includes("gpt-5"), one.id]));
    """)  # fmt: skip
    assert json.loads(said) == [[16, 16], True, "gpt-5"]


async def test_errors_have_the_right_class_and_a_broken_stream_throws(gateway, node):
    script = Script([
        Rule(when="fast", error=ScriptedError(429, "too fast", "rate_limited", 7)),
        Rule(when="cut", text="word " * 50, fault=Fault(cut=900)),
    ])  # fmt: skip
    said = await node(await gateway(script=script), """
        const ask = (content, more = {}) => client.chat.completions.create({model: "gpt-4.1", messages: [{role: "user", content}], ...more});
        const kind = async (job) => { try { await job(); return "no error"; } catch (e) { return e.constructor.name; } };
        const read = async () => { for await (const _ of await ask("cut", {stream: true})); };
        console.log(JSON.stringify([
          await kind(() => ask("fast")), await kind(() => ask("x", {model: "nobody"})), await kind(() => ask("x", {messages: 3})),
          await kind(read),
        ]));
    """)  # fmt: skip
    assert json.loads(said)[:3] == ["RateLimitError", "NotFoundError", "BadRequestError"]
    assert json.loads(said)[3] != "no error"
