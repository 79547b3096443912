"""Device login as a conversation: every answer of GitHub, without I/O."""

import json

import pytest

from rightseat.accounts.device_flow import MARGIN_SECONDS, Prompt, Wait, device_flow
from rightseat.accounts.hosts import Hosts
from rightseat.accounts.identity import Editor
from rightseat.errors import LoginError
from rightseat.transport.http.base import HttpAnswer, HttpRequest

CODE = {
    "device_code": "d",
    "user_code": "ABCD-EFGH",
    "verification_uri": "https://github.com/login/device",
    "expires_in": 900,
    "interval": 5,
}


def answer(body: object, status: int = 200) -> HttpAnswer:
    return HttpAnswer(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def play(*answers: object) -> tuple[str, list]:
    """The token, and what was yielded."""
    flow, steps, left = device_flow(Hosts(), Editor()), [], list(answers)
    reply = None
    try:
        while True:
            step = flow.send(reply)
            steps.append(step)
            reply = answer(left.pop(0)) if isinstance(step, HttpRequest) else None
    except StopIteration as e:
        return e.value, steps


def test_pending_then_approved():
    token, steps = play(CODE, {"error": "authorization_pending"}, {"access_token": "gho_x"})
    assert token == "gho_x"
    assert [type(s) for s in steps] == [HttpRequest, Prompt, Wait, HttpRequest, Wait, HttpRequest]
    assert steps[1] == Prompt("ABCD-EFGH", "https://github.com/login/device", 900)
    assert steps[2] == Wait(5 + MARGIN_SECONDS)
    assert steps[0].url == "https://github.com/login/device/code"
    assert b"client_id=Iv1." in steps[0].body
    assert steps[3].url == "https://github.com/login/oauth/access_token"
    assert b"device_code=d" in steps[3].body
    assert steps[3].headers["accept"] == "application/json"


@pytest.mark.parametrize(("said", "waits"), [({"interval": 12}, 12), ({}, 10)])
def test_slow_down_takes_the_new_interval(said, waits):
    _, steps = play(CODE, {"error": "slow_down", **said}, {"error": "authorization_pending"}, {"access_token": "t"})
    assert [s.seconds - MARGIN_SECONDS for s in steps if isinstance(s, Wait)] == [5, waits, waits]


@pytest.mark.parametrize(
    ("error", "says"),
    [("expired_token", "expired"), ("access_denied", "denied"), ("device_flow_disabled", "disabled"), ("brand_new", "refused the login: brand_new")],
)  # fmt: skip
def test_refusals_end_it_by_name(error, says):
    with pytest.raises(LoginError, match=says) as caught:
        play(CODE, {"error": error})
    assert caught.value.code == error


def test_nobody_approves():
    with pytest.raises(LoginError, match="expired"):
        play({**CODE, "expires_in": 30}, *[{"error": "authorization_pending"}] * 20)


@pytest.mark.parametrize(
    "odd", [b"<html>", b"[]", b"\xff", {"error": "unauthorized_client", "error_description": "who?"}]
)
def test_what_is_not_the_protocol_is_a_typed_error(odd):
    with pytest.raises(LoginError):
        play(odd)
    with pytest.raises(LoginError):
        play(CODE, odd)


def test_a_tenant_is_never_mixed_with_the_public_hosts():
    flow = device_flow(Hosts.of("octo.ghe.com"), Editor())
    assert next(flow).url == "https://octo.ghe.com/login/device/code"
    assert Hosts.of("octo.ghe.com") == Hosts(
        "https://octo.ghe.com", "https://api.octo.ghe.com", "https://copilot-api.octo.ghe.com"
    )
