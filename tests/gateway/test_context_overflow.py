"""A prompt that is too long is refused in the words at which each client shortens what it sends (row 2 of what breaks agents)."""

import json

import anthropic
import openai
import pytest

from rightseat.backends.refusals import error_of
from rightseat.errors import PromptTooLongError
from rightseat.wire.copilot_models import model_entry
from rightseat.wire.dialects import MESSAGES

LONG = "word " * 4000
PATHS = {"chat": "/chat/completions", "responses": "/responses", "messages": "/v1/messages"}
SMALL = tuple(
    model_entry(f"small-{name}", max_prompt_tokens=1000, max_output_tokens=100, endpoints=(path,))
    for name, path in PATHS.items()
)


class TestRow2:
    @pytest.mark.parametrize("upstream", PATHS)
    async def test_anthropic_clients_are_told_that_the_prompt_is_too_long(self, gateway, claude, upstream):
        served = await gateway(extra_models=SMALL)
        asked = {"model": f"small-{upstream}", "max_tokens": 9, "messages": [{"role": "user", "content": LONG}]}
        for stream in (False, True):
            with pytest.raises(anthropic.BadRequestError) as caught:
                await claude(served).messages.create(**asked, stream=stream)
            error = caught.value.body["error"]
            assert error["type"] == "invalid_request_error"
            assert error["message"].startswith("prompt is too long: 5")
            assert " tokens > 1000 maximum" in error["message"]
            assert "exceeds the limit of 1000" in error["message"]  # upstream's own words, for those who look for them

    @pytest.mark.parametrize("upstream", PATHS)
    async def test_openai_clients_are_told_the_code_that_they_look_for(self, gateway, client, upstream):
        served = await gateway(extra_models=SMALL)
        sdk = await client(served)
        with pytest.raises(openai.BadRequestError) as caught:
            await sdk.chat.completions.create(
                model=f"small-{upstream}", messages=[{"role": "user", "content": LONG}], stream=True
            )
        assert caught.value.code == "context_length_exceeded"
        assert caught.value.body["message"].startswith("This model's maximum context length is 1000 tokens.")
        with pytest.raises(openai.BadRequestError) as caught:
            await sdk.responses.create(model=f"small-{upstream}", input=LONG)
        assert caught.value.code == "context_length_exceeded"
        assert caught.value.body["message"].startswith("Your input exceeds the context window of this model")

    @pytest.mark.parametrize(
        ("status", "body", "tokens", "limit"),
        [
            (400, {"error": {"message": "prompt token count of 130000 exceeds the limit of 128000", "code": "model_max_prompt_tokens_exceeded"}}, 130000, 128000),
            (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 205000 tokens > 200000 maximum"}}, 205000, 200000),
            (400, {"error": {"message": "This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 tokens.", "code": "context_length_exceeded"}}, 130001, 128000),
            (400, {"message": "Your input exceeds the context window of this model."}, None, None),
        ],
    )  # fmt: skip
    def test_upstream_says_it_in_several_ways(self, status, body, tokens, limit):
        error = error_of(status, {}, json.dumps(body).encode(), 0.0)
        assert isinstance(error, PromptTooLongError)
        assert (error.tokens, error.limit) == (tokens, limit)
        said = json.loads(MESSAGES.error_body(error, "id"))["error"]["message"]
        assert said.startswith("prompt is too long")
        assert said.count("prompt is too long") == 1

    def test_words_about_the_output_that_claude_code_reads_stay(self):
        text = "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"
        error = error_of(400, {}, json.dumps({"error": {"message": text}}).encode(), 0.0)
        assert json.loads(MESSAGES.error_body(error, "id"))["error"]["message"] == text

    def test_other_refusals_are_left_as_they_are(self):
        for status, text in (
            (400, "the limit of 5 tools is reached"),
            (502, "prompt is too long: 5 tokens > 4 maximum"),
        ):
            assert not isinstance(error_of(status, {}, json.dumps({"message": text}).encode(), 0.0), PromptTooLongError)
