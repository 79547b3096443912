"""The laws of the SDK's calls: limits cover everything, each gets its own answer, nothing outlives stop, a child gets what it needs."""

import asyncio
import gc
import json
import os
import signal
import stat
import sys
import time
from pathlib import Path

import pytest
from tests.sdk.worlds import found, lookup

from rightseat import AnswerTooLongError, CopilotClient, NotStartedError, RpcTimeoutError, TurnTimeoutError
from rightseat.chat import ChatRequest, Message, TextDelta
from rightseat.sdk.handler import SessionHandler
from rightseat.security.environment import cli_environment, without_our_secrets
from rightseat.simulator.peer import ScriptedCli, ScriptedRefusal
from rightseat.testing.clock import run_virtual
from rightseat.transport.memory import MemoryStream


async def never(_):
    await asyncio.Event().wait()


def in_virtual_time(main):
    """Run `main(client, cli)` with a client of a scripted CLI, in virtual time."""

    async def run():
        ours, theirs = MemoryStream.pair()
        from rightseat import RuntimeConnection

        async with ScriptedCli(theirs) as cli:
            client = CopilotClient(connection=RuntimeConnection.for_stream(ours))
            await client.start()
            try:
                await main(client, cli)
            finally:
                await client.stop()

    run_virtual(run)


def now() -> float:
    return asyncio.get_running_loop().time()


# A time limit covers all that a call does (B4).


@pytest.mark.parametrize("limit", [{"timeout": 2}, {"timeout": None, "inactivity_timeout": 2}])
def test_a_time_limit_covers_the_sending_of_the_message(limit):
    async def main(client, cli):
        cli.methods["session.send"] = never
        session = await client.create_session(streaming=True)
        for call in (session.send_and_wait, lambda *a, **k: anext(session.stream(*a, **k))):
            begun = now()
            with pytest.raises(TurnTimeoutError) as caught:
                await call("hello", **limit)
            assert now() - begun == pytest.approx(2, abs=0.01)
            assert caught.value.waited == pytest.approx(2, abs=0.01)
        assert not session._turns

    in_virtual_time(main)


def test_a_time_limit_of_a_handler_covers_the_sending_too():
    async def main(client, cli):
        cli.methods["session.send"] = never
        handler = SessionHandler(await client.create_session(), timeout=2)
        begun = now()
        with pytest.raises(TurnTimeoutError):
            await handler(ChatRequest("m", (Message("user", "hello"),)))
        assert now() - begun == pytest.approx(2, abs=0.01)

    in_virtual_time(main)


def test_a_time_limit_covers_the_waiting_for_earlier_turns():
    async def main(client, cli):
        session = await client.create_session()
        first = asyncio.ensure_future(session.send_and_wait("first", timeout=None))
        await cli.until("session.send")
        begun = now()
        with pytest.raises(TurnTimeoutError):
            await session.send_and_wait("second", timeout=3)
        assert now() - begun == pytest.approx(3, abs=0.01)
        cli.turn(session.session_id, "one")
        assert (await first).data.content == "one"
        assert [m for m, _ in cli.calls].count("session.send") == 1  # the second was never sent

    in_virtual_time(main)


def test_events_put_the_inactivity_limit_off_while_the_message_is_being_sent():
    async def main(client, cli):
        session = await client.create_session()

        async def slow(_):
            for _ in range(4):
                await asyncio.sleep(1.5)
                cli.event(session.session_id, "session.info", {"infoType": "x", "message": "y"})
            cli.turn(session.session_id, "late", message="m")
            return {"messageId": "m"}

        cli.methods["session.send"] = slow
        reply = await session.send_and_wait("hello", timeout=None, inactivity_timeout=2)
        assert reply.data.content == "late"

    in_virtual_time(main)


