"""Options of the facade: nothing that is asked for is dropped. It works, or it is refused by name."""

import asyncio

import pytest

from rightseat import CircuitOpenError, CopilotClient, CopilotSDK, InvalidOptionError, SessionError, UnknownOptionError
from rightseat.layers import Backoff, CachePolicy
from rightseat.testing import ScriptedHandler


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"temprature": 1}, r"temprature: no such option of chat; did you mean temperature\?"),
        ({"max_token": 1}, r"did you mean max_tokens\?"),
        ({"image": []}, r"did you mean images\?"),
        ({"time_out": 3}, r"did you mean timeout\?"),
        ({"quality": 3}, "quality: no such option of chat; there is extra_body, frequency_penalty"),
    ],
)
async def test_a_wrong_name_is_refused_with_the_nearest_one(options, said):
    upstream = ScriptedHandler()
    async with CopilotSDK(handler=upstream) as sdk:
        session = await sdk.create_session()
        with pytest.raises(UnknownOptionError, match=said):
            await session.chat("hi", **options)
        with pytest.raises(UnknownOptionError, match=said):
            session.stream("hi", **options)
        with pytest.raises(UnknownOptionError, match=said.split("; there")[0]):
            await sdk.chat("hi", **options)
    assert upstream.calls == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"systm": "Be brief."}, r"systm: no such option of create_session; did you mean system\?"),
        ({"temprature": 1}, r"did you mean temperature\?"),
        ({"modell": "gpt-5"}, r"did you mean model\?"),
    ],
)
async def test_a_wrong_name_at_creation_is_refused_with_either_backend(options, said):
    for given in ({"handler": ScriptedHandler()}, {"client": CopilotClient()}):
        with pytest.raises(UnknownOptionError, match=said):
            await CopilotSDK(**given).create_session(**options)


@pytest.mark.parametrize(
    ("name", "said"),
    [("request_per_minute", "requests_per_minute"), ("retri", "retry"), ("base_ur", "base_url"), ("modle", "model")],
)
def test_a_wrong_name_of_the_sdk_is_refused_with_the_nearest_one(name, said):
    with pytest.raises(UnknownOptionError, match=rf"{name}: no such option of CopilotSDK; did you mean {said}\?"):
        CopilotSDK(**{name: 1})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"temperature": "hot"}, "temperature: must be a number"),
        ({"max_tokens": 0}, "max_tokens: must be at least 1"),
        ({"max_tokens": 1.5}, "max_tokens: must be a whole number"),
        ({"stop": 3}, "stop: must be a string or list or tuple, not int"),
        ({"parallel_tool_calls": "yes"}, "parallel_tool_calls: must be bool"),
        ({"tool_choice": 3}, "tool_choice: must be a string or dict"),
        ({"extra_body": {"temperature": 1}}, "extra_body: temperature has an option of its own"),
        ({"working_directory": "/"}, "working_directory: an option of a session of the Copilot CLI"),
    ],
)
async def test_a_value_that_makes_no_sense_is_refused_by_its_name(options, said):
    async with CopilotSDK(handler=ScriptedHandler()) as sdk:
        session = await sdk.create_session()
        with pytest.raises(InvalidOptionError, match=said):
            await session.chat("hi", **options)
        with pytest.raises(InvalidOptionError, match=said):
            await sdk.create_session(**options)


async def test_what_has_no_option_of_its_own_goes_in_extra_body_and_none_counts_as_left_out():
    upstream = ScriptedHandler()
    async with CopilotSDK(handler=upstream) as sdk:
        await sdk.chat("hi", temperature=None, seed=-1, extra_body={"top_k": 5}, stop=["a"])
    assert upstream.calls[0].extra == {"seed": -1, "top_k": 5, "stop": ["a"]}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retry": Backoff()}, "retry: not with client=: a turn that has begun may have done things"),
        ({"retry": True}, "retry: not with client="),
        ({"retry_on": bool}, "retry_on: not with client="),
        ({"cache": CachePolicy()}, "cache: not with client="),
        ({"fallbacks": {"a": ["b"]}}, "fallbacks: not with client="),
        ({"window": 100}, "window: not with client="),
        ({"summarise": str}, "summarise: not with client="),
        ({"api_key": "gho_x"}, "api_key: has no meaning with client="),
        ({"account": "ann"}, "account: has no meaning with client="),
        ({"host": "github.com"}, "host: has no meaning with client="),
        ({"home": "/tmp"}, "home: has no meaning with client="),
        ({"compression": True}, "compression: has no meaning with client="),
    ],
)
def test_what_cannot_surround_the_cli_is_refused_by_name(options, said):
    with pytest.raises(InvalidOptionError, match=said):
        CopilotSDK(client=CopilotClient(), **options)


def test_turning_off_what_is_off_with_the_cli_is_no_mistake():
    sdk = CopilotSDK(client=CopilotClient(), retry=None, cache=None, window=None, fallbacks={}, summarise=None)
    assert sdk.state.circuits is not None
    assert sdk.state.queue is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_steps": 3}, "max_steps: the Copilot CLI has no such option"),
        ({"temperature": 1.0}, "temperature: the Copilot CLI has no such option"),
        ({"extra_body": {"n": 1}}, "extra_body: the Copilot CLI has no such option"),
        ({"working_directory": 3}, "'working_directory' must be a string"),
    ],
)
async def test_what_the_cli_cannot_do_is_refused_when_a_session_is_made(options, said):
    async with CopilotSDK(client=CopilotClient()) as sdk:
        with pytest.raises(InvalidOptionError, match=said):
            await sdk.create_session(**options)


async def test_what_the_cli_tells_of_its_model_counts_for_the_breaker():
    def fails(status):
        return ScriptedHandler(default=SessionError("it failed", status_code=status))

    for status, error in ((503, CircuitOpenError), (429, SessionError), (None, SessionError)):
        async with CopilotSDK(handler=fails(status), retry=None) as sdk:
            for _ in range(10):
                with pytest.raises(SessionError):
                    await sdk.chat("hi")
            with pytest.raises(error):
                await sdk.chat("hi")


@pytest.mark.contract
async def test_every_layer_that_fits_stands_around_the_cli(simulator, copilot):
    seen = []

    def spy(inner):
        async def handler(request):
            seen.append(request.prompt)
            return await inner(request)

        return handler

    async with (
        copilot(simulator) as client,
        CopilotSDK(client=client, requests_per_minute=60, concurrency=1, extra=[spy], timeout=30) as sdk,
    ):
        sessions = [await sdk.create_session(streaming=False) for _ in range(2)]
        answers = await asyncio.gather(*(s.chat("Reply with exactly: hello") for s in sessions))
        assert [a.text for a in answers] == ["hello"] * 2
        assert seen == ["Reply with exactly: hello"] * 2
        assert sdk.state.limits is not None
        assert sdk.state.shown()["circuits"] == {"gpt-5": "closed"}
        with pytest.raises(InvalidOptionError, match="temperature: the Copilot CLI has no such option for a message"):
            await sessions[0].chat("hi", temperature=1)
