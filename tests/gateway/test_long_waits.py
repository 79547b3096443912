"""Limits of an account (row 14 of what breaks agents): a short wait is the client's to make, a long one is told to the person."""

import aiohttp
import pytest

from rightseat.simulator.script import Rule, Script, ScriptedError

ASKED = [{"role": "user", "content": "hi"}]


async def refused(gateway, error):
    served = await gateway(script=Script([Rule(error=error)]))
    body = {"model": "claude-sonnet-4.5", "max_tokens": 9, "messages": ASKED}
    async with aiohttp.ClientSession() as http, http.post(f"{served.url}/v1/messages", json=body) as r:
        return r.status, r.headers, (await r.json())["error"]["message"]


class TestRow14:
    async def test_a_short_wait_is_made_by_the_client(self, gateway):
        status, headers, message = await refused(gateway, ScriptedError(429, "slow down", "rate_limited", 20))
        assert (status, headers["retry-after"], "x-should-retry" in headers) == (429, "20", False)
        assert "try again" not in message

    @pytest.mark.parametrize(
        ("error", "least", "words"),
        [
            (ScriptedError(429, "limit", "user_model_rate_limited:pro", 2700), 2690, "(try again in 45 minutes)"),
            (ScriptedError(429, "limit", "user_global_rate_limited:pro", 4 * 3600), 14_390, "(try again in 4 hours)"),
            (ScriptedError(429, "You are limited. Please retry after 2733 seconds.", "rate_limited"), 2723, "(try again in 46 minutes)"),
        ],
    )  # fmt: skip
    async def test_a_long_wait_is_told_and_not_slept_through(self, gateway, error, least, words):
        status, headers, message = await refused(gateway, error)
        assert (status, headers["x-should-retry"]) == (429, "false")
        assert int(headers["retry-after"]) >= least
        assert message.endswith(words)
