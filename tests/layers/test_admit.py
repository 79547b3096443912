"""Admit: whatever happens to a call, its reservation is settled once, by what it used (A3)."""

import asyncio

import msgspec
import pytest

from rightseat.chat import Answer, ChatRequest, Estimate, Meta, Usage
from rightseat.errors import CircuitOpenError, ConnectionLostError, RateLimitedError, UpstreamError
from rightseat.gateway.access.admission import Admission, KeyLimitError
from rightseat.gateway.access.caller import Caller
from rightseat.gateway.access.keys import KeyRing
from rightseat.gateway.access.refusals import Refusals
from rightseat.handler import stack
from rightseat.layers import Backoff, Retry
from rightseat.layers.admit import Admit
from rightseat.layers.observe import CURRENT, Call, retried
from rightseat.state.budget import Spent
from rightseat.state.memory import MemoryState

ESTIMATE = Estimate(100, 1000)
TOLD = Usage(80, 50, cached_tokens=7)


async def pepper(_):
    """What keys the hashes."""
    return b"pepper"


class Desk:
    """A real desk over a store in memory, for one key."""

    async def start(self, **limits):
        self.state = MemoryState()
        ring = KeyRing(self.state.keys, pepper)
        self.key, _ = await ring.create("ann", **limits)
        self.admission = Admission(self.state.ledger, ring, Refusals())
        return self

    async def ask(self, service, layers=()):
        await self.admission.enter(Caller(self.key.id))
        handler = stack(Admit(desk=self.admission), *layers)(service)
        return await handler(request(self.key.id))

    async def used(self):
        """What is booked, once nothing is reserved any more."""
        spent = await self.admission.spent()
        assert self.state.ledger._db.open == {}
        return spent[self.key.id]["day"]


@pytest.fixture(params=["limited", "free"])
async def desk(request):
    """For a key with a budget, and for one without: what they use is reckoned alike."""
    return await Desk().start(**({"daily_tokens": 10_000} if request.param == "limited" else {}))


def request(caller):
    return ChatRequest("gpt-5", (), meta=Meta(caller=caller, estimate=ESTIMATE))


def answering(*, told=None, is_final=False, received=0, fails=None, sends=True):
    """A service that asks upstream, and an answer of two pieces."""

    async def service(asked):
        if sends:
            asked.meta.on_sent()

        async def pieces():
            yield b"a"
            answer.usage, answer.is_final, answer.received = told, is_final, received
            if fails is not None:
                raise fails
            yield b"b"

        answer = Answer(pieces())
        return answer

    return service


async def read(answer):
    async with answer:
        return [piece async for piece in answer]


