"""The laws of access: who is let in, in what time; what ends when a secret ends; what is counted."""

import asyncio
import contextlib
import json

import aiohttp
import pytest

from rightseat.chat import Estimate, Usage
from rightseat.errors import KeyDatabaseError
from rightseat.gateway.access.admission import reckon
from rightseat.gateway.access.authenticate import Authenticator, ClientKeyError
from rightseat.gateway.access.authorize import Authorizer, ScopeError
from rightseat.gateway.access.caller import ANONYMOUS
from rightseat.gateway.access.estimate import IMAGE_TOKENS, UNKNOWN_OUTPUT, estimate
from rightseat.gateway.access.keys import KeyRing
from rightseat.gateway.access.lockout import LockedOutError
from rightseat.gateway.access.refusals import REASONS, Refusals
from rightseat.gateway.config import Settings
from rightseat.state.budget import Spent
from rightseat.state.key_record import new_text
from rightseat.state.memory import MemoryDatabase, MemoryState
from rightseat.state.opening import open_state
from rightseat.testing.clock import LoopClock, run_virtual
from rightseat.wire.dialects import CHAT, MESSAGES, RESPONSES

ADMIN = "management-key-0123456789"
HERE = "192.0.2.1"
ASK = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Reply with exactly: hello"}]}


async def pepper(_):
    """What keys the hashes."""
    return b"pepper"


class Door:
    """An authenticator over keys in memory, in virtual time."""

    def __init__(self, database=None, **settings):
        self.clock = LoopClock()
        self.state = MemoryState(database, clock=self.clock)
        self.ring = KeyRing(self.state.keys, pepper, clock=self.clock)
        self.refusals = Refusals()
        options = {"management_key": ADMIN, "lockout_failures": 3, **settings}
        self.auth = Authenticator(Settings(**options), self.ring, self.refusals, self.clock)

    async def show(self, key, scope="chat", address=HERE):
        return await self.auth.authenticate({"x-api-key": key} if key else {}, address, scope)

    async def refused(self, key, error=ClientKeyError, **options):
        with pytest.raises(error) as e:
            await self.show(key, **options)
        return str(e.value)

    def manage(self, key):
        self.auth.check_management({"authorization": f"Bearer {key}"}, HERE)


class TestTelling:
    """A13: whatever is wrong with a key, it takes the same time in the same way."""

    def test_unknown_wrong_and_ended_keys_take_the_same_time_and_one_look(self):
        async def main():
            took = {}
            door = Door(lockout_failures=0)
            key, text = await door.ring.create("ann")
            ended, ended_text = await door.ring.create("bob")
            await door.ring.revoke(ended.id)
            loop = asyncio.get_running_loop()
            await asyncio.sleep(1)
            for name, shown in {
                "unknown": new_text()[0],
                "wrong": new_text(key.id)[0],
                "ended": ended_text,
                "wrong and ended": new_text(ended.id)[0],
            }.items():
                for _ in range(2):  # alone, and right after another one
                    begun = loop.time()
                    await door.refused(shown)
                    took.setdefault(name, []).append(round(loop.time() - begun, 6))
                await asyncio.sleep(1)
            assert len({tuple(times) for times in took.values()}) == 1, took
            begun = loop.time()
            await door.show(text)
            assert loop.time() == begun  # a right one asks nobody

        run_virtual(main)

    def test_guesses_share_looks_into_the_database(self):
        async def main():
            looks = []

            door = Door(lockout_failures=0)
            key, _ = await door.ring.create("ann")
            version = door.state.keys.version

            async def counted():
                looks.append(1)
                return await version()

            door.state.keys.version = counted
            guesses = [new_text()[0] for _ in range(50)] + [new_text(key.id)[0] for _ in range(50)]
            await asyncio.gather(*map(door.refused, guesses))
            assert len(looks) <= 2

        run_virtual(main)

    def test_only_who_shows_the_secret_is_told_that_a_key_has_ended(self):
        async def main():
            door = Door()
            key, text = await door.ring.create("ann")
            await door.ring.revoke(key.id)
            assert await door.refused(text) == "this key is revoked"
            assert await door.refused(new_text(key.id)[0]) == "Invalid API key"

        run_virtual(main)

    def test_a_key_that_another_worker_has_just_made_is_let_in(self):
        async def main():
            shared = MemoryDatabase()
            one, two = Door(shared), Door(shared)
            _, text = await one.ring.create("ann")
            assert (await two.show(text)).name == "ann"

        run_virtual(main)


