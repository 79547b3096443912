"""A wrong value of an option is our error and names the option, before anything is asked."""

import pytest

from rightseat import CopilotSDK, InvalidOptionError


def answer(request):
    return "hi"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", 5), ("base_url", 5), ("base_url", ""), ("host", 5), ("account", ""), ("home", 5), ("client", 5), ("client", "x"), ("observers", 5),
        ("observers", "x"),
    ],
)  # fmt: skip
def test_of_the_sdk(name, value):
    with pytest.raises(InvalidOptionError, match=f"^{name}: "):
        CopilotSDK(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("system", 5), ("model", 5), ("model", ""), ("tools", print), ("tools", 5)]
)
async def test_of_a_session(name, value):
    async with CopilotSDK(handler=answer) as sdk:
        with pytest.raises(InvalidOptionError, match=f"^{name}: "):
            await sdk.create_session(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reasoning_effort", "hgih"), ("verbosity", "x"), ("temperature", "warm"), ("extra_body", {"temperature": 1}),
    ],
)  # fmt: skip
async def test_of_a_question(name, value):
    async with CopilotSDK(handler=answer) as sdk:
        with pytest.raises(InvalidOptionError, match=f"^{name}: "):
            await sdk.chat("hi", **{name: value})


async def test_an_account_that_is_named_is_the_one_that_is_asked(simulator, monkeypatch, tmp_path):
    """Not the one of a key in the environment, which would be paid for it."""
    monkeypatch.setenv("COPILOT_API_KEY", "gho_token")
    async with CopilotSDK(account="nobody", host=simulator.url, home=tmp_path) as sdk:
        with pytest.raises(Exception, match="nobody"):
            await sdk.chat("hi")
