"""What takes time on a connection of our server, in virtual time: heads that do not come, bodies that stop, clients that do not read or leave."""

import asyncio
import time

import pytest
from tests.contract.http.cases import CHUNKED, GET, PLAIN, POST, with_length
from tests.contract.http.wire import Wired, methods_of, verdict

from rightseat.gateway.http.core.states import READING, WRITING
from rightseat.testing import run_virtual

FOREVER = b"GET /forever HTTP/1.1\r\nHost: a\r\n\r\n"


def said(transport, data=b""):
    return verdict(transport.said, transport.ended, methods_of(data))


def virtual(test):
    """A test in virtual time."""

    def run():
        run_virtual(test)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@virtual
async def test_a_head_has_a_time_and_an_idle_connection_a_longer_one():
    wired = Wired(header_seconds=20.0)
    nothing, half, drips = (wired.connect() for _ in range(3))
    half.send(PLAIN[:20])
    for byte in PLAIN[:19]:
        drips.send(bytes([byte]))
        await asyncio.sleep(1.0)
    await asyncio.sleep(1.1)
    assert [said(one) for one in (nothing, half, drips)] == ["408x"] * 3
    kept = wired.connect()
    kept.send(PLAIN)
    await asyncio.sleep(74.0)
    assert said(kept) == "200"
    kept.send(PLAIN)  # just before it is too late
    await asyncio.sleep(74.0)
    assert said(kept) == "200 200"
    await asyncio.sleep(2.0)
    assert said(kept) == "200 200x"  # and no bytes
    late = wired.connect()
    late.send(PLAIN)
    await asyncio.sleep(50.0)
    late.send(PLAIN[:10])  # from now on a head is due
    await asyncio.sleep(21.0)
    assert said(late) == "200 408x"


