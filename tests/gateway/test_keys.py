"""The gateway's own keys: what is kept of them, what they may do, how much, and how soon a change is seen."""

import asyncio
import json
import random
import sqlite3
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.postgres import PostgresServer

from rightseat.chat import Usage
from rightseat.commands.root import cli
from rightseat.errors import ConfigError
from rightseat.gateway.access.lockout import Lockout, LockoutPolicy
from rightseat.state.budget import Used, day_ends, day_of, decide, month_ends, settled
from rightseat.state.keys import Key, digest_of, new_text, split
from rightseat.state.sql import HEAD, KeyStore, spent_by
from rightseat.state.tables import metadata

ADMIN = "management-key-0123456789"
PEPPER = b"pepper"
ASK = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Reply with exactly: hello"}]}


@pytest.fixture
def store(tmp_path):
    store = KeyStore(tmp_path / "keys.sqlite", PEPPER)
    store.beat()
    yield store
    store.close()


@pytest.fixture
async def keyed(gateway):
    """A gateway with management: `served, admin, ask = await keyed(...)`."""
    async with aiohttp.ClientSession() as http:

        async def start(**given):
            options = {"management_key": ADMIN, **given.pop("settings", {})}
            served = await gateway(settings=options, **given)

            async def admin(method, path, body=None):
                headers = {"authorization": f"Bearer {ADMIN}"}
                async with http.request(method, f"{served.url}/v0/management{path}", json=body, headers=headers) as r:
                    return r.status, await r.json()

            async def ask(key=None, body=ASK, path="/v1/chat/completions", method="POST"):
                headers = {"authorization": f"Bearer {key}"} if key else {}
                async with http.request(
                    method, served.url + path, json=body if method == "POST" else None, headers=headers
                ) as r:
                    data = await r.read()
                    return r.status, json.loads(data) if data.startswith(b"{") else data, r.headers

            return served, admin, ask

        yield start


class TestKey:
    def test_a_text_has_an_id_and_a_secret(self):
        text, key_id, secret = new_text()
        assert split(text) == (key_id, secret)
        assert len({new_text()[0] for _ in range(100)}) == 100
        for wrong in ("", text[:-1], text + "a", text.upper(), "sk-abc", text.replace("rsk_", "rsk-")):
            assert split(wrong) is None

    def test_only_a_keyed_hash_is_kept(self, store, tmp_path):
        key, text = store.create("ann")
        secret = split(text)[1]
        assert key.fits(secret, PEPPER, 0)
        assert not key.fits(secret, b"another", 0)
        assert not key.fits(secret[:-1] + "a", PEPPER, 0) or secret.endswith("a")
        store.close()
        assert secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert stat.S_IMODE((tmp_path / "keys.sqlite").stat().st_mode) == 0o600

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"name": ""}, "name"), ({"name": "a\nb"}, "name"), ({"scopes": ()}, "scopes"), ({"scopes": ("all",)}, "scopes: all"), ({"models": ("gpt 4",)}, "models"),
            ({"requests_per_minute": 0}, "requests_per_minute"), ({"daily_tokens": -1}, "daily_tokens"), ({"colour": 1}, "colour"),
        ],
    )  # fmt: skip
    def test_what_makes_no_sense_is_named(self, store, fields, said):
        with pytest.raises(ConfigError, match=said):
            store.create(**{"name": "ann", **fields})
        assert store.list() == []

    @pytest.mark.parametrize(
        ("patterns", "name", "allowed"),
        [
            ((), "anything", True),
            (("gpt-*",), "gpt-4.1", True),
            (("gpt-*",), "claude-sonnet-4.5", False),
            (("claude-*", "gpt-5"), "gpt-5", True),
            (("gpt-5",), "gpt-5-mini", False),
            (("*mini",), "gpt-5-mini", True),
        ],
    )
    def test_models_by_pattern(self, patterns, name, allowed):
        assert Key(id="k", name="n", digest="", created_at=0, models=patterns).allows(name) is allowed

    def test_states(self):
        key = Key(id="k", name="n", digest="", created_at=0, expires_at=10)
        assert [key.state(now) for now in (0, 9.9, 10, 11)] == ["active", "active", "expired", "expired"]


