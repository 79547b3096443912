"""The simulator over HTTP, as a client sees it."""

import json
from urllib.parse import parse_qsl

import aiohttp
import pytest

from rightseat import ConnectError
from rightseat.simulator.app import SimulatorApp
from rightseat.simulator.environment import simulated_environment
from rightseat.simulator.faults import Fault
from rightseat.simulator.model import SimulatedModel
from rightseat.simulator.script import Rule, Script, ScriptedError
from rightseat.simulator.server import SimulatorServer

BODY = {"model": "gpt-5", "messages": [{"role": "user", "content": "Reply with exactly: hello there"}]}


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def test_the_account_and_the_models(simulator, http):
    user = await (await http.get(f"{simulator.url}/copilot_internal/user")).json()
    assert user["endpoints"]["api"] == simulator.url
    models = await (await http.get(f"{simulator.url}/models")).json()
    assert models["data"][0]["id"] == "gpt-5"
    assert models["data"][0]["supported_endpoints"] == ["/chat/completions", "/responses"]


async def test_a_stream_has_usage_after_the_finish_and_one_done(simulator, http):
    response = await http.post(f"{simulator.url}/v1/chat/completions", json={**BODY, "stream": True})
    lines = [line.removeprefix("data: ") for line in (await response.text()).split("\n\n") if line]
    assert response.content_type == "text/event-stream"
    assert lines.count("[DONE]") == 1
    chunks = [json.loads(line) for line in lines[:-1]]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]) == "hello there"
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] > 0


async def test_whole(simulator, http):
    answer = await (await http.post(f"{simulator.url}/chat/completions", json=BODY)).json()
    assert answer["choices"][0]["message"]["content"] == "hello there"
    assert answer["usage"]["total_tokens"] > 0


async def test_a_tool_call_and_its_result(simulator, http):
    tools = [
        {
            "type": "function",
            "function": {
                "name": "bash",
                "parameters": {"type": "object", "properties": {"command": {"type": "string"}}},
            },
        }
    ]
    messages = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Run the shell command `date` and reply with its output"}],
        }
    ]
    body = {"model": "m", "messages": messages, "tools": tools}
    message = (await (await http.post(f"{simulator.url}/chat/completions", json=body)).json())["choices"][0]["message"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"command": "date"}
    messages += [message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "Friday"}]
    answer = await (await http.post(f"{simulator.url}/chat/completions", json=body)).json()
    assert answer["choices"][0]["message"]["content"] == "Friday"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"messages":[]}', "messages: must be"),
        (b'{"messages":[{"content":"x"}]}', "messages[0]: must be an object with a role"),
        (b'{"messages":[{"role":"user","content":5}]}', "messages[0].content"),
        (b'{"messages":[{"role":"assistant","tool_calls":[{}]}]}', "messages[0].tool_calls[0]"),
        (b'{"model":1,"messages":[{"role":"user","content":"x"}]}', "model: must be a string"),
    ],
)
async def test_bad_requests_name_the_field(simulator, http, body, says):
    response = await http.post(f"{simulator.url}/chat/completions", data=body)
    assert response.status == 400
    assert says in (await response.json())["error"]["message"]


async def test_anything_else_is_a_harmless_404(simulator, http):
    for method, path in (
        ("GET", "/"),
        ("POST", "/telemetry"),
        ("GET", "/copilot_internal/nothing"),
        ("PUT", "/models"),
    ):
        async with http.request(method, simulator.url + path) as response:
            assert response.status == 404


async def test_scripted_errors_carry_their_headers(simulate, http):
    server = await simulate(script=Script([Rule(error=ScriptedError(429, "slow down", "rate_limited", 2.5))]))
    response = await http.post(f"{server.url}/chat/completions", json=BODY)
    assert response.status == 429
    assert response.headers["retry-after"] == "2.5"
    assert (await response.json())["error"]["code"] == "rate_limited"


async def test_what_came_in_is_kept_without_secrets(simulator, http):
    headers = {"Authorization": "Bearer secret-secret"}
    await (await http.post(f"{simulator.url}/chat/completions", json=BODY, headers=headers)).read()
    (seen,) = simulator.app.seen
    assert (seen.method, seen.path, seen.headers["authorization"]) == ("POST", "/chat/completions", "(present)")
    assert json.loads(seen.body) == BODY


async def test_a_taken_port_is_a_typed_error(simulator):
    port = int(simulator.url.rsplit(":", 1)[1])
    with pytest.raises(ConnectError, match=f"cannot listen on 127.0.0.1:{port}"):
        async with SimulatorServer(SimulatorApp(SimulatedModel()), port=port):
            pass


def test_the_environment_leads_nowhere_else():
    base = {"GH_TOKEN": "real", "HTTPS_PROXY": "http://proxy", "PATH": "/bin"}
    env = simulated_environment("http://127.0.0.1:1", "/home", base, cli="/cli")
    assert env["PATH"] == "/bin"
    assert env["COPILOT_CLI_PATH"] == "/cli"
    assert not {"GH_TOKEN", "HTTPS_PROXY"} & set(env)


async def test_answers_tell_the_quota(http):
    async with SimulatorServer(SimulatorApp(SimulatedModel(pace=0))) as server:
        server.app.cloud.behaviour.premium_remaining = 75
        for stream in (False, True):
            answer = await http.post(f"{server.url}/chat/completions", json={**BODY, "stream": stream})
            told = dict(parse_qsl(answer.headers["x-quota-snapshot-premium_interactions"]))
            assert (told["ent"], told["rem"], told["ovPerm"]) == ("300", "25.0", "false")


async def test_responses_over_a_websocket(http):
    script = Script([Rule(when="fast", error=ScriptedError(429, "too fast", "rate_limited")), Rule(when="cut", text="word " * 50, fault=Fault(cut=900))])  # fmt: skip
    async with SimulatorServer(SimulatorApp(SimulatedModel(pace=0, script=script))) as server:
        async with http.ws_connect(f"{server.url}/responses") as socket:

            async def ask(**frame) -> list[dict]:
                await socket.send_json({"type": "response.create", "model": "gpt-5", **frame})
                said = [await socket.receive_json()]
                while said[-1]["type"] not in ("response.completed", "error"):
                    said.append(await socket.receive_json())
                return said

            first = await ask(input="Reply with exactly: hello there", initiator="user")
            assert "".join(e["delta"] for e in first if e["type"] == "response.output_text.delta") == "hello there"
            assert first[-1]["copilot_quota_snapshots"]["premium_interactions"]["entitlement"] == 300
            second = await ask(previous_response_id=first[-1]["response"]["id"], input="What did I ask you before?")
            assert second[-1]["response"]["usage"]["input_tokens"] > first[-1]["response"]["usage"]["input_tokens"]
            (unknown,) = await ask(previous_response_id="resp_other", input="x")
            assert unknown["error"]["code"] == "previous_response_not_found"
            assert (await ask(input="fast"))[0]["error"] == {"code": "rate_limited", "message": "too fast"}
            await socket.send_str("no json")
            assert (await socket.receive_json())["error"]["code"] == "bad_request"
            await socket.send_json({"type": "response.create", "model": "gpt-5", "input": "cut"})
            async for message in socket:
                assert message.json()["type"] != "response.completed"
            assert socket.close_code == 1011
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{server.url}/elsewhere")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{server.url}/responses", headers={"authorization": "Bearer tid=old"})
