"""What the client does when the other side is odd: exact cases that a scripted CLI plays."""

import asyncio
import logging
import sys

import pytest

from rightseat import (
    CliNotFoundError,
    CliNotRunnableError,
    ConnectError,
    ConnectionLostError,
    CopilotClient,
    EncodeError,
    InvalidOptionError,
    NotStartedError,
    ProtocolError,
    RpcError,
    RpcTimeoutError,
    RuntimeConnection,
    SessionNotFoundError,
    StartTimeoutError,
    UnknownOptionError,
    UnsupportedVersionError,
    find_cli,
)
from rightseat.sdk.runtime import child_environment, cli_flags
from rightseat.simulator.peer import ScriptedRefusal

EVENT = b'{"jsonrpc":"2.0","method":"session.event","params":{"sessionId":"s","event":%s}}'


async def never(_):
    await asyncio.Event().wait()


# The handshake.


async def test_connect_is_tried_first_and_ping_for_those_that_do_not_know_it(scripted):
    client, cli = await scripted(begin=False)
    del cli.methods["connect"]
    await client.start()
    assert [method for method, _ in cli.calls] == ["connect", "ping"]
    assert client.state == "connected"
    await client.start()
    assert len(cli.calls) == 2


@pytest.mark.parametrize("version", [2, 0, None, "three"])
async def test_an_old_protocol_is_refused_with_advice(scripted, version):
    client, _ = await scripted(begin=False, protocol_version=version)
    with pytest.raises(UnsupportedVersionError, match="needs 3 or newer.*npm install"):
        await client.start()
    assert client.state == "disconnected"


async def test_a_newer_protocol_is_tried_with_a_warning(scripted, caplog):
    client, _ = await scripted(protocol_version=4)
    assert client.state == "connected"
    assert "protocol 4" in caplog.text


async def test_a_cli_that_never_answers_is_given_up(scripted):
    client, cli = await scripted(begin=False, start_timeout=0.05)
    cli.methods["connect"] = never
    with pytest.raises(StartTimeoutError, match="within 0.05 s"):
        await client.start()


async def test_something_that_is_no_cli_is_named(scripted):
    client, cli = await scripted(begin=False)
    cli.raw(b"Welcome to some other program!\r\n\r\n")
    with pytest.raises(ProtocolError, match="not a Copilot CLI in server mode.*Welcome"):
        await client.start()


async def test_two_tasks_that_start_at_once_start_once(scripted):
    client, cli = await scripted(begin=False)
    await asyncio.gather(*(client.start() for _ in range(5)))
    assert [method for method, _ in cli.calls] == ["connect"]


async def test_create_session_starts_the_client_unless_told_not_to(scripted):
    client, _ = await scripted(begin=False)
    await client.create_session()
    assert client.state == "connected"
    client, _ = await scripted(begin=False, auto_start=False)
    with pytest.raises(NotStartedError, match="client is not started"):
        await client.create_session()


# The program.