class TestLockout:
    """A9: who shows a right key is let in; guessing is answered with 429."""

    def test_a_right_key_is_let_in_though_its_address_guesses(self):
        async def main():
            door = Door(keys=("config-key-0123456789",))
            _, text = await door.ring.create("ann")
            for _ in range(3):
                await door.refused(new_text()[0])
            assert "try again in 30 s" in await door.refused(new_text()[0], LockedOutError)
            assert (await door.show(text)).name == "ann"
            assert (await door.show("config-key-0123456789")).id == "config-1"
            await door.refused("", LockedOutError)
            await door.refused(new_text()[0], address="192.0.2.2")
            await asyncio.sleep(31)
            await door.refused(new_text()[0])

        run_virtual(main)

    def test_all_addresses_of_one_customer_count_as_one(self):
        async def main():
            door = Door(keys=("config-key-0123456789",))
            for i in range(3):
                await door.refused(new_text()[0], address=f"2001:db8:0:1::{i}")
            await door.refused(new_text()[0], LockedOutError, address="2001:db8:0:1:ffff::9")
            await door.refused(new_text()[0], address="2001:db8:0:2::1")
            for i in range(3):
                await door.refused(
                    new_text()[0], address=f"::ffff:192.0.2.{10 + i}"
                )  # IPv4 all the same: three customers
            await door.refused(new_text()[0], address="::ffff:192.0.2.10")

        run_virtual(main)

    def test_the_right_management_key_is_let_in_though_its_address_guesses(self):
        async def main():
            door = Door()
            for _ in range(3):
                with pytest.raises(ClientKeyError):
                    door.manage("wrong-key-0123456789")
            with pytest.raises(LockedOutError):
                door.manage("wrong-key-0123456789")
            door.manage(ADMIN)

        run_virtual(main)

    def test_a_key_made_while_its_address_is_locked_out_is_let_in(self):
        async def main():
            shared = MemoryDatabase()
            one, two = Door(shared), Door(shared)
            await one.ring.create("first")
            await two.ring.look()
            for _ in range(4):
                await two.refused(new_text()[0], (ClientKeyError, LockedOutError))
            _, text = await one.ring.create("ann")
            assert (await two.show(text)).name == "ann"

        run_virtual(main)


