"""Clients, sessions and processes with the real CLI: begin, resume, share, crash, stop."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from rightseat import (
    AuthenticationError,
    ConnectError,
    ConnectionLostError,
    CopilotClient,
    InvalidOptionError,
    MethodNotFoundError,
    NotStartedError,
    PermissionHandler,
    RuntimeConnection,
    SessionEventType,
    SessionNotFoundError,
)

pytestmark = pytest.mark.contract
T = SessionEventType


def processes_with(text: str) -> list[int]:
    """Processes whose environment or command line holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                content = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if state != "Z" and text.encode() in content:
                found.append(int(entry.name))
    return found


async def test_the_client_says_what_it_reached(copilot, simulator):
    async with copilot(simulator) as client:
        assert client.state == "connected"
        assert client.cli_version.startswith("1.")
        assert (await client.ping("hello")).message == "pong: hello"
        assert (await client.get_status()).protocol_version == 3
        status = await client.get_auth_status()
        assert status.is_authenticated
        assert status.login == "rightseat-simulator"
        models = {model.id: model for model in await client.list_models()}
        assert models["gpt-5"].capabilities.limits.max_prompt_tokens == 128_000
    assert client.state == "disconnected"
    with pytest.raises(NotStartedError):
        await client.ping()


async def test_any_rpc_by_name(shared):
    async with shared() as client, await client.create_session(model="gpt-5") as session:
        assert "quotaSnapshots" in await client.rpc("account.getQuota")
        assert (await client.rpc.account.get_quota()).quota_snapshots is not None
        assert (await session.rpc.model.get_current()).model_id == "gpt-5"
        await session.set_model("gpt-4.1")
        assert (await session.rpc.model.get_current()).model_id == "gpt-4.1"
        assert await session.log("a line")
        assert (await session.rpc("session.mode.get")) == await session.rpc.mode.get()
        await session.rpc.name.set(name="a name")
        assert (await session.rpc.name.get()).name == "a name"
        with pytest.raises(MethodNotFoundError) as caught:
            await client.rpc.no.such.thing()
        assert caught.value.method == "no.such.thing"


async def test_sessions_are_listed_described_and_deleted(shared):
    async with shared() as client:
        session = await client.create_session(session_id="11111111-2222-3333-4444-555555555555")
        await session.send_and_wait("Reply with exactly: kept")
        assert (await session.get_metadata()).session_id == session.session_id
        await session.disconnect()
        await session.disconnect()
        assert session.session_id in [s.session_id for s in await client.list_sessions()]
        assert (await client.get_session_metadata(session.session_id)).session_id == session.session_id
        assert await client.get_last_session_id() == session.session_id
        await client.delete_session(session.session_id)
        assert session.session_id not in [s.session_id for s in await client.list_sessions()]
        with pytest.raises(SessionNotFoundError):
            await client.resume_session(session.session_id)
        with pytest.raises(NotStartedError, match="is closed"):
            await session.send("too late")


async def test_a_session_is_resumed_with_its_history_by_another_client(copilot, simulator):
    async with copilot(simulator) as client:
        session = await client.create_session()
        await session.send_and_wait("Reply with exactly: before")
        session_id = session.session_id
    async with copilot(simulator) as client:
        session = await client.resume_session(session_id, streaming=True)
        events = await session.get_events()
        assert "before" in [e.data.content for e in events if e.type is T.ASSISTANT_MESSAGE]
        assert (await session.send_and_wait("Reply with exactly: after")).data.content == "after"


async def test_destroying_closes_for_everybody(shared):
    async with shared() as client:
        session = await client.create_session()
        events = session.events()
        await session.destroy()
        assert [e async for e in events if e.type is T.USER_MESSAGE] == []
        assert session.closed
        with pytest.raises(NotStartedError):
            await session.send("too late")


async def test_the_workspace_of_an_infinite_session_exists(shared):
    async with (
        shared() as client,
        await client.create_session(infinite_sessions={"enabled": True}) as session,
    ):
        assert session.workspace_path.is_dir()


