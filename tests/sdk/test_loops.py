"""D3: an object belongs to one event loop; whoever uses it in another is told so, and what to do."""

import asyncio
import gc

import pytest

from rightseat import CliNotFoundError, CopilotClient, RuntimeConnection, WrongLoopError
from rightseat.simulator.peer import ScriptedCli
from rightseat.transport.memory import MemoryStream


def open_client():
    """A client that an earlier asyncio.run has started and not stopped, and a session of it."""

    async def run():
        ours, theirs = MemoryStream.pair()
        cli = await ScriptedCli(theirs).__aenter__()
        client = CopilotClient(connection=RuntimeConnection.for_stream(ours))
        await client.start()
        return client, await client.create_session(streaming=True), cli

    return asyncio.run(run())


def test_a_client_of_an_earlier_loop_says_what_to_do():
    client, session, _ = open_client()

    async def use(call):
        return await call()

    for call in (
        client.start,
        client.create_session,
        client.ping,
        client.stop,
        lambda: session.send("hello"),
        lambda: session.send_and_wait("hello"),
        lambda: anext(session.stream("hello")),
        lambda: anext(session.events()),
        session.disconnect,
    ):
        with pytest.raises(WrongLoopError, match="rightseat.sync") as caught:
            asyncio.run(use(call))
        assert "this CopilotClient was used in a second event loop" in str(caught.value)
        assert "the first, which is closed" in str(caught.value)


async def test_a_thread_without_a_loop_is_told_too(scripted):
    client, _ = await scripted()
    session = await client.create_session()

    async def listener(event):
        pass

    def use():
        with pytest.raises(WrongLoopError, match="without a running event loop"):
            session.on(listener)

    await asyncio.to_thread(use)


async def test_a_client_that_was_stopped_belongs_to_nobody(scripted):
    client, _ = await scripted()
    await client.stop()
    await asyncio.to_thread(asyncio.run, client.stop())


def test_a_client_that_could_not_start_belongs_to_nobody(tmp_path):
    client = CopilotClient(cli_path=str(tmp_path / "no such file"))
    for _ in range(2):
        with pytest.raises(CliNotFoundError):
            asyncio.run(client.start())


async def test_a_stream_may_be_dropped_in_any_thread(scripted):
    client, cli = await scripted()
    session = await client.create_session(streaming=True)
    held = [session.stream("hello")]
    await held[0].__aenter__()

    def drop():
        held.clear()
        gc.collect()

    await asyncio.to_thread(drop)
    await cli.until("session.abort")


async def test_closing_a_stream_ends_whoever_waits_for_it_also_when_the_cli_hangs(scripted):
    client, cli = await scripted()
    cli.methods["session.abort"] = lambda _: asyncio.Event().wait()
    session = await client.create_session(streaming=True)
    stream = session.stream("hello")
    waiting = asyncio.ensure_future(anext(stream, "the end"))
    await cli.until("session.send")
    closing = asyncio.ensure_future(stream.aclose())
    assert await asyncio.wait_for(waiting, 5) == "the end"
    closing.cancel()
