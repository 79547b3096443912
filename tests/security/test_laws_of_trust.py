"""The laws of trust that no other file states, each on real sockets or real parts: what a stranger, or one key, can do to all others.

Others are in test_linear_time, test_floods, test_attacks and test_canary, in gateway/test_access, test_limits, test_keys and test_content, in
state/test_budget, accounts/test_hosts and wire/test_limits_of_reading.
"""

import asyncio
import contextlib
import json
import sys
import threading
import tracemalloc
from pathlib import Path

import aiohttp
import pytest

from rightseat.gateway.pipeline.body_workers import SMALL, BodyWorkers
from rightseat.gateway.pipeline.content import Content, ContentBlockedError
from rightseat.masking.finder import Finder
from rightseat.simulator.script import Rule, Script, ScriptedError

sys.path.insert(0, str(Path(__file__).parent))
from hostile import cpu
from planted import planted

ADMIN = "management-key-0123456789"
SAY = [{"role": "user", "content": "Reply with exactly: hello"}]
ASK = {"model": "gpt-4.1", "messages": SAY}
LONG = [{"role": "user", "content": "Reply with exactly: " + "word " * 400}]


@pytest.fixture
async def asked(gateway):
    """A gateway with management: `served, admin, post = await asked(...)`."""
    async with aiohttp.ClientSession() as http:

        async def start(**given):
            served = await gateway(settings={"management_key": ADMIN, **given.pop("settings", {})}, **given)

            async def admin(method, path, body=None):
                headers = {"authorization": f"Bearer {ADMIN}"}
                async with http.request(method, f"{served.url}/v0/management{path}", json=body, headers=headers) as r:
                    return r.status, await r.json()

            async def post(path, body, **headers):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                async with http.post(served.url + path, data=data, headers=headers) as r:
                    return r.status, await r.read()

            return served, admin, post

        yield start


