"""What the gateway says: one line a request, nothing of what was said, no secret, no line that is not one."""

import asyncio
import io
import json
import logging
import sys
from pathlib import Path

import aiohttp
import pytest
from tests.said import configure, restored

from rightseat.simulator.script import Rule, Script, ScriptedError
from rightseat.testing import FakeClock

sys.path.insert(0, str(Path(__file__).parent.parent / "security"))
from planted import planted

ASK = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Reply with exactly: a private matter"}]}


@pytest.fixture
def said():
    """Where logs go: `said("json")` gives the stream."""
    with restored():
        yield configure


async def post(served, body=ASK, **headers) -> int:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{served.url}/v1/chat/completions", json=body, headers=headers) as response,
    ):
        await response.read()
        return response.status


async def test_a_line_of_json_a_request(gateway, said):
    stream = said("json")
    script = Script([Rule(when="fast", error=ScriptedError(429, "too fast", "rate_limited", 7))])
    served = await gateway(script=script)
    await post(served, **{"x-request-id": "my-own-id-0001"})
    await post(served, {**ASK, "messages": [{"role": "user", "content": "fast"}]})
    good, bad = [v for v in map(json.loads, stream.getvalue().splitlines()) if v["event"] == "request"]
    assert (good["request_id"], good["status"], good["model"], good["dialect"], good["stream"]) == ("my-own-id-0001", 200, "gpt-4.1", "chat", False)  # fmt: skip
    assert 0 < good["head_seconds"] <= good["seconds"] < 5
    assert good["account"].startswith("ann")
    assert (bad["status"], bad["level"]) == (429, "info")
    assert "too fast" in bad["error"]
    assert "private matter" not in stream.getvalue()
    assert served.app.seen[-2].headers["x-request-id"] == "my-own-id-0001"


async def test_a_line_for_people_and_none_when_switched_off(gateway, said):
    stream = said("console")
    served = await gateway()
    await post(served)
    (line,) = stream.getvalue().splitlines()
    assert " 200 " in line
    assert "chat gpt-4.1 (as it is, user)" in line
    quiet = said("off")
    await post(served)
    assert quiet.getvalue() == ""


@pytest.mark.parametrize("bad", ["x", "a b c d e f g h", "inj\x1b[31mected", "a" * 200, "line%0abreak\u2028"])
async def test_ids_that_cannot_stand_in_a_log_are_replaced(gateway, said, bad):
    stream = said("json")
    served = await gateway()
    try:
        await post(served, **{"x-request-id": bad})
    except ValueError:
        return  # the client itself refuses to send it
    (line,) = stream.getvalue().splitlines()
    assert len(json.loads(line)["request_id"]) == 36


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_passes_the_sink_whoever_logs_it(said, form):
    stream = said(form, "debug")
    other = logging.getLogger("rightseat.somebody.else")
    for kind, secret in planted():
        if kind not in ("email", "card", "ssn", "iban", "phone"):
            other.debug("got %s", secret)
            try:
                raise ValueError(f"with {secret} inside")
            except ValueError:
                other.exception("failed")
    text = stream.getvalue()
    cores = [max(secret.replace("\n", " ").split(), key=len) for kind, secret in planted() if kind not in ("email", "card", "ssn", "iban", "phone", "private_key", "url_password", "named_secret", "azure_sas", "azure_storage_key")]  # fmt: skip
    assert [core for core in cores if core in text] == []


def record(text: str) -> logging.LogRecord:
    facts = {"request": {"event": "request", "error": text}}
    return logging.getLogger("rightseat.access").makeRecord(
        "rightseat.access", 20, "", 0, "request", (), None, extra=facts
    )


def written(stream) -> list[str]:
    """What has arrived, and nothing more."""
    return io.StringIO.getvalue(stream).splitlines()


async def test_lines_about_requests_wait_a_moment_and_are_written_in_order_before_any_other(said):
    stream = said("json")
    access = logging.getLogger("rightseat.access")
    for i in range(3):
        access.handle(record(f"number {i}"))
    assert written(stream) == []
    logging.getLogger("rightseat").warning("something else")
    assert [json.loads(line).get("error", "") for line in written(stream)] == ["number 0", "number 1", "number 2", ""]
    access.handle(record("alone"))
    async with asyncio.timeout(5):
        while len(written(stream)) < 5:
            await asyncio.sleep(0.01)


def test_without_an_event_loop_nothing_waits(said):
    stream = said("json")
    logging.getLogger("rightseat.access").handle(record("at once"))
    assert len(written(stream)) == 1


def test_lines_that_a_dead_event_loop_left_behind_are_written_with_the_next(said, monkeypatch):
    stream = said("json")
    access = logging.getLogger("rightseat.access")

    async def say():
        access.handle(record("left"))

    asyncio.run(say())
    assert written(stream) == []
    monkeypatch.setattr("rightseat.gateway.observe.logging.SYSTEM_CLOCK", FakeClock(float("inf")))
    access.handle(record("next"))
    assert [json.loads(line)["error"] for line in written(stream)] == ["left", "next"]


async def test_a_secret_in_one_of_many_lines_is_masked(said):
    stream = said("json")
    secret = next(text for kind, text in planted() if kind == "github_token")
    for i in range(100):
        logging.getLogger("rightseat.access").handle(record(f"number {i} {secret if i == 50 else ''}"))
    assert secret not in stream.getvalue()
    assert [json.loads(line)["error"].split()[1] for line in written(stream)] == [str(i) for i in range(100)]


def test_a_line_that_cannot_be_made_shows_nothing_of_what_it_was_made_of(said, capfd):
    stream = said("json")
    secret = next(text for kind, text in planted() if kind == "github_token")
    server = logging.getLogger("uvicorn")  # does not go on to pytest, which raises
    server.warning("two places, one thing: %s %s", *[secret])
    server.warning("the next one")
    first, second = stream.getvalue().splitlines()
    assert "could not be written: TypeError" in json.loads(first)["event"]
    assert "test_logs.py" in first
    assert json.loads(second)["event"] == "the next one"
    assert secret not in stream.getvalue() + "".join(capfd.readouterr())


def test_no_message_makes_a_second_line_or_moves_the_cursor(said):
    stream = said("console")
    logging.getLogger("rightseat").warning("one\n2026-01-01 info 200 forged\r\x1b[2J\u2028two")
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


async def test_a_fault_of_the_gateway_is_told_without_its_secrets(gateway, said, monkeypatch):
    """Also what the server itself reports of an exception that nobody foresaw."""
    stream = said("console")
    served = await gateway()
    secret = next(text for kind, text in planted() if kind == "github_token")

    def breaks():
        raise RuntimeError(f"unforeseen, with {secret}")

    monkeypatch.setattr("rightseat.gateway.endpoints.probes.openapi", breaks)
    async with aiohttp.ClientSession() as http, http.get(f"{served.url}/openapi.json") as response:
        assert response.status == 500
        assert secret not in await response.text()
    assert "unforeseen" in stream.getvalue()
    assert secret not in stream.getvalue()