def test_no_cli_anywhere(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("COPILOT_CLI_PATH", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr("rightseat.sdk.runtime.__file__", str(tmp_path / "runtime.py"))
    with pytest.raises(CliNotFoundError, match=r"no Copilot CLI found.*npm install -g @github/copilot"):
        find_cli()


async def test_a_wrong_path_says_where_it_came_from(monkeypatch, tmp_path):
    with pytest.raises(CliNotFoundError, match="no Copilot CLI at '/no/such' .the path given"):
        await CopilotClient(cli_path="/no/such").start()
    monkeypatch.setenv("COPILOT_CLI_PATH", "/not/there")
    with pytest.raises(CliNotFoundError, match="'/not/there' .the variable COPILOT_CLI_PATH"):
        await CopilotClient().start()
    with pytest.raises(CliNotFoundError, match="is a directory"):
        await CopilotClient(cli_path=str(tmp_path)).start()


async def test_a_file_that_may_not_be_executed(tmp_path):
    path = tmp_path / "copilot"
    path.write_text("#!/bin/sh\n")
    with pytest.raises(CliNotRunnableError, match="is not executable"):
        await CopilotClient(cli_path=str(path)).start()


async def test_the_places_are_searched_in_order(monkeypatch, tmp_path):
    def program(*parts):
        path = tmp_path.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return path

    deep = tmp_path / "project" / "deep"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    monkeypatch.delenv("COPILOT_CLI_PATH", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    loader = program("project", "node_modules", "@github", "copilot", "npm-loader.js")
    assert loader == find_cli()
    on_path = program("bin", "copilot")
    assert on_path == find_cli()
    by_variable = program("elsewhere", "copilot")
    monkeypatch.setenv("COPILOT_CLI_PATH", str(by_variable))
    assert by_variable == find_cli()
    given = program("given", "copilot")
    assert given == find_cli(given)


OLD = "import sys; sys.stderr.write(\"error: unknown option '--headless'\\n\"); sys.exit(1)"


async def test_an_old_cli_that_does_not_know_the_flags(tmp_path):
    path = tmp_path / "copilot"
    path.write_text(f"#!{sys.executable}\n{OLD}\n")
    path.chmod(0o755)
    with pytest.raises(
        ConnectionLostError, match=r"(?s)status 1 before it was ready.*not older than 1.0.*unknown option '--headless'"
    ):
        await CopilotClient(cli_path=str(path)).start()


async def test_a_refused_port():
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectError, match=f"127.0.0.1:{port}.*copilot --headless --port {port}"):
        await CopilotClient(cli_url=str(port)).start()


# Options.


def test_what_a_started_cli_gets(tmp_path):
    options = {"env": {"PATH": "/bin"}, "github_token": "gho_x", "base_directory": tmp_path, "log_level": "debug"}
    assert child_environment(options) == {
        "PATH": "/bin",
        "COPILOT_SDK_AUTH_TOKEN": "gho_x",
        "COPILOT_HOME": str(tmp_path),
    }
    flags = cli_flags(options | {"session_idle_timeout_seconds": 60})
    assert flags[:4] == ["--headless", "--no-auto-update", "--log-level", "debug"]
    assert flags[4:] == [
        "--auth-token-env",
        "COPILOT_SDK_AUTH_TOKEN",
        "--no-auto-login",
        "--session-idle-timeout",
        "60",
    ]
    assert "--no-auto-login" not in cli_flags({})
    assert "--no-auto-login" in cli_flags({"use_logged_in_user": False})


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"log_levle": "debug"}, UnknownOptionError, "unknown client option 'log_levle'; did you mean 'log_level'"),
        ({"port": "8080"}, InvalidOptionError, "'port' must be a int, not str"),
        ({"port": True}, InvalidOptionError, "'port' must be a int, not bool"),
        ({"cli_url": "nowhere"}, InvalidOptionError, "cannot read a host and a port"),
        ({"cli_url": "host:99999"}, InvalidOptionError, "cannot read a host and a port"),
        ({"connection": "stdio"}, InvalidOptionError, "must be a RuntimeConnection"),
        (
            {"connection": RuntimeConnection.for_stdio(), "cli_path": "x"},
            InvalidOptionError,
            "either connection= or cli_path=",
        ),
        ({"on_stderr": 5}, InvalidOptionError, "'on_stderr' must be a function"),
        ({"cwd": ".", "working_directory": "."}, InvalidOptionError, "'working_directory' is given twice"),
    ],
)
def test_bad_client_options_are_named(options, error, says):
    with pytest.raises(error, match=says):
        CopilotClient(options)


def test_a_dict_and_keywords_are_the_same():
    assert CopilotClient({"log_level": "debug"})._options == CopilotClient(log_level="debug")._options
    with pytest.raises(InvalidOptionError, match="as a dict or as keywords"):
        CopilotClient("copilot")


async def test_a_bad_log_level_is_named():
    with pytest.raises(InvalidOptionError, match="log_level must be one of none, error"):
        await CopilotClient(log_level="loud", cli_path=sys.executable).start()


def test_a_bad_token_is_not_shown():
    with pytest.raises(InvalidOptionError, match="'github_token' must be a string, not bytes") as caught:
        CopilotClient(github_token=b"hunter2hunter2")
    assert "hunter2" not in str(caught.value)


async def test_secrets_in_failures_of_handlers_are_masked_in_the_log(scripted, caplog):
    def broken(event):
        raise RuntimeError("token ghp_abcdefghijklmnopqrstuvwxyz0123")

    client, cli = await scripted()
    session = await client.create_session()
    session.on(broken)
    events = session.events()
    cli.event(session.session_id, "session.idle")
    await anext(events)
    assert "ghp_...0123" in caplog.text
    assert "abcdefghijkl" not in caplog.text


async def test_the_trace_masks_members_that_are_secret(scripted):
    lines: list[str] = []
    client, _ = await scripted(trace=lines.append)
    await client.create_session(provider={"type": "openai", "base_url": "http://x", "api_key": "of-no-known-form"})
    assert "session.create" in "".join(lines)
    assert "of-no-known-form" not in "".join(lines)