class TestA1OnlyWorkInProportion:
    def test_a_secret_of_each_kind_does_not_make_a_long_text_expensive(self):
        """Each pattern that hits was run over all of the text, and a pattern gives way to nobody: 10 MB stopped the gateway for 6 seconds."""
        finder = Finder()
        plain = "hello world, this is text. " * 100_000
        some = "\n".join(text for _, text in planted()[:80]) + "\n"
        alone, with_secrets = cpu(finder.find, plain, 3), cpu(finder.find, some + plain, 3)
        assert with_secrets < 3 * alone + 20 * cpu(finder.find, some, 3)

    @pytest.mark.parametrize("at", [0, 65_000, 65_530, 65_536, 131_060, 200_000])
    def test_a_long_text_hides_nothing_wherever_it_stands(self, at):
        finder = Finder()
        for kind, text in planted()[:90]:
            filler = "lorem ipsum " * (at // 12)
            whole = f"{filler}\n{text}\n" + "dolor sit amet " * 20_000
            alone = [one.kind for one in finder.find(f"\n{text}\n")]
            found = finder.find(whole)
            assert [one.kind for one in found] == alone, kind
            assert [whole[one.start : one.end] for one in found] == [
                f"\n{text}\n"[one.start : one.end] for one in finder.find(f"\n{text}\n")
            ]

    @pytest.mark.parametrize("policy", ["report", "redact", "block"])
    def test_many_texts_under_one_long_name_cost_what_they_are(self, policy):
        """Where each text is was written out for all of them: 64 MiB of body were some terabytes of names."""
        body = {"messages": [{"role": "user", "content": {"k" * 50_000: ["fourteen chars"] * 2000}}]}
        content = Content(policy, injections="block")
        content.inspect(body)
        tracemalloc.start()
        content.inspect(body)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4_000_000

    def test_the_place_of_what_is_found_is_short_however_long_its_names_are(self):
        body = {"messages": [{"role": "user", "content": {"k" * 50_000: ["ghp_" + "a1B2" * 9]}}]}
        with pytest.raises(ContentBlockedError) as e:
            Content("block").inspect(body)
        assert e.value.field.startswith("messages[0].content.kkkk")
        assert len(e.value.field) < 200
        assert len(str(e.value)) < 400

    def test_what_only_begins_like_an_image_is_looked_at(self):
        secret = "ghp_" + "a1B2" * 9
        assert Content().inspect({"messages": [{"role": "user", "content": f"data: {secret}"}]}).found
        assert (
            not Content().inspect({"messages": [{"role": "user", "content": f"data:image/png;base64,{secret}"}]}).found
        )

    async def test_a_name_of_a_model_that_is_none_is_kept_nowhere(self, asked):
        """The list of requests kept a thousand of them, each as long as a body may be."""
        _, admin, post = await asked()
        for name in ("m" * 1_000_000, "m" * 257):
            status, said = await post("/v1/chat/completions", {**ASK, "model": name})
            assert (status, len(said) < 400) == (400, True)
        _, listed = await admin("GET", "/requests")
        assert len(json.dumps(listed)) < 4000


class TestA4WhatIsCheckedIsWhatIsSent:
    async def test_a_name_that_stands_twice_reaches_nobody_twice(self, asked):
        """A key's model, limit or secret is checked in the last of them; a server that takes the first must not get another."""
        served, admin, post = await asked()
        _, made = await admin("POST", "/keys", {"name": "ann", "models": ["gpt-4.1"], "daily_tokens": 100_000})
        twice = b'{"model":"gpt-5","max_tokens":90000,"model":"gpt-4.1","max_tokens":7,"messages":%b,"messages":%b}'
        body = twice % (json.dumps([{"role": "user", "content": "hidden"}]).encode(), json.dumps(SAY).encode())
        status, said = await post("/v1/chat/completions", body, **{"x-api-key": made["key"]})
        assert status == 200, said
        sent = served.app.seen[-1].body
        assert sent.count(b'"model"') == sent.count(b'"messages"') == sent.count(b'"max_tokens"') == 1
        assert b"hidden" not in sent

    @pytest.mark.parametrize(
        "name", ["Model", "MODEL", "max_Tokens", "me\u017f\u017fages", "max_to\u212aens", "Stream_Options"]
    )
    async def test_a_name_in_other_letters_is_refused(self, asked, name):
        """A server that ignores case takes it for the real one, as many do."""
        _, _, post = await asked()
        status, said = await post("/v1/chat/completions", {**ASK, name: "gpt-5"})
        assert status == 400
        assert "must be written" in json.loads(said)["error"]["message"]


class TestA3WhatReachedUpstreamIsBooked:
    async def used(self, admin, key):
        """What is booked of a key, as soon as something is."""
        async with asyncio.timeout(20):
            while True:
                _, listed = await admin("GET", "/keys")
                day = next(one["used"].get("day") for one in listed["keys"] if one["id"] == key["id"])
                if day and day["input_tokens"]:
                    return day

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/v1/chat/completions", {"model": "gpt-4.1", "stream_options": {"include_usage": False}}),
            ("/v1/messages", {"model": "claude-sonnet-4.5", "max_tokens": 2000}),
            ("/v1/messages", {"model": "gpt-4.1", "max_tokens": 2000}),
            ("/v1/responses", {"model": "gpt-5"}),
        ],
    )
    async def test_a_client_that_leaves_after_the_first_words(self, asked, path, body):
        served, admin, _ = await asked(pace=100)
        _, key = await admin("POST", "/keys", {"name": "ann", "daily_tokens": 1_000_000})
        body = {**body, "input" if path == "/v1/responses" else "messages": LONG, "stream": True}
        async with (
            aiohttp.ClientSession() as http,
            http.post(served.url + path, json=body, headers={"x-api-key": key["key"]}) as answer,
        ):
            async for piece in answer.content.iter_any():
                if b"word" in piece:
                    break
            answer.close()
        assert (await self.used(admin, key))["input_tokens"] >= len(LONG[0]["content"]) // 5

    async def test_a_stream_without_its_usage_is_booked_whole(self, asked):
        _, admin, post = await asked()
        _, key = await admin("POST", "/keys", {"name": "ann", "daily_tokens": 1_000_000})
        body = {"model": "gpt-4.1", "messages": LONG, "stream": True, "stream_options": {"include_usage": False}}
        assert (await post("/v1/chat/completions", body, **{"x-api-key": key["key"]}))[0] == 200
        day = await self.used(admin, key)
        assert day["output_tokens"] >= 400

    @pytest.mark.parametrize("stream", [True, False])
    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/v1/chat/completions", {"model": "gpt-4.1", "max_tokens": 50}),
            ("/v1/chat/completions", {"model": "claude-sonnet-4.5", "max_tokens": 50}),
            ("/v1/messages", {"model": "claude-sonnet-4.5", "max_tokens": 50}),
            ("/v1/messages", {"model": "gpt-4.1", "max_tokens": 50}),
            ("/v1/responses", {"model": "gpt-5", "max_output_tokens": 50}),
            ("/v1/responses", {"model": "gpt-4.1", "max_output_tokens": 50}),
        ],
    )
    async def test_an_answer_that_does_not_keep_to_its_limit_is_ended(self, asked, path, body, stream):
        """A key must not use more than is reserved for its request, whatever a model does."""
        flood = Script([Rule(chunks=["word "] * 200_000)])
        served, admin, _ = await asked(script=flood)
        _, key = await admin("POST", "/keys", {"name": "ann", "daily_tokens": 5000})
        body = {**body, "input" if path == "/v1/responses" else "messages": SAY, "stream": stream}
        said, head = b"", {"x-api-key": key["key"]}
        async with aiohttp.ClientSession() as http, http.post(served.url + path, json=body, headers=head) as answer:
            with contextlib.suppress(aiohttp.ClientPayloadError):  # what is cut does not end like what is whole
                async for piece in answer.content.iter_any():
                    said += piece
        assert answer.status == (200 if stream else 502)
        assert b"did not keep to the length" in said
        assert (await self.used(admin, key))["output_tokens"] < 5000