def test_the_start_limit_covers_both_forms_of_the_handshake():
    async def run():
        from rightseat import RuntimeConnection, StartTimeoutError

        ours, theirs = MemoryStream.pair()

        async def unknown_after_two_seconds(_):
            await asyncio.sleep(2)
            raise ScriptedRefusal(-32601, "Unhandled method connect")

        async with ScriptedCli(theirs) as cli:
            cli.methods["connect"] = unknown_after_two_seconds
            cli.methods["ping"] = never
            client = CopilotClient(connection=RuntimeConnection.for_stream(ours), start_timeout=3)
            begun = now()
            with pytest.raises(StartTimeoutError, match="within 3 s"):
                await client.start()
            assert now() - begun == pytest.approx(3, abs=0.01)

    run_virtual(run)


async def test_a_call_ends_in_time_when_the_cli_does_not_even_read(scripted):
    client, cli = await scripted()
    cli._task.cancel()  # it reads no more: what is written stays
    with pytest.raises(RpcTimeoutError):
        await asyncio.wait_for(client.rpc("big", text="x" * 5_000_000, timeout=0.05), 5)


# Each gets its own answer (C1).


async def answer_in_turn(cli, session, count, *, pieces=3):
    """Play a CLI that answers each message with its own prompt, in pieces, as soon as it comes."""
    for number in range(1, count + 1):
        params = await cli.until("session.send", number)
        prompt = params["prompt"]
        size = max(1, len(prompt) // pieces)
        cli.turn(
            session.session_id,
            *(prompt[i : i + size] for i in range(0, len(prompt), size)),
            message=f"message-{number}",
        )


async def read(stream):
    return "".join([text async for text in stream])


async def test_streams_side_by_side_get_their_own_answers(scripted):
    client, cli = await scripted()
    session = await client.create_session(streaming=True)
    playing = asyncio.ensure_future(answer_in_turn(cli, session, 20))
    prompts = [f"prompt number {n}" for n in range(20)]
    assert await asyncio.gather(*(read(session.stream(prompt)) for prompt in prompts)) == prompts
    await playing


async def test_handlers_side_by_side_get_their_own_answers(scripted):
    client, cli = await scripted()
    session = await client.create_session(streaming=True)
    playing = asyncio.ensure_future(answer_in_turn(cli, session, 8))
    handler = SessionHandler(session)

    async def ask(prompt):
        async with await handler(ChatRequest("m", (Message("user", prompt),))) as reply:
            return "".join([event.text async for event in reply if isinstance(event, TextDelta)])

    prompts = [f"prompt number {n}" for n in range(8)]
    assert await asyncio.gather(*map(ask, prompts)) == prompts
    await playing


async def test_what_belongs_to_another_message_is_in_no_stream(scripted):
    """Somebody else, with `send` or on another connection, has a message in the same session."""
    client, cli = await scripted()
    session = await client.create_session(streaming=True)
    reading = asyncio.ensure_future(read(session.stream("ours")))
    await cli.until("session.send")
    cli.turn(session.session_id, "before ", message="message-0", idle=False)
    cli.turn(session.session_id, "our ", "answer", message="message-1", idle=False)
    cli.turn(session.session_id, "after", message="message-7")
    assert await reading == "our answer"


async def test_a_message_that_steers_is_sent_at_once_and_its_answer_belongs_to_the_turn(scripted):
    client, cli = await scripted()
    session = await client.create_session(streaming=True)
    reading = asyncio.ensure_future(read(session.stream("begin")))
    await cli.until("session.send")
    one = {"content": "?", "messageId": "message-1", "interactionId": "i", "delivery": "idle"}
    cli.event(session.session_id, "user.message", one)
    steering = asyncio.ensure_future(session.send_and_wait("steer", mode="immediate"))
    await cli.until("session.send", 2)
    await asyncio.sleep(0)
    two = {"content": "?", "messageId": "message-2", "interactionId": "i", "delivery": "steering"}
    cli.event(session.session_id, "user.message", two)
    cli.event(session.session_id, "assistant.message_delta", {"messageId": "m", "deltaContent": "steered"})
    said = {"messageId": "m", "content": "steered", "originatingMessageId": "message-1", "interactionId": "i"}
    cli.event(session.session_id, "assistant.message", said)
    cli.event(session.session_id, "session.idle")
    assert await reading == "steered"
    assert (await steering).data.content == "steered"


async def test_leaving_one_turn_aborts_no_other(scripted):
    client, cli = await scripted()
    session = await client.create_session(streaming=True)
    cli.methods["session.abort"] = lambda _: cli.event(session.session_id, "session.idle", {"aborted": True})
    first = session.stream("first")
    second = asyncio.ensure_future(read(session.stream("second")))
    third = asyncio.ensure_future(read(session.stream("third")))
    async with first:
        cli.turn(session.session_id, "on", "e", idle=False)
        third.cancel()  # it waits in line, and was never sent
        async for _ in first:
            break
    assert (await cli.until("session.send", 2))["prompt"] == "second"
    cli.turn(session.session_id, "two", message="message-2")
    assert await second == "two"
    assert [m for m, _ in cli.calls].count("session.abort") == 1
    assert [m for m, _ in cli.calls].count("session.send") == 2


async def test_a_message_in_the_clis_own_queue_is_taken_out_of_it_instead_of_aborting_what_runs(scripted):
    client, cli = await scripted()
    session = await client.create_session(streaming=True)
    cli.methods["session.queue.pendingItems"] = lambda _: {"items": [{"id": "4", "messageId": "message-1"}]}
    cli.methods["session.queue.removeAt"] = lambda p: {"removed": p["id"] == "4"}
    async with session.stream("behind somebody else's turn"):
        pass
    assert (await cli.until("session.queue.removeAt"))["id"] == "4"
    assert "session.abort" not in [m for m, _ in cli.calls]


async def test_ending_the_session_tells_those_who_wait_in_line_too(scripted):
    client, cli = await scripted()
    session = await client.create_session()
    waiting = [asyncio.ensure_future(session.send_and_wait(str(n))) for n in range(5)]
    await cli.until("session.send")
    await session.disconnect()
    for error in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(error, NotStartedError)


@pytest.mark.contract
async def test_fifty_at_once_with_tools_and_cancellations_on_the_real_cli(copilot, simulate):
    server = await simulate(pace=1000)
    left = {0, 1, 6, 7, 12, 19, 33, 41, 48}  # running ones and waiting ones
    async with copilot(server) as client, await client.create_session(streaming=True, tools=[lookup]) as session:

        async def ask(n):
            prompt = (
                f'Use the lookup tool: {{"text": "{n}"}}' if n % 5 == 0 else f"Reply with exactly: answer number {n}"
            )
            if n % 2:
                return (await session.send_and_wait(prompt, timeout=None)).data.content
            return await read(session.stream(prompt))

        tasks = [asyncio.ensure_future(ask(n)) for n in range(50)]
        began = session.events("assistant.message_delta", overflow="drop_oldest")
        for n in sorted(left):
            await anext(began)
            tasks[n].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    for n, answer in enumerate(answers):
        expected = f"The tool answered: {found(str(n))}" if n % 5 == 0 else f"answer number {n}"
        assert answer == expected or (n in left and isinstance(answer, asyncio.CancelledError)), n


@pytest.mark.contract
async def test_chats_at_once_on_one_session_of_the_facade_get_their_own_answers(copilot, simulator):
    from rightseat import CopilotSDK

    async with copilot(simulator) as client, CopilotSDK(client=client) as sdk, await sdk.create_session() as session:

        async def streamed(n):
            return "".join([chunk.text async for chunk in session.stream(f"Reply with exactly: stream number {n}")])

        chats = [session.chat(f"Reply with exactly: chat number {n}") for n in range(4)]
        answers = await asyncio.gather(*chats, *map(streamed, range(4)))
        assert [a.text for a in answers[:4]] == [f"chat number {n}" for n in range(4)]
        assert answers[4:] == [f"stream number {n}" for n in range(4)]


# Bounds.


async def test_an_answer_that_nobody_reads_is_given_up(scripted, monkeypatch):
    monkeypatch.setattr("rightseat.sdk.unread.MAX_UNREAD", 1000)
    client, cli = await scripted()
    session = await client.create_session(streaming=True)
    async with session.stream("hello") as stream:
        cli.turn(session.session_id, *(["x" * 100] * 11), idle=False)
        await cli.until("session.abort")
        assert len(await anext(stream)) == 1000
        with pytest.raises(AnswerTooLongError):
            await anext(stream)


async def test_a_handler_that_returns_awaitables_costs_a_bounded_backlog(scripted, monkeypatch, caplog):
    monkeypatch.setattr("rightseat.sdk.subscriptions.MAX_BUFFERED", 10)
    client, cli = await scripted()
    session = await client.create_session()
    go, seen = asyncio.Event(), []

    async def slow(event):
        await go.wait()
        seen.append(event)

    session.on(lambda event: slow(event))  # noqa: PLW0108 - a plain function that returns a coroutine
    done = session.events("session.idle")
    for _ in range(50):
        cli.event(session.session_id, "session.info", {"infoType": "x", "message": "y"})
    cli.event(session.session_id, "session.idle")
    await anext(done)
    assert len(asyncio.all_tasks()) < 20
    go.set()
    while not seen or seen[-1].raw_type != "session.idle":
        await asyncio.sleep(0)
    assert len(seen) <= 11
    assert "too slow" in caplog.text


# Failing handlers, and the end (B17).


@pytest.mark.parametrize("kind", ["sync", "async", "lifecycle"])
async def test_a_failing_handler_is_logged_once_and_then_counted(scripted, caplog, kind):
    client, cli = await scripted()
    session = await client.create_session()
    calls = []

    def broken(event):
        calls.append(event)
        raise RuntimeError("broken handler")

    async def broken_too(event):
        broken(event)

    if kind == "lifecycle":
        client.on_lifecycle(broken)
    else:
        session.on({"sync": broken, "async": broken_too}[kind])
    for _ in range(100):
        cli.event(session.session_id, "session.info", {"infoType": "x", "message": "y"})
        cli.notify("session.lifecycle", {"type": "session.updated", "sessionId": session.session_id})
    while len(calls) < 100:
        await asyncio.sleep(0)
    await client.stop()
    assert caplog.text.count("Traceback") == 1
    if kind != "lifecycle":
        assert "failed 100 times" in caplog.text


async def test_a_permission_handler_that_fails_is_logged_once_too(scripted, caplog):
    client, cli = await scripted()

    def broken(request):
        raise RuntimeError("broken handler")

    session = await client.create_session(on_permission_request=broken)
    answer = "session.permissions.handlePendingPermissionRequest"
    for n in range(1, 21):
        asked = {"requestId": f"r{n}", "permissionRequest": {"kind": "shell"}}
        cli.event(session.session_id, "permission.requested", asked)
        assert (await cli.until(answer, n))["result"]["kind"] == "reject"
    await client.stop()
    assert caplog.text.count("Traceback") == 1
    assert "failed 20 times" in caplog.text


async def test_nothing_outlives_stop(scripted):
    client, cli = await scripted()
    before = asyncio.all_tasks()
    session, left = await client.create_session(), await client.create_session()
    started, ended = asyncio.Event(), []

    async def slow(event):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(event)

    for one in (session, left):
        one.on(slow)
        one.on(lambda event: slow(event))  # noqa: PLW0108
        cli.event(one.session_id, "session.idle")
    client.on_lifecycle(slow)
    cli.notify("session.lifecycle", {"type": "session.updated", "sessionId": session.session_id})
    stream = session.stream("hello")
    await stream.__aenter__()
    asking = asyncio.ensure_future(session.send_and_wait("waits in line"))
    await started.wait()
    await left.disconnect()
    begun = time.monotonic()
    await client.stop()
    assert time.monotonic() - begun < 2
    assert len(ended) == 5
    with pytest.raises(NotStartedError):
        await asking
    await asyncio.sleep(0)
    assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()


async def test_a_handler_may_stop_the_client(scripted):
    client, cli = await scripted()
    session = await client.create_session()
    done = asyncio.Event()

    async def stop(event):
        await client.stop()
        done.set()

    session.on(stop)
    cli.event(session.session_id, "session.idle")
    await asyncio.wait_for(done.wait(), 5)
    assert client.state == "disconnected"


def test_leaving_a_session_of_a_cli_that_hangs_takes_two_seconds_at_most():
    async def main(client, cli):
        cli.methods["session.detach"] = cli.methods["session.destroy"] = cli.methods["session.abort"] = never
        async with await client.create_session(streaming=True) as session:
            begun = now()
            async with session.stream("hello") as stream:
                cli.turn(session.session_id, "a", idle=False)
                await anext(stream)
            assert now() - begun <= 2.01
            begun = now()
        assert now() - begun <= 2.01
        session = await client.create_session()
        begun = now()
        with pytest.raises(RpcTimeoutError):
            await session.destroy()
        assert now() - begun <= 2.01
        begun = now()
        await client.stop()
        assert now() - begun <= 2.01

    in_virtual_time(main)


@pytest.mark.contract
async def test_limits_hold_with_a_cli_that_is_stopped_and_leaving_it_takes_two_seconds_at_most(
    copilot, simulator, caplog
):
    async with copilot(simulator) as client:
        session = await client.create_session(streaming=True)
        process = client.process_id
        os.kill(process, signal.SIGSTOP)
        with pytest.raises(TurnTimeoutError):
            await asyncio.wait_for(session.send_and_wait("x" * 1_000_000, timeout=0.2), 5)
        with pytest.raises(TurnTimeoutError):
            await asyncio.wait_for(anext(session.stream("hello", inactivity_timeout=0.2)), 5)
        with pytest.raises(RpcTimeoutError):
            await asyncio.wait_for(client.rpc("ping", timeout=0.2), 5)
        begun = time.monotonic()
    assert time.monotonic() - begun <= 2
    assert not Path(f"/proc/{process}").exists()
    assert "lost" not in caplog.text  # it was ended on purpose


# A child gets the environment it needs (A15).

SECRETS = {
    "RIGHTSEAT_KEYS": "canary-keys",
    "RIGHTSEAT_MANAGEMENT_KEY": "canary-management",
    "RIGHTSEAT_KEY_PEPPER": "canary-pepper",
    "RIGHTSEAT_SECRETS_PASSPHRASE": "canary-passphrase",
    "RIGHTSEAT_KEY_DATABASE": "postgresql://user:canary-database@db/keys",
    "VAULT_TOKEN": "canary-vault",
    "COPILOT_API_KEY": "canary-api-key",
}
OTHERS = {
    "AWS_SECRET_ACCESS_KEY": "canary-aws",
    "DATABASE_URL": "postgresql://user:canary-url@db/x",
    "OPENAI_API_KEY": "canary-openai",
    "NODE_AUTH_TOKEN": "canary-npm",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=canary-otel",
}
NEEDED = {
    "PATH": "/bin",
    "HOME": "/home/x",
    "LC_ALL": "C.UTF-8",
    "https_proxy": "http://proxy:1",
    "NODE_EXTRA_CA_CERTS": "/ca.pem",
    "XDG_CONFIG_HOME": "/c",
    "COPILOT_HOME": "/h",
    "COPILOT_GITHUB_TOKEN": "gho_x",
    "GH_TOKEN": "gho_y",
    "GITHUB_TOKEN": "gho_z",
    "GH_HOST": "x.ghe.com",
    "COPILOT_PROVIDER_API_KEY": "for the CLI itself",
    "VIRTUAL_ENV": "/venv",
}


def test_the_cli_gets_what_is_on_the_list():
    assert cli_environment({**SECRETS, **OTHERS, **NEEDED}) == NEEDED
    assert cli_environment({**OTHERS, **NEEDED}, also=["DATABASE_URL"]) == NEEDED | {
        "DATABASE_URL": OTHERS["DATABASE_URL"]
    }


def test_a_command_of_the_users_gets_his_environment_without_our_secrets():
    theirs = {**OTHERS, **NEEDED, "RIGHTSEAT_PORT": "1", "RIGHTSEAT_LOG": "json", "VAULT_ADDR": "http://v"}
    assert without_our_secrets({**theirs, **SECRETS, "RIGHTSEAT_KEYS_FILE": "/k"}) == theirs


def telltale(path: Path) -> str:
    """A "CLI" that writes down its environment and ends."""
    path.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        f"open({str(path.with_suffix('.json'))!r}, 'w').write(json.dumps(dict(os.environ)))\nsys.exit(3)\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize("use_stdio", [True, False])
async def test_a_child_of_the_client_has_none_of_our_secrets(tmp_path, monkeypatch, use_stdio):
    for name, value in {**SECRETS, **OTHERS, "COPILOT_GITHUB_TOKEN": "gho_for_the_cli"}.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "copilot"
    with pytest.raises(Exception, match="status 3"):
        await CopilotClient(cli_path=telltale(path), use_stdio=use_stdio).start()
    seen = path.with_suffix(".json").read_text()
    assert "canary" not in seen
    assert json.loads(seen)["COPILOT_GITHUB_TOKEN"] == "gho_for_the_cli"


async def test_an_environment_that_is_given_is_passed_as_it_is(tmp_path):
    path = tmp_path / "copilot"
    with pytest.raises(Exception, match="status 3"):
        await CopilotClient(cli_path=telltale(path), env={**SECRETS, "PATH": "/bin"}).start()
    seen = json.loads(path.with_suffix(".json").read_text())
    assert {name: seen.get(name) for name in SECRETS} == SECRETS


@pytest.mark.contract
async def test_a_shell_tool_of_the_real_cli_sees_none_of_our_secrets(simulator, cli_path, tmp_path, monkeypatch):
    from rightseat import PermissionHandler
    from rightseat.simulator.environment import simulated_environment

    for name, value in simulated_environment(simulator.url, tmp_path / "home", {}).items():
        monkeypatch.setenv(name, value)
    for name, value in {**SECRETS, **OTHERS}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    async with CopilotClient(cli_path=cli_path, working_directory=str(tmp_path)) as client:
        session = await client.create_session(on_permission_request=PermissionHandler.approve_all)
        reply = await session.send_and_wait("Run the shell command `env` and reply with its output")
        environment = Path(f"/proc/{client.process_id}/environ").read_bytes()
    assert "LC_ALL=C.UTF-8" in reply.data.content
    assert "canary" not in reply.data.content
    assert b"canary" not in environment


async def test_a_command_in_the_simulator_has_none_of_our_secrets():
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    argv = [sys.executable, "-m", "rightseat", "simulate", "--", sys.executable, "-c", show]
    env = {**os.environ, **OTHERS, **SECRETS}
    process = await asyncio.create_subprocess_exec(*argv, env=env, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    seen = json.loads(out.decode().splitlines()[-1])
    assert {name: seen[name] for name in OTHERS} == OTHERS
    assert [name for name, value in SECRETS.items() if seen.get(name) == value] == []


# The watcher of a child's output.


async def test_a_listener_of_stderr_that_fails_ends_nothing(tmp_path, caplog):
    def broken(line):
        raise RuntimeError("broken listener of stderr")

    path = tmp_path / "copilot"
    path.write_text(f"#!{sys.executable}\nimport sys\nprint('one\\ntwo', file=sys.stderr)\nsys.exit(3)\n")
    path.chmod(0o755)
    with pytest.raises(Exception, match="two"):
        await CopilotClient(cli_path=str(path), on_stderr=broken).start()
    assert caplog.text.count("RuntimeError: broken listener of stderr") == 1


async def test_ids_can_be_given(scripted):
    class Counting:
        number = 0

        def uuid(self):
            self.number += 1
            return f"session-{self.number}"

    client, _ = await scripted(ids=Counting())
    assert [(await client.create_session()).session_id for _ in range(2)] == ["session-1", "session-2"]


async def test_a_dropped_stream_is_forgotten(scripted):
    client, cli = await scripted()
    session = await client.create_session(streaming=True)
    stream = session.stream("hello")
    await stream.__aenter__()
    del stream
    gc.collect()
    await cli.until("session.abort")
    assert not session._turns