class TestLimits:
    KEY = Key(
        id="k",
        name="n",
        digest="",
        created_at=0,
        daily_tokens=1000,
        monthly_tokens=5000,
        requests_per_minute=60,
        tokens_per_minute=10_000,
    )

    def test_a_budget_is_refused_until_its_period_ends(self):
        now = 1_795_000_000.0
        assert decide(self.KEY, Used(day=1000), 1, now).refused == "daily_tokens"
        assert decide(self.KEY, Used(day=1000), 1, now).wait == pytest.approx(day_ends(now) - now)
        assert decide(self.KEY, Used(day=10, month=5000), 1, now).refused == "monthly_tokens"
        assert (
            decide(self.KEY, Used(day=999, month=4999), 10**6, now).refused == ""
        )  # alone, it may go over by its own size

    def test_near_the_end_requests_go_one_at_a_time(self):
        assert decide(self.KEY, Used(day=500, reserved=100), 300, 0).refused == ""
        assert decide(self.KEY, Used(day=500, reserved=300), 300, 0).refused == "daily_tokens"
        assert decide(self.KEY, Used(day=500, reserved=300), 300, 0).wait == 1.0

    def test_a_minute_of_requests_at_once_and_then_one_by_one(self):
        bucket, passed = None, 0
        for _ in range(100):
            verdict = decide(msgspec_replace(self.KEY, tokens_per_minute=None), Used(requests=bucket), 1, 100.0)
            if verdict.refused:
                assert verdict.refused == "requests_per_minute"
                assert verdict.wait == pytest.approx(1.0, abs=0.01)
                break
            bucket, passed = verdict.requests, passed + 1
        assert passed == 60

    def test_tokens_that_were_not_used_come_back(self):
        key = msgspec_replace(self.KEY, requests_per_minute=None)
        verdict = decide(key, Used(), 8000, 0.0)
        assert decide(key, Used(tokens=verdict.tokens), 8000, 0.0).refused == "tokens_per_minute"
        after = settled(key, verdict.tokens, 8000, 100, 0.0)
        assert decide(key, Used(tokens=after), 8000, 0.0).refused == ""

    def test_days_and_months_end_in_utc(self):
        at = 1_798_761_599.0  # 2026-12-31 23:59:59
        assert (day_of(at), day_ends(at) - at, month_ends(at) - at) == ("2026-12-31", 1.0, 1.0)
        assert month_ends(1_772_236_800.0) - 1_772_236_800.0 == 86_400  # 2026-02-28

    @settings(max_examples=60, deadline=None)
    @given(st.randoms(use_true_random=False), st.integers(1, 2000), st.integers(1, 6))
    def test_however_requests_overlap_a_budget_is_kept_to_within_one_request(self, chance, budget, workers):
        """A model of many workers: whoever is admitted uses at most what was reserved."""
        key = Key(id="k", name="n", digest="", created_at=0, daily_tokens=budget)
        used, under_way, largest = 0, [], 0
        for _ in range(200):
            if under_way and (len(under_way) >= workers or chance.random() < 0.5):
                most = under_way.pop(chance.randrange(len(under_way)))
                used += chance.randint(0, most)
            else:
                most = chance.randint(1, 400)
                if not decide(key, Used(day=used, reserved=sum(under_way)), most, 0).refused:
                    under_way.append(most)
                    largest = max(largest, most)
        used += sum(under_way)
        assert used <= budget + largest


def msgspec_replace(key, **fields):
    import msgspec

    return msgspec.structs.replace(key, **fields)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """Where a new store's tables shall be."""
    return tmp_path / "k.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres")()