def test_a_connection_shows_no_token():
    assert "secret" not in repr(RuntimeConnection.for_uri("localhost:1", connection_token="secret"))
    assert "secret" not in repr(RuntimeConnection.for_tcp(connection_token="secret"))


# Calls.


async def test_a_call_that_is_not_answered_in_time_is_cancelled(scripted):
    client, cli = await scripted()
    cli.methods["slow"] = never
    with pytest.raises(RpcTimeoutError, match="slow: no answer within 0.05 s"):
        await client.rpc("slow", timeout=0.05)
    while not cli.notified:
        await asyncio.sleep(0)
    assert cli.notified[0] == ("$/cancelRequest", {"id": 2})


async def test_a_cancelled_task_cancels_its_call(scripted):
    client, cli = await scripted()
    cli.methods["slow"] = never
    task = asyncio.ensure_future(client.rpc("slow"))
    await cli.until("slow")
    task.cancel()
    while not cli.notified:
        await asyncio.sleep(0)
    assert cli.notified[0][0] == "$/cancelRequest"


async def test_error_answers_have_types(scripted):
    client, cli = await scripted()

    def refuse(_):
        raise ScriptedRefusal(
            -32603, "Request x failed with message: Session not found: 1 (token gho_abcdefghijklmnopqrstuvwxyz)"
        )

    cli.methods["x"] = refuse
    with pytest.raises(SessionNotFoundError, match="x: Request x failed") as caught:
        await client.rpc("x")
    assert isinstance(caught.value, RpcError)
    assert caught.value.code == -32603
    assert "abcdefghijklmnop" not in str(caught.value)


async def test_parameters_json_cannot_hold_are_refused_before_anything_is_sent(scripted):
    client, cli = await scripted()
    with pytest.raises(EncodeError, match="params of some.method cannot be written"):
        await client.rpc("some.method", {"x": object()})
    assert [method for method, _ in cli.calls] == ["connect"]


async def test_rpc_arguments_of_the_wrong_form(scripted):
    client, _ = await scripted()
    with pytest.raises(TypeError, match="name a method"):
        await client.rpc()
    with pytest.raises(TypeError, match="a dict of parameters, not int"):
        await client.rpc("x", 5)


async def test_many_calls_at_once_meet_their_own_answers(scripted):
    client, cli = await scripted()
    cli.methods["echo"] = lambda params: params["n"]
    assert list(range(500)) == await asyncio.gather(*(client.rpc("echo", n=n) for n in range(500)))


# Questions of the CLI.


async def test_an_unknown_question_is_answered_with_method_not_found(scripted):
    client, cli = await scripted()
    with pytest.raises(ScriptedRefusal, match="Unhandled method no.such.question") as caught:
        await cli.ask("no.such.question", {})
    assert caught.value.code == -32601
    session = await client.create_session()
    with pytest.raises(ScriptedRefusal) as caught:
        await cli.ask("userInput.request", {"sessionId": session.session_id, "question": "?"})
    assert caught.value.code == -32601


async def test_a_handler_that_fails_answers_with_an_error(scripted, caplog):
    def broken(request):
        raise RuntimeError("secret gho_abcdefghijklmnopqrstuvwxyz")

    client, cli = await scripted()
    session = await client.create_session(on_user_input_request=broken)
    with pytest.raises(ScriptedRefusal) as caught:
        await cli.ask("userInput.request", {"sessionId": session.session_id, "question": "?"})
    assert caught.value.code == -32603
    assert "abcdefghijklmnop" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "method", "returned", "answer"),
    [
        ("on_user_input_request", "userInput.request", "red", {"answer": "red", "wasFreeform": False}),
        ("on_user_input_request", "userInput.request", "other", {"answer": "other", "wasFreeform": True}),
        ("on_user_input_request", "userInput.request", {"answer": "x", "was_freeform": False}, {"answer": "x", "wasFreeform": False}),
        ("on_exit_plan_mode_request", "exitPlanMode.request", True, {"approved": True}),
        ("on_exit_plan_mode_request", "exitPlanMode.request", {"approved": False, "selected_action": "x"}, {"approved": False, "selectedAction": "x"}),
        ("on_auto_mode_switch_request", "autoModeSwitch.request", "yes_always", {"response": "yes_always"}),
        ("on_auto_mode_switch_request", "autoModeSwitch.request", False, {"response": "no"}),
    ],
)  # fmt: skip
async def test_answers_may_be_spelled_simply(scripted, option, method, returned, answer):
    client, cli = await scripted()
    session = await client.create_session({option: lambda request, context: returned})
    assert answer == await cli.ask(method, {"sessionId": session.session_id, "choices": ["red"]})