class TestA6LargeBodiesHoldNobodyElse:
    async def test_large_bodies_of_one_caller_wait_for_each_other_and_no_others_for_them(self):
        workers, gate = BodyWorkers(), threading.Event()
        many = [asyncio.ensure_future(workers.run("mallory", SMALL, gate.wait)) for _ in range(50)]
        try:
            async with asyncio.timeout(20):
                assert await workers.run("ann", SMALL, lambda: "ann's") == "ann's"
            assert await workers.run("mallory", SMALL - 1, lambda: "small") == "small"
            many[7].cancel()
        finally:
            gate.set()
        done = await asyncio.gather(*many, return_exceptions=True)
        assert done.count(True) == 49

    async def test_a_job_whose_caller_has_left_is_still_the_callers(self):
        """Who left in the middle of one job after another had both threads, and everybody waited."""
        workers, gate, running = BodyWorkers(), threading.Event(), []

        def job():
            running.append(1)
            gate.wait()

        tasks = []
        try:
            for _ in range(6):
                tasks.append(asyncio.ensure_future(workers.run("mallory", SMALL, job)))
                for _ in range(10):
                    await asyncio.sleep(0)
                tasks[-1].cancel()
            async with asyncio.timeout(20):
                assert await workers.run("ann", SMALL, lambda: "ann's") == "ann's"
            assert len(running) == 1
        finally:
            gate.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in done)

    async def test_what_the_work_raises_is_raised_and_the_next_goes_on(self):
        workers = BodyWorkers()
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await workers.run("ann", SMALL, lambda: 1 // 0)
        assert await workers.run("ann", SMALL, lambda: 1) == 1


class TestA8AnEndedSecretEndsEverywhere:
    @pytest.mark.parametrize("how", ["DELETE /keys/{}", "POST /keys/{}/rotate"])
    async def test_streams_sockets_and_what_is_idle_within_a_second(self, asked, how):
        served, admin, _ = await asked(pace=20)
        _, key = await admin("POST", "/keys", {"name": "ann"})
        slow = {
            "model": "gpt-4.1",
            "messages": [{"role": "user", "content": "Reply with exactly: " + "word " * 5000}],
            "stream": True,
        }
        head = {"x-api-key": key["key"]}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{served.url}/v1/chat/completions", json=slow, headers=head) as stream,
            http.ws_connect(f"{served.url}/v1/ws") as ws,
            http.ws_connect(f"{served.url}/v1/responses", headers=head) as busy,
            http.ws_connect(f"{served.url}/v1/responses", headers=head) as idle,
        ):
            await ws.send_json({"type": "hello", "key": key["key"]})
            await ws.send_json({"type": "request", "id": "a", "path": "/v1/chat/completions", "body": slow})
            await busy.send_json({"type": "response.create", "model": "gpt-5", "input": slow["messages"]})
            await stream.content.readany()
            await busy.receive()
            while json.loads((await ws.receive()).data)["type"] != "event":
                pass
            begun = asyncio.get_running_loop().time()
            method, path = how.split()
            assert (await admin(method, path.format(key["id"]), {} if method == "POST" else None))[0] == 200
            said = await asyncio.gather(*(self.all_of(one) for one in (stream.content.iter_any(), ws, busy, idle)))
            assert asyncio.get_running_loop().time() - begun < 5  # of a busy machine; a check comes twice a second
        for text in said[:3]:
            assert "this key " in text

    async def all_of(self, pieces):
        text = ""
        with contextlib.suppress(aiohttp.ClientPayloadError):  # no polite end, which would look like a whole answer
            async for piece in pieces:
                text += piece.decode() if isinstance(piece, bytes) else str(piece.data)
        return text