class TestStore:
    def test_the_migrations_make_what_the_code_expects(self, database):
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext
        from alembic.script import ScriptDirectory

        from rightseat.state import migrations

        assert ScriptDirectory(str(next(iter(migrations.__path__)))).get_current_head() == HEAD
        store = KeyStore(database, PEPPER)
        with store._engine.connect() as db:
            assert compare_metadata(MigrationContext.configure(db), metadata) == []
        store.close()

    def test_two_processes_may_make_it_at_once(self, database):
        import threading

        made, errors = [], []

        def make():
            try:
                made.append(KeyStore(database, PEPPER))
            except Exception as e:
                errors.append(e)

        threads = [threading.Thread(target=make) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert errors == []
        made[0].create("ann")
        assert [len(s.list()) for s in made] == [1] * 4
        for s in made:
            s.close()

    def test_a_rotated_key_keeps_its_id_and_both_secrets_count_for_a_while(self, database):
        now = [1000.0]
        store = KeyStore(database, PEPPER, now=lambda: now[0])
        old, old_text = store.create("ann", daily_tokens=5)
        new, new_text_ = store.rotate(old.id, grace_seconds=60)
        assert (new.id, new.daily_tokens, split(new_text_)[0]) == (old.id, 5, old.id)
        secrets = [split(old_text)[1], split(new_text_)[1]]
        assert [new.fits(s, PEPPER, 1059) for s in secrets] == [True, True]
        assert [new.fits(s, PEPPER, 1061) for s in secrets] == [False, True]
        newer, _ = store.rotate(old.id)
        assert not newer.fits(secrets[1], PEPPER, 1000)
        store.revoke(old.id)
        assert store.rotate(old.id) is None
        assert store.revoke("none") is None
        store.close()

    def test_what_a_dead_worker_has_reserved_is_free_again(self, database):
        now = [1000.0]
        one, two = (KeyStore(database, PEPPER, now=lambda: now[0]) for _ in range(2))
        one.beat()
        two.beat()
        key, _ = one.create("ann", daily_tokens=100)
        assert one.admit(key, 90)[1]
        assert two.admit(key, 90)[0].refused == "daily_tokens"
        now[0] += 31
        two.beat()  # `one` was not heard of
        assert two.admit(key, 90)[1]
        one._engine.dispose()
        two.close()

    def test_use_by_day_and_month(self, database):
        now = [1_795_000_000.0]
        store = KeyStore(database, PEPPER, now=lambda: now[0])
        store.add({"k": spent_by(Usage(10, 5, cached_tokens=4))})
        now[0] += 86_400
        store.add({"k": spent_by(Usage(1, 1))})
        spent = store.spent()["k"]
        assert (spent["day"].requests, spent["day"].input_tokens) == (1, 1)
        assert (spent["month"].requests, spent["month"].input_tokens, spent["month"].cached_tokens) == (2, 11, 4)
        store.close()

    def test_a_broken_database_is_an_error_with_its_place_and_without_its_password(self, tmp_path):
        (tmp_path / "k.sqlite").write_bytes(b"this is no database, but long enough to look at" * 10)
        with pytest.raises(ConfigError, match=r"k\.sqlite"):
            KeyStore(tmp_path / "k.sqlite", PEPPER)
        with pytest.raises(ConfigError) as e:
            KeyStore("nothing://ann:a-secret-password@host/db", PEPPER)
        assert "a-secret-password" not in str(e.value)
        for url in ("mysql://ann@host/db", "sqlite://"):
            with pytest.raises(ConfigError, match="database: .* must be PostgreSQL's"):
                KeyStore(url, PEPPER)

    def test_a_file_may_be_written_as_an_address(self, tmp_path):
        store = KeyStore(f"sqlite:///{tmp_path}/k.sqlite", PEPPER)
        key, _ = store.create("ann", daily_tokens=10)
        assert store.admit(key, 1)[1]
        store.close()
        assert [k.id for k in KeyStore(tmp_path / "k.sqlite", PEPPER).list()] == [key.id]

    def test_what_was_admitted_never_exceeds_the_limits_with_two_workers_at_random(self, database):
        chance, now = random.Random(3), [1_795_000_000.0]
        pair = [KeyStore(database, PEPPER, now=lambda: now[0]) for _ in range(2)]
        for worker in pair:
            worker.beat()
        key, _ = pair[0].create("ann", daily_tokens=5000, requests_per_minute=30)
        open_ones, used, at = [], 0, []
        for _ in range(400):
            now[0] += chance.random() * 2
            worker = chance.choice(pair)
            worker.beat()
            if open_ones and chance.random() < 0.5:
                reservation, most = open_ones.pop(chance.randrange(len(open_ones)))
                tokens = chance.randint(0, most)
                worker.settle(key, reservation, most, spent_by(Usage(tokens, 0)))
                used += tokens
            else:
                most = chance.randint(1, 300)
                verdict, reservation = worker.admit(key, most)
                if not verdict.refused:
                    open_ones.append((reservation, most))
                    at.append(now[0])
        assert 4000 < used <= 5300
        assert max(sum(1 for b in at if a <= b < a + 60) for a in at) <= 60  # a full bucket, and what flows in
        for worker in pair:
            worker.close()

    def test_threads_of_two_workers_never_spend_the_same_tokens(self, database):
        pair = [KeyStore(database, PEPPER) for _ in range(2)]
        for worker in pair:
            worker.beat()
        key, _ = pair[0].create("ann", daily_tokens=1000)
        with ThreadPoolExecutor(12) as threads:
            answers = list(threads.map(lambda i: pair[i % 2].admit(key, 10), range(300)))
        assert sum(1 for verdict, _ in answers if not verdict.refused) == 100
        taken = [reservation for _, reservation in answers if reservation]
        with ThreadPoolExecutor(12) as threads:
            used = spent_by(Usage(7, 3))
            list(threads.map(lambda i: pair[i % 2].settle(key, taken[i], 10, used), range(100)))
            list(threads.map(lambda i: pair[i % 2].beat(), range(40)))
            list(threads.map(lambda i: pair[i % 2].add({key.id: used, "other": used}), range(40)))
        assert pair[1].spent()[key.id]["day"].input_tokens == 140 * 7
        for worker in pair:
            worker.close()

    def test_keys_changed_at_once_are_all_seen(self, database):
        pair = [KeyStore(database, PEPPER) for _ in range(2)]
        before = pair[0].version()
        with ThreadPoolExecutor(8) as threads:
            made = list(threads.map(lambda i: pair[i % 2].create(f"k{i}")[0], range(24)))
            list(threads.map(lambda key: pair[0].rotate(key.id, 60), made))
            list(threads.map(lambda key: pair[1].revoke(key.id), made))
        assert pair[0].version() == before + 72
        assert [key.revoked_at is not None for key in pair[1].list()] == [True] * 24
        for worker in pair:
            worker.close()


class TestLockout:
    def test_too_many_failures_lock_an_address_out_longer_each_time(self):
        lock = Lockout(LockoutPolicy(failures=3, window=60, first=30, longest=100))
        assert [lock.failed("a", t) for t in (0, 1, 2)] == [False, False, True]
        assert (lock.wait("a", "", 2), lock.wait("a", "", 32), lock.wait("b", "", 2)) == (30, 0, 0)
        assert [lock.failed("a", t) for t in (40, 41, 42)] == [False, False, True]
        assert lock.wait("a", "", 42) == 60
        for t in (200, 201, 202, 400, 401, 402):
            lock.failed("a", t)
        assert lock.wait("a", "", 402) == 100

    def test_slow_failures_and_none_do_not(self):
        lock = Lockout(LockoutPolicy(failures=3, window=60))
        assert not any(lock.failed("a", t) for t in range(0, 3000, 31))
        assert not any(Lockout(LockoutPolicy(failures=0)).failed("a", 0) for _ in range(100))

    def test_who_was_let_in_before_stays_in(self):
        lock = Lockout(LockoutPolicy(failures=2))
        lock.passed("a", "ann")
        lock.failed("a", 0)
        lock.failed("a", 0)
        assert lock.wait("a", "ann", 1) == 0
        assert lock.wait("a", "bob", 1) > 0
        assert lock.wait("a", "", 1) > 0

    def test_it_does_not_grow_without_end(self):
        lock = Lockout()
        for i in range(30_000):
            lock.failed(str(i), i)
        assert len(lock._addresses) <= 10_000


class TestGateway:
    async def test_from_making_a_key_to_ending_it(self, keyed):
        _, admin, ask = await keyed()
        assert (await ask())[0] == 200  # no key yet: none is needed
        status, made = await admin("POST", "/keys", {"name": "ann", "models": ["gpt-*"], "daily_tokens": 10**6})
        assert (status, made["state"], made["name"]) == (201, "active", "ann")
        assert "digest" not in json.dumps(made)
        assert (await ask())[0] == 401
        status, answer, _ = await ask(made["key"])
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "hello")
        _, listed = await admin("GET", "/keys")
        assert made["key"] not in json.dumps(listed)
        await asyncio.sleep(0)
        _, requests = await admin("GET", "/requests")
        assert requests["requests"][0]["key"] == made["id"]
        await admin("DELETE", f"/keys/{made['id']}")
        status, answer, _ = await ask(made["key"])
        assert (status, answer["error"]["message"]) == (401, "this key is revoked")
        assert (await ask())[0] == 401  # and the door stays shut
        assert (await admin("DELETE", "/keys/none"))[0] == 404
        assert (await admin("POST", f"/keys/{made['id']}/rotate"))[0] == 404

    async def test_scopes_and_models(self, keyed):
        _, admin, ask = await keyed()
        _, made = await admin("POST", "/keys", {"name": "ann", "models": ["gpt-*"], "scopes": ["chat", "models"]})
        status, answer, _ = await ask(made["key"], {**ASK, "model": "claude-sonnet-4.5"})
        assert (status, answer["error"]["param"]) == (403, "model")
        status, answer, _ = await ask(made["key"], {"model": "text-embedding-3-small", "input": "x"}, "/v1/embeddings")
        assert (status, "embeddings" in answer["error"]["message"]) == (403, True)
        _, answer, _ = await ask(made["key"], path="/v1/models", method="GET")
        assert {model["id"][:4] for model in answer["data"]} == {"gpt-"}
        assert (await ask(made["key"], path="/v1/models/claude-sonnet-4.5", method="GET"))[0] == 403
        assert (await ask(made["key"], path="/metrics", method="GET"))[0] == 403

    async def test_a_name_that_fits_does_not_lead_to_a_model_that_does_not(self, keyed):
        _, admin, ask = await keyed(settings={"aliases": {"gpt-cheap": "claude-sonnet-4.5"}})
        _, made = await admin("POST", "/keys", {"name": "ann", "models": ["gpt-*"]})
        assert (await ask(made["key"], {**ASK, "model": "gpt-cheap"}))[0] == 403
        assert (await ask(made["key"], path="/v1/models/gpt-cheap", method="GET"))[0] == 403
        assert (await ask(made["key"]))[0] == 200

    async def test_a_used_up_budget_says_which_and_until_when(self, keyed):
        _, admin, ask = await keyed()
        _, made = await admin("POST", "/keys", {"name": "ann", "daily_tokens": 1})
        assert (await ask(made["key"]))[0] == 200
        for _ in range(50):
            if (await admin("GET", "/keys"))[1]["keys"][0]["used"].get("day", {}).get("requests"):
                break
        status, answer, headers = await ask(made["key"])
        assert (status, answer["error"]["code"]) == (429, "key_daily_tokens")
        assert 1 <= int(headers["retry-after"]) <= 86_400

    async def test_requests_per_minute(self, keyed):
        _, admin, ask = await keyed()
        _, made = await admin("POST", "/keys", {"name": "ann", "requests_per_minute": 3})
        statuses = [(await ask(made["key"]))[0] for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]

    async def test_a_rotation_ends_the_old_secret_at_once_or_after_a_while(self, keyed):
        _, admin, ask = await keyed()
        _, made = await admin("POST", "/keys", {"name": "ann"})
        _, again = await admin("POST", f"/keys/{made['id']}/rotate", {"grace_seconds": 100})
        assert [(await ask(key))[0] for key in (made["key"], again["key"])] == [200, 200]
        _, last = await admin("POST", f"/keys/{made['id']}/rotate")
        assert [(await ask(key))[0] for key in (made["key"], again["key"], last["key"])] == [401, 401, 200]

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({}, "name"),
            ({"name": 1}, "name"),
            ({"name": "a", "scopes": "chat"}, "scopes"),
            ({"name": "a", "daily_tokens": 1.5}, "daily_tokens"),
            ({"name": "a", "x": 1}, "x"),
            ({"name": "a", "expires_in": -1}, "expires_in"),
            ({"name": "a", "models": ["a b"]}, "models"),
            ({"name": "a", "tokens_per_minute": True}, "tokens_per_minute"),
        ],
    )
    async def test_a_bad_request_for_a_key_names_the_field(self, keyed, body, said):
        _, admin, _ = await keyed()
        status, answer = await admin("POST", "/keys", body)
        assert (status, answer["error"]["param"]) == (400, said)

    async def test_guessing_is_slowed_and_others_go_on(self, keyed, caplog):
        _, admin, ask = await keyed(settings={"lockout_failures": 5})
        _, made = await admin("POST", "/keys", {"name": "ann"})
        _, other = await admin("POST", "/keys", {"name": "bob"})
        assert (await ask(made["key"]))[0] == 200
        guesses = [new_text(made["id"])[0] for _ in range(8)]
        statuses = [(await ask(guess))[0] for guess in guesses]
        assert statuses == [401] * 5 + [429] * 3
        assert (await ask(made["key"]))[0] == 200  # known from this address
        status, _answer, headers = await ask(other["key"])
        assert (status, int(headers["retry-after"]) > 0) == (429, True)
        assert "locked out" in caplog.text
        assert not [guess for guess in guesses if guess in caplog.text]

    async def test_a_key_that_another_process_ends_is_refused_within_a_second(self, keyed, tmp_path):
        served, admin, ask = await keyed()
        _, made = await admin("POST", "/keys", {"name": "ann"})
        assert (await ask(made["key"]))[0] == 200
        other = KeyStore(tmp_path / "keys.sqlite", (tmp_path / "pepper").read_bytes())
        other.revoke(made["id"])
        other.close()
        ended = begun = time.monotonic()
        while (await ask(made["key"]))[0] == 200:
            assert begun < ended + 1  # when it was asked; the answer may take its time
            begun = time.monotonic()
        assert served

    async def test_an_open_websocket_ends_with_its_key(self, keyed):
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
            await admin("DELETE", f"/keys/{made['id']}")
            await ws.send_json(frame)
            said = await ws.receive_json()
            assert (said["type"], said["error"]["message"]) == ("error", "this key is revoked")

    async def test_what_was_used_is_there_after_a_restart(self, gateway, tmp_path, simulate):
        from rightseat.testing.servers import running_gateway

        cloud = await simulate()
        for count in (1, 2):
            async with (
                running_gateway(cloud, tmp_path, {"management_key": ADMIN}) as url,
                aiohttp.ClientSession() as http,
            ):
                if count == 1:
                    async with http.post(
                        f"{url}/v0/management/keys", json={"name": "ann"}, headers={"x-api-key": ADMIN}
                    ) as r:
                        made = await r.json()
                async with http.post(f"{url}/v1/chat/completions", json=ASK, headers={"x-api-key": made["key"]}) as r:
                    assert r.status == 200
            store = KeyStore(tmp_path / "keys.sqlite", b"")
            assert store.spent()[made["id"]]["day"].requests == count
            store.close()

    async def test_without_its_pepper_it_does_not_start_and_says_why(self, simulate, tmp_path):
        from rightseat.testing.servers import running_gateway

        KeyStore(tmp_path / "keys.sqlite", PEPPER).close()
        with pytest.raises(ConfigError, match="pepper"):
            async with running_gateway(await simulate(), tmp_path):
                pass