class TestEnding:
    """A8: ending a secret ends it everywhere."""

    def test_the_secret_before_a_rotation_ends_for_whoever_was_let_in_by_it(self):
        async def main():
            door = Door()
            key, text = await door.ring.create("ann")
            caller = await door.show(text)
            _, newer = await door.ring.rotate(key.id, grace_seconds=60)
            assert door.auth.still(caller).id == key.id
            after = await door.show(newer)
            await asyncio.sleep(61)
            with pytest.raises(ClientKeyError, match="replaced"):
                door.auth.still(caller)
            assert door.auth.still(after).id == key.id
            await door.ring.rotate(key.id)
            with pytest.raises(ClientKeyError, match="replaced"):
                door.auth.still(after)

        run_virtual(main)

    @pytest.mark.parametrize("end", ["revoked", "expired"])
    def test_an_ended_key_ends_for_whoever_was_let_in_by_it(self, end):
        async def main():
            door = Door()
            key, text = await door.ring.create("ann", expires_at=door.clock.wall() + 10)
            caller = await door.show(text)
            if end == "revoked":
                await door.ring.revoke(key.id)
            else:
                await asyncio.sleep(10)
            with pytest.raises(ClientKeyError, match=end):
                door.auth.still(caller)

        run_virtual(main)

    def test_keys_of_the_settings_end_when_the_settings_are_read_again(self):
        async def main():
            door = Door(keys=("config-key-0123456789", "config-key-9876543210"))
            one, two = await door.show("config-key-0123456789"), await door.show("config-key-9876543210")
            manager = await door.show(ADMIN, scope="metrics")
            told = []
            door.ring.on_change(told.append)
            door.auth.configure(Settings(keys=("config-key-9876543210",), management_key="another-key-0123456789"))
            for ended in (one, manager):
                with pytest.raises(ClientKeyError):
                    door.auth.still(ended)
            assert door.auth.still(two) == two
            assert {"config-1", "management"} <= told[0]

        run_virtual(main)

    def test_who_needed_no_key_needs_one_once_there_is_one(self):
        async def main():
            door = Door()
            caller = await door.show("")
            assert door.auth.still(caller) == caller
            told = []
            door.ring.on_change(told.append)
            await door.ring.create("ann")
            with pytest.raises(ClientKeyError, match="required"):
                door.auth.still(caller)
            assert "" in told[0]

        run_virtual(main)

    def test_listeners_are_told_of_changes_by_others_and_by_time(self):
        async def main():
            shared = MemoryDatabase()
            one, two = Door(shared), Door(shared)
            now = one.clock.wall()
            a, _ = await one.ring.create("a", expires_at=now + 10)
            b, _ = await one.ring.create("b")
            await two.ring.look()
            told = []
            forget = two.ring.on_change(told.append)
            two.ring.on_change(lambda _: 1 / 0)  # one that fails stops no other
            await one.ring.rotate(b.id, grace_seconds=5)
            await two.ring.look()
            assert told == [{b.id}]
            for _ in range(12):
                await asyncio.sleep(1)
                await two.ring.look()
            assert told == [{b.id}, {b.id}, {a.id}]
            forget()
            await one.ring.revoke(b.id)
            await two.ring.look()
            assert len(told) == 3

        run_virtual(main)


class TestRefusals:
    """A12: reasons come from a closed set."""

    def test_a_reason_that_is_none_is_refused(self):
        refusals = Refusals()
        with pytest.raises(KeyError):
            refusals.count("gpt-5")
        for reason in REASONS:
            refusals.count(reason)
        assert dict(refusals) == dict.fromkeys(REASONS, 1)

    async def test_scope_and_model_are_checked_in_one_place(self):
        refusals = Refusals()
        authorize = Authorizer(refusals)
        state = MemoryState()
        ring = KeyRing(state.keys, pepper)
        _, text = await ring.create("ann", models=("gpt-*",), scopes=("chat",))
        caller = await Authenticator(Settings(), ring, refusals).authenticate({"x-api-key": text}, HERE, "chat")
        authorize.check_scope(caller, "chat")
        authorize.check_model(caller, "gpt-5")
        with pytest.raises(ScopeError):
            authorize.check_scope(caller, "embeddings")
        with pytest.raises(ScopeError) as e:
            authorize.check_model(caller, "x" * 10_000)
        assert (e.value.field, len(str(e.value)) < 300) == ("model", True)
        authorize.check_model(ANONYMOUS, "anything")
        assert dict(refusals) == {"scope": 1, "model": 1}