class TestA19OnesOwnFaultsCountForOneself:
    @pytest.mark.parametrize("status", [403, 500, 502, 503])
    async def test_a_key_that_provokes_errors_closes_no_model_for_others(self, asked, status):
        script = Script([Rule(when="break it", error=ScriptedError(status, "no", None))])
        _, admin, post = await asked(script=script, settings={"attempts": 2})
        keys = [(await admin("POST", "/keys", {"name": name}))[1]["key"] for name in ("mallory", "ann")]
        bad = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "break it"}]}
        for _ in range(40):
            assert (await post("/v1/chat/completions", bad, **{"x-api-key": keys[0]}))[0] >= 400
        for _ in range(3):
            assert (await post("/v1/chat/completions", ASK, **{"x-api-key": keys[1]}))[0] == 200


class TestValuesAreValidatedWhereTheyEnter:
    @pytest.mark.parametrize("origin", ["http://[", "https://[::1", "http://" + "a" * 9000, "http://]x["])
    async def test_an_origin_that_is_none_is_refused(self, gateway, origin):
        """A16: it ended in a traceback, over HTTP and in a handshake."""
        served = await gateway()
        async with aiohttp.ClientSession() as http:
            for path in ("/healthz", "/v1/models"):
                async with http.get(served.url + path, headers={"origin": origin}) as r:
                    assert r.status == 403
            for path in ("/v1/ws", "/v1/responses"):
                with pytest.raises(aiohttp.WSServerHandshakeError) as e:
                    await http.ws_connect(served.url + path, headers={"origin": origin})
                assert e.value.status == (403 if len(origin) < 8192 else 431)

    @pytest.mark.parametrize("fields", [{"x": "a" * 9000}, {f"x{i}": "1" for i in range(200)}])
    async def test_a_handshake_that_is_too_large_is_answered_and_over(self, gateway, fields):
        """Nobody answered it, and its connection was kept for ever: 10,000 of them, without a key, and nobody else came in."""
        served = await gateway()
        async with aiohttp.ClientSession() as http, asyncio.timeout(20):
            with pytest.raises(aiohttp.WSServerHandshakeError) as e:
                await http.ws_connect(f"{served.url}/v1/ws", headers=fields)
        assert e.value.status == 431