@virtual
async def test_a_body_that_stops_is_told_and_the_connection_ends():
    wired = Wired()
    for data in (with_length(b"5", b"abc"), POST + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n"):
        transport = wired.connect()
        transport.send(data)
        await asyncio.sleep(29.0)
        assert said(transport) == ""
        await asyncio.sleep(2.0)
        assert said(transport) == "408x"
        await asyncio.sleep(3.0)
        assert not transport.is_open
    assert wired.app.bodies.used == 0


@virtual
async def test_a_client_that_leaves_is_gone_and_nothing_is_called_after_it():
    wired = Wired()
    for data in (PLAIN[:10], with_length(b"5", b"abc"), FOREVER, PLAIN + FOREVER):
        transport = wired.connect()
        transport.send(data)
        await asyncio.sleep(0.1)
        transport.leave()
        await asyncio.sleep(0.1)
        assert not transport.is_open
    assert wired.app.gone == 3
    await asyncio.sleep(1000)
    assert wired.core.connections == wired.core.tasks == set()
    assert wired.core.shared.places._taken == {}


@virtual
async def test_a_client_that_reads_nothing_holds_one_answer_and_is_ended():
    wired = Wired()
    transport = wired.connect(limit=1000)
    transport.reads = False
    for _ in range(5):
        transport.send(PLAIN * 1000)
        await asyncio.sleep(0.1)
    held = len(transport.said)
    assert held < 1000 + 2 * len(transport.said.split(b"HTTP")[1]) + 20
    assert len(wired.app.seen) < 10  # the others wait, unread
    transport.take()
    await asyncio.sleep(0.1)
    assert len(transport.said) > held
    await asyncio.sleep(119.0)
    assert transport.is_open
    await asyncio.sleep(2.0)
    assert not transport.is_open


@virtual
async def test_a_large_answer_is_under_way_until_its_client_has_taken_it():
    wired = Wired()
    transport, leaves = wired.connect(), wired.connect()
    for one in (transport, leaves):
        one.reads = False
        one.send(b"GET /large?20000000 HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.sleep(1.0)
    assert len(transport.said) < 200_000
    assert (len(wired.core.tasks), wired.app.done) == (2, 0)
    leaves.leave()
    await asyncio.sleep(1.0)
    assert (len(wired.core.tasks), wired.app.done, wired.app.gone) == (1, 0, 1)
    while wired.core.tasks:
        transport.take()
        await asyncio.sleep(0.1)
    assert (said(transport), wired.app.done) == ("200", 1)


@virtual
async def test_a_client_that_reads_slowly_gets_all_and_one_that_stops_is_ended():
    wired = Wired()
    slow, stops = wired.connect(), wired.connect()
    for one in (slow, stops):
        one.reads = False
        one.send(b"GET /large?60000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    for _ in range(50):
        slow.take(1000)
        await asyncio.sleep(1.0)
    assert (slow.is_open, stops.is_open) == (True, False)
    await asyncio.sleep(21.0)
    assert not slow.is_open

    slow = wired.connect()  # whose answer is not all written yet
    slow.reads = False
    slow.send(b"GET /large?1000000 HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(10):
        slow.take(1000)
        await asyncio.sleep(100.0)
    assert slow.is_open
    await asyncio.sleep(241.0)
    assert not slow.is_open


@virtual
async def test_a_stream_that_fails_waits_for_its_client_for_a_moment_only():
    wired = Wired()
    transport = wired.connect(limit=10)
    transport.reads = False
    transport.send(b"GET /fail-late HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.sleep(1.0)
    transport.take()
    await asyncio.sleep(1.0)
    assert b"failed" in transport.said
    assert len(wired.core.tasks) == 1
    await asyncio.sleep(1.5)
    assert wired.core.tasks == set()


@virtual
async def test_a_stream_that_is_there_at_once_is_written_at_once():
    transport = Wired().connect()
    transport.send(b"GET /pushed HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.sleep(1.0)
    assert transport.said.endswith(b"\r\n9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n")
    assert transport.writes == 1


@virtual
async def test_no_request_follows_where_the_server_ends_while_an_answer_is_taken():
    wired = Wired()
    transport = wired.connect(limit=10)
    transport.reads = False
    transport.send(PLAIN)
    await asyncio.sleep(0.1)
    for connection in list(wired.core.connections):
        connection.close_if_idle()
    transport.take()
    await asyncio.sleep(0.1)
    assert not transport.is_open


@virtual
async def test_a_connection_without_a_byte_is_no_request():
    wired = Wired(header_seconds=20.0)
    for data in (b"", b"GET /half HTTP/1.1\r\n"):
        wired.connect().send(data)
    await asyncio.sleep(21.0)
    assert wired.app.refusals == [("GET", "/half", "head_timeout")]
    await asyncio.sleep(2.0)
    assert wired.core.connections == set()


@virtual
async def test_a_method_of_anything_is_not_told():
    wired = Wired()
    for method in (b"\xff\x1b[31m", b"A" * 21, b"PROPFIND"):
        wired.connect().send(method + b" /p HTTP/1.1\r\nHost a\r\n\r\n")
    assert [one[:2] for one in wired.app.refusals] == [("GET", "/p"), ("GET", "/p"), ("PROPFIND", "/p")]


@virtual
async def test_an_answer_before_its_body_is_read_and_the_rest_thrown_away_for_a_moment():
    wired = Wired()
    transport = wired.connect()
    transport.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n")
    for _ in range(10):
        transport.send(b"x" * 100_000)
        await asyncio.sleep(0.1)
    assert said(transport) == "401x"
    assert transport.is_open  # so that the client reads it
    await asyncio.sleep(2.0)
    assert not transport.is_open


@virtual
async def test_an_end_closes_what_is_idle_and_waits_for_what_is_not():
    wired = Wired()
    idle, half, busy = (wired.connect() for _ in range(3))
    idle.send(PLAIN)
    half.send(PLAIN[:10])
    busy.send(with_length(b"5"))
    await asyncio.sleep(0.1)
    for connection in list(wired.core.connections):
        connection.close_if_idle()
    await asyncio.sleep(0.1)
    assert (said(idle), said(half), said(busy)) == ("200x", "x", "")
    busy.send(b"hello" + PLAIN)
    await asyncio.sleep(0.1)
    assert said(busy) == "200x"


@virtual
async def test_connections_over_the_limits():
    wired = Wired(connections=3, connections_per_address=1000)
    idle = [wired.connect() for _ in range(3)]
    transport = wired.connect()
    transport.send(PLAIN)
    await asyncio.sleep(0.1)
    assert said(transport) == "503x"
    idle[0].leave()
    wired = Wired(connections_per_address=2)
    many = [wired.connect() for _ in range(3)]
    assert [one.is_open for one in many] == [True, True, False]


@virtual
async def test_a_socket_keeps_what_came_with_its_handshake():
    wired = Wired()
    transport = wired.connect()
    hello = GET + (
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    transport.send(hello + b"\x81\x82\0\0\0\0hi")
    await asyncio.sleep(0.1)
    head, _, frames = bytes(transport.said).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert frames == b"\x81\x08heard hi"
    transport.send(b"\x88\x80\0\0\0\0")
    await asyncio.sleep(0.1)
    assert not transport.is_open
    assert wired.memory.used == 0


def test_a_long_value_in_many_pieces_is_linear():
    async def run():
        took = []
        for pieces in (1000, 6000):
            transport = Wired(header_limit=64 * 1024).connect()
            transport.send(GET + b"X: ")
            began = time.thread_time()
            for _ in range(pieces):
                transport.send(b"a" * 8)
            took.append(time.thread_time() - began)
        assert took[1] < 6 * 4 * took[0] + 0.05
        transport.send(b"a" * 20_000)
        assert said(transport) == "431x"

    asyncio.run(run())


def test_blank_lines_within_chunks_cost_what_other_bytes_do():
    def cost(unit, size):
        wired = Wired()
        transport = wired.connect()
        data = POST + CHUNKED + b"\r\n%x\r\n" % size + unit * (size // len(unit)) + b"\r\n0\r\n\r\n"
        began = time.thread_time()
        transport.send(data)
        return time.thread_time() - began, said(transport)

    async def run():
        plain = min(cost(b"abcd", 2**21)[0] for _ in range(3))
        blank = min(cost(b"\r\n\r\n", 2**21)[0] for _ in range(3))
        assert blank < 20 * plain + 0.01
        assert blank < 8 * 4 * min(cost(b"\r\n\r\n", 2**18)[0] for _ in range(3)) + 0.05

    asyncio.run(run())


@pytest.mark.parametrize("table", [READING, WRITING])
def test_every_state_leads_to_the_end(table):
    (last,) = [state for state, ahead in table.items() if not ahead]
    for state in table:
        seen, ahead = set(), {state}
        while ahead:
            seen |= ahead
            ahead = {after for one in ahead for after in table[one]} - seen
        assert last in seen
