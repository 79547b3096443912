"""D3: the same objects without `await`, from any thread; Ctrl-C ends the call that is waited for, and closes."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import rightseat
from rightseat import RuntimeConnection, WrongLoopError
from rightseat.errors import InvalidOptionError, NotStartedError
from rightseat.sync import CopilotClient, CopilotSDK, LazySession, SessionPool
from rightseat.sync.loop_thread import loop_thread

FAKE_CLI = str(Path(__file__).parent.parent.parent / "benchmarks" / "fake_cli.py")


async def echo(request):
    for word in request.prompt.split(" "):
        await asyncio.sleep(0)
        yield word + " "


def fake_cli() -> CopilotClient:
    return CopilotClient(connection=RuntimeConnection.for_stdio(path=FAKE_CLI), env={**os.environ, "DELTAS": "20"})


def test_many_threads_ask_at_once_and_get_their_own_answers():
    with CopilotSDK(handler=echo) as sdk, sdk.create_session() as session, ThreadPoolExecutor(16) as threads:
        whole = list(threads.map(lambda n: session.chat(f"number {n}").text.strip(), range(50)))
        assert whole == [f"number {n}" for n in range(50)]

        def read(n):
            return "".join(chunk.text for chunk in session.stream(f"stream {n}")).strip()

        assert list(threads.map(read, range(50))) == [f"stream {n}" for n in range(50)]
        assert len(session.history) == 200
        assert sdk.sessions == 1
    with pytest.raises(NotStartedError):
        sdk.create_session()


def test_errors_and_options_are_those_of_the_asynchronous_object():
    with CopilotSDK(handler=echo) as sdk, sdk.create_session() as session:
        with pytest.raises(InvalidOptionError):
            session.chat("")
        with pytest.raises(rightseat.UnknownOptionError, match="temperature"):
            session.chat("hello", temperatur=1)


def test_leaving_a_loop_ends_the_answer():
    ended = threading.Event()

    async def endless(request):
        try:
            while True:
                yield "word "
                await asyncio.sleep(0)
        finally:
            ended.set()

    with CopilotSDK(handler=endless) as sdk, sdk.create_session() as session:
        for _ in session.stream("hello"):
            break
        assert ended.wait(5)
        ended.clear()
        with session.stream("hello") as stream:
            next(iter(stream))
        assert ended.wait(5)


def test_pools_and_lazy_sessions():
    with CopilotSDK(handler=echo) as sdk:
        with SessionPool(sdk, size=2) as pool, pool.session() as session:
            assert session.chat("from a pool").text == "from a pool "
        with LazySession(sdk) as lazy:
            assert lazy.chat("lazy").text == "lazy "
            assert lazy.get().model == sdk.model


def test_a_client_of_a_cli():
    seen, came = [], threading.Semaphore(0)
    with fake_cli() as client, client.create_session(streaming=True) as session:
        assert client.state == "connected"
        assert client.ping("hello").message

        def handler(event):
            seen.append(
                (event.raw_type, threading.current_thread() is threading.main_thread(), client.ping("x").message)
            )
            came.release()

        stop = session.on(handler, "session.idle")
        assert session.send_and_wait("hello").type == "assistant.message"
        assert "".join(session.stream("hello")).endswith("done")
        with session.events() as events:
            session.send("hello")
            assert any(event.raw_type == "session.idle" for event in events)
        assert all(came.acquire(timeout=10) for _ in range(3))
        stop()
        assert session.rpc.no.such.method is not None
    assert {kind for kind, _, _ in seen} == {"session.idle"}
    assert not any(in_main for _, in_main, _ in seen)


def test_a_coroutine_function_that_waits_for_a_twin_is_told_instead_of_hanging():
    async def wrong(request):
        yield sdk.chat("another").text

    with CopilotSDK(handler=wrong) as sdk, pytest.raises(WrongLoopError, match="plain function"):
        sdk.chat("hello")


def test_a_module_global_sdk_under_two_loops_says_what_to_do():
    sdk = rightseat.CopilotSDK(handler=echo)
    assert asyncio.run(sdk.chat("hello")).text == "hello "
    with pytest.raises(WrongLoopError, match="rightseat.sync"):
        asyncio.run(sdk.chat("hello"))


def test_a_context_of_the_caller_is_seen():
    import contextvars

    variable = contextvars.ContextVar("variable")

    async def show(request):
        yield variable.get("nothing")

    variable.set("something")
    with CopilotSDK(handler=show) as sdk:
        assert sdk.chat("hello").text == "something"


def test_a_child_process_starts_a_loop_of_its_own():
    with CopilotSDK(handler=echo) as sdk:
        sdk.chat("in the parent")
        thread = loop_thread()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:  # in the child nothing may return to pytest
            said = "?"
            try:
                try:
                    sdk.chat("hello")
                except WrongLoopError as e:
                    said = "told" if "forked" in str(e) else str(e)
                with CopilotSDK(handler=echo) as own:
                    said += " " + own.chat("and answered").text
            finally:
                os.write(writing, said.encode())
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as said:
            assert said.read() == "told and answered "
        os.waitpid(child, 0)
        assert loop_thread() is thread


PROGRAM = """
import asyncio, signal, sys
from rightseat import RuntimeConnection
from rightseat.sync import CopilotClient, CopilotSDK

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it