async def test_compaction_by_hand(shared):
    async with shared() as client, await client.create_session(streaming=True) as session:
        for number in range(3):
            await session.send_and_wait(f"Tell me about number {number}")
        kinds = []
        session.on(lambda e: kinds.append(e.type), T.SESSION_COMPACTION_START, T.SESSION_COMPACTION_COMPLETE)
        result = await session.compact()
        assert result.success
        assert result.messages_removed > 0
        assert kinds == [T.SESSION_COMPACTION_START, T.SESSION_COMPACTION_COMPLETE]
        assert (await session.send_and_wait("Reply with exactly: going on")).data.content == "going on"


async def test_compaction_by_itself_when_the_context_fills_up(copilot, simulate):
    server = await simulate(words=4000)
    provider = {
        "type": "openai",
        "base_url": f"{server.url}/v1",
        "api_key": "any",
        "wire_api": "completions",
        "max_prompt_tokens": 30_000,
    }
    limits = {"enabled": True, "background_compaction_threshold": 0.5, "buffer_exhaustion_threshold": 0.9}
    async with copilot(None) as client:
        session = await client.create_session(model="any", provider=provider, infinite_sessions=limits)
        done = asyncio.get_running_loop().create_future()
        session.on(lambda e: done.done() or done.set_result(e.data), T.SESSION_COMPACTION_COMPLETE)
        for number in range(8):
            await session.send_and_wait(f"Tell me at length about number {number}")
            if done.done():
                break
        result = await asyncio.wait_for(done, 20)
        assert result.success
        assert result.messages_removed > 0


async def test_byok_needs_no_github(copilot, simulator):
    provider = {"type": "openai", "base_url": f"{simulator.url}/v1", "api_key": "my-key", "wire_api": "completions"}
    async with copilot(None) as client, await client.create_session(model="mine", provider=provider) as session:
        assert (await session.send_and_wait("Reply with exactly: own key")).data.content == "own key"
    assert {s.path for s in simulator.app.seen} == {"/chat/completions"}


async def test_byok_tokens_can_come_from_a_function(copilot, simulator):
    async def token(request):
        asked.append(request.get("sessionId"))
        return "fresh-token"

    asked: list[str] = []
    provider = {
        "type": "openai",
        "base_url": f"{simulator.url}/v1",
        "bearer_token_provider": token,
        "wire_api": "completions",
    }
    async with copilot(None) as client, await client.create_session(model="mine", provider=provider) as session:
        assert (await session.send_and_wait("Reply with exactly: ok")).data.content == "ok"
        assert asked == [session.session_id]


async def test_a_lifecycle_listener_hears_of_sessions(copilot, simulator):
    async with copilot(simulator) as client:
        heard, created = [], []
        client.on_lifecycle(heard.append)
        stop = client.on_lifecycle("session.created", created.append)
        session = await client.create_session()
        await session.send_and_wait("hello")
        assert session.session_id in [e.session_id for e in created]
        assert {e.type for e in heard} >= {"session.created", "session.updated"}
        stop()


async def test_tcp_child_and_a_second_client_share_a_session(copilot, simulator, cli_path):
    async with copilot(simulator, connection=RuntimeConnection.for_tcp(path=cli_path)) as one:
        token = one.connection.connection_token
        address = f"127.0.0.1:{one.runtime_port}"
        session = await one.create_session(streaming=True)
        async with CopilotClient(connection=RuntimeConnection.for_uri(address, connection_token=token)) as two:
            seen = []
            other = await two.resume_session(
                session.session_id, streaming=True, on_permission_request=PermissionHandler.no_result
            )
            other.on(lambda e: seen.append(e.type))
            reply = await session.send_and_wait("Reply with exactly: heard by both of us")
            assert reply.data.content == "heard by both of us"
            while T.SESSION_IDLE not in seen:
                await asyncio.sleep(0.01)
            assert T.ASSISTANT_MESSAGE_DELTA in seen
        assert (await session.send_and_wait("Reply with exactly: still there")).data.content == "still there"


@pytest.mark.parametrize("token", ["wrong", None])
async def test_tcp_with_a_bad_token_is_refused(copilot, simulator, cli_path, token):
    async with copilot(simulator, connection=RuntimeConnection.for_tcp(path=cli_path)) as one:
        two = CopilotClient(connection=RuntimeConnection.for_uri(one.runtime_port, connection_token=token))
        with pytest.raises(AuthenticationError):
            await two.start()
        assert two.state == "disconnected"