# The end.


async def test_everybody_who_waits_gets_the_same_typed_error(scripted):
    client, cli = await scripted()
    cli.methods["slow"] = never
    session = await client.create_session()
    waiting = [
        asyncio.ensure_future(client.rpc("slow")),
        asyncio.ensure_future(session.send_and_wait("hello")),
        asyncio.ensure_future(anext(session.events())),
    ]
    await cli.until("slow")
    await cli.until("session.send")
    await cli.close(reason="the CLI fell over", exit_status=3, stderr_tail="last words")
    for error in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(error, ConnectionLostError)
        assert error.exit_status == 3
        assert error.stderr_tail == "last words"
        assert str(error) == "the CLI fell over\nlast lines of its stderr:\nlast words"
    assert session.closed
    assert client.state == "error"


async def test_a_broken_frame_ends_every_wait_with_a_typed_error(scripted):
    client, cli = await scripted()
    session = await client.create_session()
    waiting = asyncio.ensure_future(session.send_and_wait("hello"))
    await cli.until("session.send")
    cli.raw(b'Content-Length: 16\r\n\r\n{"method":"\xff\xff\xff"}')
    with pytest.raises(ProtocolError, match="not UTF-8"):
        await waiting


async def test_events_before_the_break_are_delivered(scripted):
    client, cli = await scripted()
    session = await client.create_session()
    events = session.events()
    cli.event(session.session_id, "session.idle")
    cli.raw(b"garbage\r\n\r\n")
    assert (await anext(events)).raw_type == "session.idle"
    with pytest.raises(ProtocolError, match="no colon"):
        await anext(events)
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_an_event_without_a_session_is_logged_and_skipped(scripted, caplog):
    client, cli = await scripted()
    session = await client.create_session()
    events = session.events()
    cli.notify("session.event", {"event": {"type": "x"}})
    cli.event("another-session", "session.idle")
    cli.event(session.session_id, "brand.new", {"aB": 1})
    event = await anext(events)
    assert (event.raw_type, event.data.a_b) == ("brand.new", 1)
    assert "without session id" in caplog.text


async def test_stop_is_polite_and_may_be_called_twice(scripted):
    client, cli = await scripted()
    session = await client.create_session()
    await client.stop()
    await client.stop()
    assert [method for method, _ in cli.calls] == ["connect", "session.create", "session.detach"]
    with pytest.raises(NotStartedError):
        await session.send("too late")


async def test_stop_does_not_wait_for_a_cli_that_does_not_answer(scripted, monkeypatch):
    monkeypatch.setattr("rightseat.sdk.link.DETACH_SECONDS", 0.05)
    client, cli = await scripted()
    await client.create_session()
    cli.methods["session.detach"] = never
    await asyncio.wait_for(client.stop(), 2)


@pytest.mark.parametrize("how", ["stop", "force_stop"])
async def test_stopping_ends_a_start_that_is_under_way(scripted, how):
    client, cli = await scripted(begin=False)
    cli.methods["connect"] = never
    starting = asyncio.ensure_future(client.start())
    await cli.until("connect")
    await asyncio.wait_for(getattr(client, how)(), 2)
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert client.state == "disconnected"


async def test_a_session_that_cannot_be_created_is_forgotten(scripted):
    def refuse(_):
        raise ScriptedRefusal(-32603, "no")

    client, cli = await scripted()
    cli.methods["session.create"] = refuse
    for _ in range(2):
        with pytest.raises(RpcError):
            await client.create_session(session_id="the-same")
    assert not client._sessions


async def test_the_trace_goes_to_the_log_on_demand(scripted, caplog):
    caplog.set_level(logging.DEBUG, "rightseat.trace")
    client, _ = await scripted(trace=True)
    await client.ping("hi")
    assert '--> {"jsonrpc":"2.0","id":2,"method":"ping","params":{"message":"hi"}}' in caplog.text
    assert "<-- " in caplog.text


async def test_the_trace_goes_to_a_file(scripted, tmp_path):
    await scripted(trace=str(tmp_path / "trace.log"))
    assert '"method":"connect"' in (tmp_path / "trace.log").read_text()