async def never(request):
    print("asked", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("cancelled", flush=True)
    yield ""

"""


def run(program: str) -> subprocess.Popen:
    env = {**os.environ, "DELTAS": "20"}
    return subprocess.Popen([sys.executable, "-c", PROGRAM + program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)  # fmt: skip


def test_ctrl_c_cancels_the_call_and_closes():
    process = run("""
with CopilotSDK(handler=never) as sdk, sdk.create_session() as session:
    try:
        session.chat("hello")
    except KeyboardInterrupt:
        print("interrupted, open:", not session.closed, flush=True)
        raise
    finally:
        session.on_close(lambda: print("closed", flush=True))
""")
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert out.splitlines() == ["cancelled", "interrupted, open: True", "closed"]
    assert "KeyboardInterrupt" in errors
    assert process.returncode == -signal.SIGINT


def test_what_is_left_open_is_closed_when_the_program_ends():
    process = run(f"""
client = CopilotClient(connection=RuntimeConnection.for_stdio(path={FAKE_CLI!r}))
client.start()
print(client.process_id, flush=True)
""")
    child = int(process.stdout.readline())
    out, errors = process.communicate(timeout=30)
    assert (out, errors, process.returncode) == ("", "", 0)
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.contract
async def test_questions_tools_and_permissions_of_the_real_cli(simulator, cli_path, tmp_path):
    from rightseat.simulator.environment import simulated_environment

    def body():
        env = {**simulated_environment(simulator.url, tmp_path, os.environ), "COPILOT_HOME": str(tmp_path)}
        threads = set()

        def allow(request):
            threads.add(threading.current_thread().name.rpartition("_")[0])
            return client.ping("from a handler").message != ""

        def lookup(text: str) -> str:
            """Look something up."""
            return client.ping(text).message

        with CopilotClient(env=env, cli_path=cli_path, working_directory=str(tmp_path)) as client:
            with client.create_session(tools=[lookup], on_permission_request=allow, streaming=True) as session:
                answers = [
                    session.send_and_wait("Run the shell command `echo hi` and reply with its output").data.content
                ]
                answers.append("".join(session.stream('Use the lookup tool: {"text": "it"}')))
            with CopilotSDK(client=client) as sdk:
                answers.append(sdk.chat("Reply with exactly: over both").text)
        return answers, threads

    answers, threads = await asyncio.to_thread(body)
    assert answers == ["hi", "The tool answered: pong: it", "over both"]
    assert threads == {"rightseat-sync"}
