"""Each row of response_cases, by both clients on real sockets: at once and byte by byte, pulled and pushed; ours at every split besides."""

import asyncio
import contextlib

import pytest
from tests.contract.http import fuzz_responses
from tests.contract.http.clients import CLIENTS, Client, Taken, ask, serving
from tests.contract.http.memory import exchanged
from tests.contract.http.response_cases import AIOHTTP, CASES, COUNTED, Case, Outcome

from rightseat.errors import ConnectionLostError

_SMALL = 2000  # bytes; larger answers are not sent byte by byte


async def outcome(sender, case: Case, *, slowly: bool, pushed: bool) -> Outcome:
    """What comes of an answer, and of a request after it."""

    async def script(head, reader, writer):
        if b" /next " in head:
            writer.write(COUNTED)
            return False
        for piece in [case.answer[i : i + 1] for i in range(len(case.answer))] if slowly else [case.answer]:
            writer.write(piece)
            await asyncio.sleep(0)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        return case.ends

    async with serving(script) as server:
        status, body, whole = 0, b"", True
        try:
            stream = await sender.open(ask(server.url, case.method))
        except ConnectionLostError as e:
            assert e.reached
            whole = False
        else:
            status = stream.status
            pieces: list[bytes] = []
            try:
                if pushed:
                    taken = Taken()
                    pieces = taken.pieces
                    stream.into(taken)
                    await taken.ended
                else:
                    async for piece in stream.chunks():
                        pieces.append(piece)
            except ConnectionLostError as e:
                assert e.reached
                whole = False
            await stream.aclose()
            body = b"".join(pieces)
        return Outcome(status, b"" if case.part else body, whole, await reused(sender, server))


async def reused(sender, server) -> bool | None:
    """Whether the next request goes over the same connection, and gets the answer to it."""
    try:
        after = await sender.open(ask(server.url + "/next"))
        body = await after.read()
        await after.aclose()
    except ConnectionLostError:
        return None
    return server.connections == 1 if body == b"hello" else None


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_every_row_on_real_sockets(client: Client):
    async def main() -> dict[str, str]:
        wrong = {}
        async with client.sender() as sender:
            for case in CASES:
                right = (case.right,) if client.ours or case.id not in AIOHTTP else AIOHTTP[case.id].outcomes
                for slowly in (False, True) if len(case.answer) < _SMALL else (False,):
                    for pushed in (False, True) if right else ():
                        got = await outcome(sender, case, slowly=slowly, pushed=pushed)
                        if got not in right:
                            wrong[f"{case.id} {slowly=} {pushed=}"] = f"{brief(got)}, not {[*map(brief, right)]}"
        return wrong

    assert client.run(main()) == {}


def test_every_difference_of_the_twin_is_one():
    rows = {case.id: case for case in CASES}
    assert set(AIOHTTP) <= set(rows)
    assert len(rows) == len(CASES)
    for name, quirk in AIOHTTP.items():
        assert quirk.reason
        assert set(quirk.outcomes) != {rows[name].right}


def brief(outcome: Outcome) -> Outcome:
    return outcome._replace(body=outcome.body[:20])


def splits(answer: bytes):
    """It in two pieces, at every place; and byte by byte."""
    yield [answer]
    yield [answer[i : i + 1] for i in range(len(answer))]
    for at in range(1, len(answer)):
        yield [answer[:at], answer[at:]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_every_split_is_the_same_to_ours(case: Case):
    pieces_of = splits(case.answer) if len(case.answer) < _SMALL else [[case.answer]]
    got = {exchanged(pieces, ends=case.ends, method=case.method) for pieces in pieces_of}
    assert {brief(each._replace(body=b"") if case.part else each) for each in got} == {brief(case.right)}


async def test_mutated_answers_end_the_same_way_however_they_come():
    assert await fuzz_responses.run(1000, seed=14, twin=0) == []
