"""Every row of `cases` by both servers, and in every split by our own: it is never the laxer one, and where the two differ it is written down."""

import asyncio
import logging

import pytest
import uvloop
from tests.contract.http.cases import CASES, corpus
from tests.contract.http.quirks import TWIN
from tests.contract.http.wire import Saying, Wired, methods_of, verdict
from tests.gateway.edge import SERVERS

from rightseat.gateway.http.asgi import AsgiExchange, head_of
from rightseat.gateway.http.limits import MemoryBudget
from rightseat.gateway.http.live import Live
from rightseat.gateway.http.server_options import ServerOptions, Shared
from rightseat.testing import run_virtual
from rightseat.transport.listen import listen

SETTLE = 1e-6  # virtual seconds: everything that is ready has run when it is over
PLACES = 16  # at which a row is cut in two, where it is longer than that; `fuzz` cuts anywhere
PATIENCE = 0.3  # for what is not to come


async def outcome(pieces):
    """What our server makes of some pieces: the verdict, and the requests that the application saw."""
    wired = Wired()
    transport = wired.connect()
    for piece in pieces:
        transport.send(piece)
        await asyncio.sleep(0)
    await asyncio.sleep(SETTLE)
    result = verdict(transport.said, transport.ended, methods_of(b"".join(pieces)))
    seen = [one[:4] for one in wired.app.seen]
    transport.abort()
    await asyncio.sleep(SETTLE)
    assert wired.app.bodies.used == 0
    return result, seen


def splits(data):
    """The same bytes in other pieces. Long ones at some places only."""
    size = 1 if len(data) < 400 else 997
    yield [data[i : i + size] for i in range(0, len(data), size)]
    for at in range(1, len(data), max(1, len(data) // PLACES)):
        yield [data[:at], data[at:]]


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Some rows make the application fail on purpose."""
    caplog.set_level(logging.CRITICAL, "rightseat")


def test_ours_is_right_however_the_bytes_come():
    wrong = []

    async def run():
        for case in CASES:
            whole, seen = await outcome([case.data])
            if whole not in case.right.split("|") or (case.body is not None and seen[0][3] != case.body):
                wrong.append((case.id, whole, case.right, seen))
            for pieces in splits(case.data):
                got, saw = await outcome(pieces)
                if got not in case.right.split("|") or saw != seen:
                    wrong.append((case.id, [len(one) for one in pieces][:5], got, case.right, saw == seen))
                    break

    run_virtual(run)
    assert wrong == []


class Both(Saying):
    """The application for ASGI, too."""

    async def __call__(self, scope, receive, send):
        exchange = AsgiExchange(head_of(scope), "request-1", receive, send, self.body_limits)
        exchange.attach(scope)
        try:
            await self.serve(exchange)
        finally:
            exchange.close()


async def asked(port, data, patience):
    """What comes back for some bytes over a socket, and whether the connection was ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said, ended = b"", True
    try:
        writer.write(data)
        while piece := await asyncio.wait_for(reader.read(65536), patience):
            said += piece
    except TimeoutError:
        ended = False
    except ConnectionError:
        pass
    writer.close()
    return said, ended


async def served(server, rows, fits):
    """What a server on a real socket says to each row, and what the application saw. What does not fit is asked again with more patience."""
    app, listener, stop, ready = Both(), listen("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
    shared = Shared(ServerOptions(drain_seconds=0.1), Live(), MemoryBudget(1000))
    serving = asyncio.ensure_future(SERVERS[server](app, listener, shared, stop=stop, on_ready=ready.set))
    await ready.wait()
    port = listener.getsockname()[1]
    said = []
    for i in range(0, len(rows), 100):
        said += await asyncio.gather(*(asked(port, data, PATIENCE) for _, data in rows[i : i + 100]))
    for i, (name, data) in enumerate(rows):
        if not fits(name, data, *said[i]):
            said[i] = await asked(port, data, 2.0)
    stop.set()
    await serving
    return said, app.seen


def verdicts(server, twin, loop_factory=None):
    right = {case.id: [*case.right.split("|"), *twin.get(case.id, ())[:1]] for case in CASES}

    def fits(name, data, said, ended):
        return verdict(said, ended, methods_of(data)) in right[name]

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        said, _ = runner.run(served(server, [(case.id, case.data) for case in CASES], fits))
    got = [verdict(one, ended, methods_of(case.data)) for case, (one, ended) in zip(CASES, said, strict=True)]
    return {case.id: one for case, one in zip(CASES, got, strict=True) if one not in case.right.split("|")}


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_ours_is_right_on_a_socket(loop):
    assert verdicts("core", {}, loop) == {}


def test_the_twin_differs_where_it_is_written_down():
    assert verdicts("uvicorn", TWIN) == {name: said for name, (said, _why) in TWIN.items()}


@pytest.mark.parametrize("server", SERVERS)
def test_nothing_is_smuggled(server):
    """In none of 300 requests that two servers may read differently is the hidden one answered."""
    rows = corpus()
    assert len(rows) >= 300
    with asyncio.Runner() as runner:
        said, seen = runner.run(served(server, rows, lambda *_: True))
    assert [one for one in seen if one[1] == "/smuggled"] == []
    assert {name: one for (name, _), (one, _) in zip(rows, said, strict=True) if one.count(b"HTTP/1.1 ") > 1} == {}