class TestBooking:
    async def test_final_usage_counts(self, desk):
        await read(await desk.ask(answering(told=TOLD, is_final=True, received=70)))
        assert await desk.used() == Spent(1, 80, 50, 7)

    async def test_without_a_word_about_usage_it_is_reckoned_by_what_was_sent_and_received(self, desk):
        await read(await desk.ask(answering(received=300)))
        assert await desk.used() == Spent(1, 100, 300)

    async def test_what_is_told_on_the_way_is_the_least(self, desk):
        await read(await desk.ask(answering(told=Usage(400, 11), received=300)))
        assert await desk.used() == Spent(1, 400, 300)

    async def test_final_usage_of_nothing_is_a_value(self, desk):
        await read(await desk.ask(answering(told=Usage(0, 0), is_final=True, received=3)))
        assert await desk.used() == Spent(1)

    async def test_a_last_word_that_cannot_be_true_is_not_believed(self, desk):
        answer = await desk.ask(answering(told=Usage(80, 1), is_final=True, received=60))
        answer.least = 40  # pieces of text, each a token at least
        await read(answer)
        assert await desk.used() == Spent(1, 100, 60)

    @pytest.mark.parametrize(("received", "booked"), [(850, 850), (1000, 900), (5000, 5000 - 256)])
    async def test_what_frames_an_answer_is_not_taken_for_more_than_its_limit(self, desk, received, booked):
        await read(await desk.ask(answering(received=received)))
        assert await desk.used() == Spent(1, 100, booked)

    async def test_a_try_that_was_sent_and_lost_costs_what_was_sent(self, desk):
        tries = [ConnectionLostError("lost"), UpstreamError(503, "busy"), None]

        async def service(asked):
            error = tries.pop(0)
            if error is None:
                return await answering(told=TOLD, is_final=True)(asked)
            asked.meta.on_sent()
            error.reached = True
            raise error

        token = CURRENT.set(Call("chat", "gpt-5"))
        try:
            layer = Retry(backoff=Backoff(attempts=3), on_retry=retried, chance=lambda: 0.0)
            await read(await desk.ask(service, [layer]))
        finally:
            CURRENT.reset(token)
        assert await desk.used() == Spent(1, 80 + 100, 50, 7)

    async def test_a_reservation_has_room_for_every_try(self):
        desk = await Desk().start(daily_tokens=10_000)
        answer = await Admit(desk=desk.admission, tries=5)(answering())(request(desk.key.id))
        (held,) = desk.state.ledger._db.open.values()
        assert held.most == 1000 + 3 * 100
        await answer.aclose()

    async def test_an_answer_that_breaks_is_reckoned(self, desk):
        answer = await desk.ask(answering(received=30, fails=ConnectionLostError("cut")))
        with pytest.raises(ConnectionLostError):
            await read(answer)
        assert await desk.used() == Spent(1, 100, 30)

    async def test_a_client_that_leaves_in_the_middle_is_reckoned(self, desk):
        answer = await desk.ask(answering(told=Usage(80, 1), received=25))
        async for _ in answer:
            answer.received = 25
            break
        await answer.aclose()
        await answer.aclose()
        assert await desk.used() == Spent(1, 100, 25)

    async def test_a_client_that_never_reads_is_reckoned(self, desk):
        await (await desk.ask(answering())).aclose()
        assert await desk.used() == Spent(1, 100, 0)

    async def test_a_client_that_leaves_before_the_head_is_reckoned_once_upstream_was_asked(self, desk):
        waits = asyncio.Event()

        async def service(asked):
            asked.meta.on_sent()
            waits.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(desk.ask(service))
        await waits.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await desk.used() == Spent(1, 100)

    async def test_a_client_that_leaves_before_upstream_was_asked_costs_nothing(self, desk):
        waits = asyncio.Event()

        async def service(_):
            waits.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(desk.ask(service))
        await waits.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await desk.used() == Spent(1)

    @pytest.mark.parametrize("sends", [True, False])
    async def test_an_error_in_upstreams_head_costs_no_tokens(self, desk, sends):
        async def service(asked):
            if sends:
                asked.meta.on_sent()
            raise UpstreamError(500, "no")

        with pytest.raises(UpstreamError):
            await desk.ask(service)
        assert await desk.used() == Spent(1)

    @pytest.mark.parametrize("error", [CircuitOpenError("gpt-5", 1.0), RateLimitedError("later", 1.0)])
    async def test_what_we_decline_ourselves_costs_nothing(self, desk, error):
        async def service(_):
            raise error

        with pytest.raises(type(error)):
            await desk.ask(service)
        assert await desk.used() == Spent(1)

    async def test_a_connection_that_is_lost_after_the_request_was_sent_is_reckoned(self, desk):
        async def service(asked):
            asked.meta.on_sent()
            raise ConnectionLostError("cut")

        with pytest.raises(ConnectionLostError):
            await desk.ask(service)
        assert await desk.used() == Spent(1, 100)

    async def test_several_tries_are_one_reservation(self, desk):
        tries = []

        async def service(asked):
            tries.append(asked.meta.on_sent())
            if len(tries) < 2:
                raise UpstreamError(503, "busy")
            return await answering(told=TOLD, is_final=True)(asked)

        await read(await desk.ask(service, layers=[Retry()]))
        assert await desk.used() == Spent(1, 80, 50, 7)

    async def test_whoever_wants_to_know_that_it_was_sent_is_told_too(self, desk):
        told = []
        handler = Admit(desk=desk.admission)(answering(told=TOLD, is_final=True))
        asked = request(desk.key.id)
        asked = msgspec.structs.replace(asked, meta=msgspec.structs.replace(asked.meta, on_sent=lambda: told.append(1)))
        await read(await handler(asked))
        assert told == [1]


class TestRefusing:
    async def test_nobody_is_asked_when_the_budget_does_not_hold_it(self):
        desk = await Desk().start(daily_tokens=1500)
        first = await desk.ask(answering(told=TOLD, is_final=True))
        with pytest.raises(KeyLimitError, match="reserved by requests under way") as e:
            await desk.ask(answering())
        assert (e.value.code, e.value.reserved) == ("key_daily_tokens", True)
        assert e.value.retry_after >= 1.0
        await read(first)
        await desk.admission.spent()
        await read(await desk.ask(answering(told=TOLD, is_final=True)))
        assert await desk.used() == Spent(2, 160, 100, 14)
        assert dict(desk.admission.refusals) == {"reserved": 1}

    async def test_whoever_needs_no_key_is_not_counted(self):
        desk = await Desk().start(daily_tokens=0)
        handler = Admit(desk=desk.admission)(answering(told=TOLD, is_final=True))
        await read(await handler(request("")))
        await read(await handler(request("config-1")))
        assert await desk.admission.spent() == {}