class TestEstimate:
    def test_a_limit_of_zero_is_a_limit(self):
        assert estimate(400, 0) == Estimate(100, 400)
        assert estimate(400, None) == Estimate(100, 400 + UNKNOWN_OUTPUT)
        assert estimate(0, 7) == Estimate(0, 7)

    def test_no_prompt_is_longer_than_its_model_takes(self):
        assert estimate(4_000_000, 10, prompt_limit=128_000) == Estimate(128_000, 128_010)
        assert estimate(400, 10, prompt_limit=128_000) == Estimate(100, 410)

    @pytest.mark.parametrize(
        ("dialect", "image"),
        [
            (CHAT, '{"type":"image_url","image_url":{"url":"data:image/png;base64,%s"}}'),
            (RESPONSES, '{"type":"input_image","image_url":"data:image/png;base64,%s"}'),
            (MESSAGES, '{"type":"image","source":{"type":"base64","media_type":"image/png","data":"%s"}}'),
            (MESSAGES, '{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "%s"}}'),
            (
                MESSAGES,
                '{"type":"tool_result","tool_use_id":"a","content":[{"type":"image","source":{"type":"base64","data":"%s"}}]}',
            ),
        ],
    )
    def test_an_image_is_not_its_bytes(self, dialect, image):
        name = "input" if dialect is RESPONSES else "messages"
        part = image % ("iVBORw0KGgo" + "A" * 4_000_000)
        text = f'{{"{name}":[{{"role":"user","content":[{part}]}}]}}'
        found = dialect.images(json.loads(text))
        assert found[0] == 1
        assert estimate(len(text), 0, images=found).most <= IMAGE_TOKENS + 400
        assert estimate(len(text), 0).most >= 1_000_000

    @pytest.mark.parametrize(
        "part",
        [
            {"type": "text", "text": "data:image/png;base64," + "A" * 4000},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"data": "A" * 4000, "media_type": "image/png"}},
            {"type": "image_url", "image_url": {"url": "https://example.org/" + "A" * 4000}},
            {"type": "image", "source": {"type": "url", "data": "A" * 4000}},
            {"type": "image", "source": {"type": "base64", "data": ["A" * 4000]}, "text": "A" * 4000},
        ],
    )
    def test_text_that_looks_like_an_image_is_text(self, part):
        image = {"type": "image", "source": {"type": "base64", "data": "A" * 100}}
        body = {"messages": [{"role": "user", "content": [part, image]}]}
        size = len(json.dumps(body))
        assert estimate(size, 0, images=MESSAGES.images(body)).most >= 4000

    def test_what_was_told_is_the_least_unless_it_was_the_last_word(self):
        assert reckon(Estimate(10, 50), Usage(4, 9), 3, is_final=True) == Spent(0, 4, 9)
        assert reckon(Estimate(10, 50), Usage(4, 9), 3, is_final=False) == Spent(0, 10, 9)
        assert reckon(Estimate(10, 50), Usage(40, 1), 3, is_final=False) == Spent(0, 40, 3)
        assert reckon(Estimate(10, 50), None, 3, is_final=True) == Spent(0, 10, 3)
        assert reckon(Estimate(18, 77), None, 42, is_final=False, lost=1) == Spent(0, 18, 41)  # with what was lost: 77


@pytest.fixture
async def keyed(gateway):
    """A gateway with management: `served, admin, ask = await keyed(...)`."""
    async with aiohttp.ClientSession() as http:

        async def start(**given):
            served = await gateway(settings={"management_key": ADMIN, **given.pop("settings", {})}, **given)

            async def admin(method, path, body=None, key=ADMIN):
                headers = {"authorization": f"Bearer {key}"}
                async with http.request(method, f"{served.url}/v0/management{path}", json=body, headers=headers) as r:
                    return r.status, await r.json()

            async def ask(key, path="/v1/chat/completions", body=ASK, method="POST"):
                options = {"json": body} if method == "POST" else {}
                headers = {"x-api-key": key}
                async with http.request(method, served.url + path, headers=headers, **options) as r:
                    return r.status, json.loads(await r.read())

            return served, admin, ask

        yield start