class TestCommand:
    @pytest.fixture
    def run(self, tmp_path):
        def call(*arguments):
            return CliRunner().invoke(
                cli,
                ["keys", *arguments],
                env={"RIGHTSEAT_HOME": str(tmp_path), "RIGHTSEAT_KEYRING": "off", "COLUMNS": "300"},
            )

        return call

    def test_create_list_rotate_revoke(self, run, tmp_path):
        made = run("create", "ann", "--model", "gpt-*", "--rpm", "60", "--daily", "100000", "--expires", "30d")
        text = made.stdout.strip()
        key_id, secret = split(text)
        assert key_id in made.stderr
        listed = run("list").stdout
        assert all(part in listed for part in (key_id, "ann", "active", "gpt-*", "60 req/min", "100000 tok/day"))
        assert secret not in listed
        assert split(run("rotate", key_id).stdout.strip())[0] == key_id
        assert run("revoke", key_id).exit_code == 0
        (one,) = json.loads(run("list", "--json").stdout)
        assert (one["state"], "digest" in one) == ("revoked", False)
        assert sqlite3.connect(tmp_path / "keys.sqlite").execute("select count(*) from keys").fetchone() == (1,)

    @pytest.mark.parametrize(
        ("arguments", "status", "said"),
        [
            (["revoke", "none"], 1, "no key"),
            (["rotate", "none"], 1, "no active key"),
            (["create", "ann", "--expires", "soon"], 2, "30d"),
            (["create", "ann", "--scope", "all"], 2, "scope"),
            (["create", "ann", "--model", "a b"], 1, "models"),
            (["list"], 0, "no keys yet"),
        ],
    )
    def test_what_is_wrong_is_said(self, run, arguments, status, said):
        done = run(*arguments)
        assert (done.exit_code, said in done.stderr) == (status, True), done.output