async def test_a_port_that_is_taken_is_a_typed_error(copilot, simulator, cli_path):
    taken = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    try:
        with pytest.raises((ConnectionLostError, ConnectError)) as caught:
            async with copilot(simulator, connection=RuntimeConnection.for_tcp(path=cli_path, port=port)):
                pass
        assert str(port) in str(caught.value)
    finally:
        taken.close()
        await taken.wait_closed()


async def test_killing_the_cli_tells_everybody_within_a_second(copilot, simulate):
    server = await simulate(pace=10, words=300)
    async with copilot(server) as client:
        sessions = [await client.create_session(streaming=True) for _ in range(3)]
        streaming = asyncio.Event()
        sessions[0].on(lambda e: streaming.set(), T.ASSISTANT_MESSAGE_DELTA)

        async def read_text():
            async for _ in sessions[1].stream("a story"):
                pass

        async def read_events():
            async for _ in sessions[2].events():
                pass

        waiting = [
            asyncio.ensure_future(sessions[0].send_and_wait("a story")),
            asyncio.ensure_future(read_text()),
            asyncio.ensure_future(read_events()),
            asyncio.ensure_future(sessions[2].rpc.send(prompt="a story", wait=True)),
        ]
        await asyncio.wait_for(streaming.wait(), 10)
        killed = time.monotonic()
        os.kill(client.process_id, signal.SIGKILL)
        errors = await asyncio.gather(*waiting, return_exceptions=True)
        assert time.monotonic() - killed < 1
        for error in errors:
            assert isinstance(error, ConnectionLostError), error
            assert error.exit_status == -9
            assert "killed by signal 9" in str(error)
        with pytest.raises(ConnectionLostError):
            await sessions[0].send("anybody?")
        with pytest.raises(ConnectionLostError):
            await client.create_session()
        assert client.state == "error"

        await client.start()  # a new CLI, after the crash
        session = await client.create_session()
        assert (await session.rpc.model.get_current()) is not None


async def test_stop_leaves_no_process_behind(copilot, simulator, tmp_path):
    script = "setsid sleep 300 & nohup sleep 300 & sleep 300 & echo started"
    async with copilot(simulator, extra_env={"RIGHTSEAT_TEST": str(tmp_path)}) as client:
        busy = await client.create_session(on_permission_request=PermissionHandler.approve_all)
        await client.create_session()
        reply = await busy.send_and_wait(f"Run the shell command `{script}` and reply with its output")
        assert "started" in reply.data.content
        await busy.send("Run the shell command `sleep 300` and reply with its output")
        while (
            len([p for p in processes_with(str(tmp_path)) if b"sleep" in Path(f"/proc/{p}/cmdline").read_bytes()]) < 3
        ):
            await asyncio.sleep(0.05)
        begun = time.monotonic()
    assert time.monotonic() - begun < 10
    assert processes_with(str(tmp_path)) == []


async def test_force_stop_is_quick_and_leaves_nothing(copilot, simulator, tmp_path):
    async with copilot(simulator, extra_env={"RIGHTSEAT_TEST": str(tmp_path)}) as client:
        session = await client.create_session()
        begun = time.monotonic()
        await client.force_stop()
        assert time.monotonic() - begun < 2
        assert processes_with(str(tmp_path)) == []
        assert session.closed


async def test_the_trace_shows_both_directions_and_no_secret(copilot, simulator, tmp_path):
    lines: list[str] = []
    token = "gho_tracedtracedtracedtracedtracedtraced"
    async with copilot(simulator, trace=lines.append, github_token=token) as client:
        await (await client.create_session(github_token=token)).send_and_wait("Reply with exactly: traced")
    assert any(line.startswith('--> {"jsonrpc":"2.0","id":1,"method":"connect"') for line in lines)
    assert any(line.startswith("<-- ") and "assistant.message" in line for line in lines)
    assert token not in "".join(lines)


async def test_the_same_session_cannot_be_opened_twice_on_one_client(copilot, simulator):
    async with copilot(simulator) as client, await client.create_session() as session:
        with pytest.raises(InvalidOptionError, match="already open on this client"):
            await client.resume_session(session.session_id)