class TestGateway:
    async def test_every_request_of_a_key_counts(self, keyed):
        """A11: also those that ask no model."""
        _, admin, ask = await keyed()
        _, made = await admin("POST", "/keys", {"name": "ann", "requests_per_minute": 3})
        count = {"model": "claude-sonnet-4.5", "max_tokens": 5, "messages": ASK["messages"]}
        assert (await ask(made["key"], "/v1/messages/count_tokens", count))[0] == 200
        assert (await ask(made["key"], "/v1/models", method="GET"))[0] == 200
        assert (await ask(made["key"], "/v1/models/gpt-4.1", method="GET"))[0] == 200
        status, body = await ask(made["key"], "/v1/models", method="GET")
        assert (status, body["error"]["code"]) == (429, "key_requests_per_minute")
        assert (await ask(made["key"], "/v1/messages/count_tokens", count))[0] == 429
        _, listed = await admin("GET", "/keys")
        assert listed["keys"][0]["used"]["day"]["requests"] == 3

    async def test_a_budget_of_zero_is_a_budget(self, keyed):
        _, admin, ask = await keyed()
        status, made = await admin("POST", "/keys", {"name": "ann", "daily_tokens": 0})
        assert (status, made["daily_tokens"]) == (201, 0)
        status, body = await ask(made["key"])
        assert (status, body["error"]["code"]) == (429, "key_daily_tokens")
        assert "used up" in body["error"]["message"]

    async def test_a_budget_that_is_only_reserved_says_so(self, keyed):
        """B18."""
        served, admin, ask = await keyed(pace=5)
        _, made = await admin("POST", "/keys", {"name": "ann", "daily_tokens": 9000})
        body = {**ASK, "stream": True}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{served.url}/v1/chat/completions", json=body, headers={"x-api-key": made["key"]}) as under_way,
        ):
            assert under_way.status == 200
            status, said = await ask(made["key"])
            assert (status, said["error"]["code"]) == (429, "key_daily_tokens")
            assert "reserved by requests under way" in said["error"]["message"]

    async def test_a_rotation_ends_the_old_secret_on_an_open_socket(self, keyed, tmp_path):
        """A8: within a second, whoever has rotated it."""
        served, admin, _ = await keyed()
        _, made = await admin("POST", "/keys", {"name": "ann"})
        frame = {"type": "response.create", "model": "gpt-5", "input": "Reply with exactly: hi"}
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{served.url}/v1/responses", headers={"x-api-key": made["key"]}) as ws,
        ):
            await ws.send_json(frame)
            while (await ws.receive_json())["type"] != "response.completed":
                pass
            async with open_state(tmp_path / "keys.sqlite") as other:
                await other.keys.rotate(made["id"], "0" * 64)
            async with asyncio.timeout(5):
                ended = False
                while not ended:
                    with contextlib.suppress(ConnectionResetError):  # it is closed already
                        await ws.send_json(frame)
                    said = {"type": ""}
                    while said["type"] != "response.completed" and not ended:
                        message = await ws.receive()
                        ended = message.type is not aiohttp.WSMsgType.TEXT  # it may be closed at once
                        if not ended and (said := json.loads(message.data))["type"] == "error":
                            assert "replaced" in said["error"]["message"]
                            ended = True

    async def test_the_holder_of_the_management_key_is_not_locked_out_by_others(self, keyed):
        """A9."""
        _, admin, _ = await keyed(settings={"lockout_failures": 2})
        assert [(await admin("GET", "/keys", key=f"wrong-{i}"))[0] for i in range(4)] == [401, 401, 429, 429]
        assert (await admin("GET", "/keys"))[0] == 200


def test_a_key_that_cannot_be_looked_up_is_not_called_wrong():
    async def main():
        door = Door()
        await door.ring.create("ann")

        async def fails():
            raise KeyDatabaseError("away")

        door.state.keys.version = fails
        await door.refused(new_text()[0], KeyDatabaseError)

    run_virtual(main)