def test_the_hash_is_keyed_and_as_it_always_was():
    """Keys that were made must go on working: the hash may not change."""
    assert digest_of("a" * 38, b"pepper") == digest_of("a" * 38, b"pepper")
    assert digest_of("a" * 38, b"pepper") != digest_of("a" * 38, b"paprika")
    assert digest_of("abc", b"pepper") == "c37f5f0ee43a4d98ff9d4b9a7c783f0541d5ee301ca593b36edeea33e7f5a076"


async def test_a_database_server_that_goes_away_and_comes_back(keyed, postgres, monkeypatch, caplog):
    monkeypatch.setenv("RIGHTSEAT_KEY_PEPPER", "a-pepper-for-several-machines")
    with PostgresServer() as server:
        _, admin, ask = await keyed(settings={"database": server.database()})
        _, free = await admin("POST", "/keys", {"name": "free"})
        _, limited = await admin("POST", "/keys", {"name": "limited", "daily_tokens": 100_000})
        assert (await ask(limited["key"]))[0] == 200
        server.stop()
        assert (await ask(free["key"]))[0] == 200  # known by heart
        status, body, headers = await ask(limited["key"])
        assert (status, body["error"]["code"], headers["retry-after"]) == (503, "key_database", "1")
        assert "postgres" not in json.dumps(body)
        status, body = await admin("GET", "/keys")
        assert status == 503

        def complaints():
            return [line for line in caplog.messages if line.startswith("the database of keys (")]

        async with asyncio.timeout(10):
            while not complaints():
                await asyncio.sleep(0.05)
        server.start(server.port)
        assert (await ask(limited["key"]))[0] == 200

        async def used(name):
            _, body = await admin("GET", "/keys")
            return next(k["used"].get("day", {}).get("requests", 0) for k in body["keys"] if k["name"] == name)

        async with asyncio.timeout(10):
            while (await used("limited"), await used("free")) != (2, 1):
                await asyncio.sleep(0.05)
            while "is back" not in caplog.text:
                await asyncio.sleep(0.05)
        assert len(complaints()) == 1


async def test_what_was_used_while_the_database_was_away_is_booked_later(keyed, monkeypatch):
    monkeypatch.setenv("RIGHTSEAT_KEY_PEPPER", "a-pepper-for-several-machines")
    with PostgresServer() as server:
        served, admin, _ = await keyed(settings={"database": server.database()}, pace=20)
        _, made = await admin("POST", "/keys", {"name": "ann", "daily_tokens": 100_000})
        headers = {"authorization": f"Bearer {made['key']}"}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{served.url}/v1/chat/completions", json={**ASK, "stream": True}, headers=headers) as answer,
        ):
            assert answer.status == 200
            server.stop()
            assert b"[DONE]" in await answer.read()  # what was admitted goes on
        server.start(server.port)
        async with asyncio.timeout(10):
            while True:
                status, body = await admin("GET", "/keys")
                if status == 200 and body["keys"][0]["used"]:
                    break
                await asyncio.sleep(0.05)
        assert body["keys"][0]["used"]["day"]["output_tokens"] > 0
