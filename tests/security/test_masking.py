"""Secrets are masked wherever text is shown."""

import pytest

from rightseat.security.masking import mask, mask_secret


@pytest.mark.parametrize(
    "secret",
    [
        "gho_abcdefghijklmnopqrstuvwxyz0123456789",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_11ABCDEFG0abcdefghijklmnop",
        "sk-proj-abcdefghijklmnopqrstuvwxyz",
        "tid=abcdefgh;exp=1234567890;sku=x:1234567890abcdef",
    ],
)
def test_known_forms_are_masked_in_any_text(secret):
    for text in (f"token {secret}", f'{{"t":"{secret}"}}', f"Authorization: Bearer {secret}", f"a={secret}\n"):
        assert secret not in mask(text)
        assert secret[8:-8] not in mask(text)


def test_a_bearer_of_unknown_form_is_masked():
    assert "hidden-and-odd" not in mask("authorization: Bearer hidden-and-odd-token")


@pytest.mark.parametrize(
    "name", ["apiKey", "gitHubToken", "bearerToken", "client_secret", "password", "GITHUB_TOKEN", "Authorization"]
)
def test_members_that_say_they_are_secret_are_masked(name):
    for text in (f'{{"{name}": "of-no-known-form", "other": "shown"}}', f"{{'{name}':'of-no-known-form'}}"):
        assert "of-no-known-form" not in mask(text)
    assert "shown" in mask(f'{{"{name}":"x\\"y","other":"shown"}}')


def test_plain_text_is_left_alone():
    text = 'The token bucket holds 5 tokens; see task-list and risk-free sk-. {"tokenizer": "o200k_base", "inputTokens": 5}'
    assert text == mask(text)


def test_named_secrets_are_masked():
    assert mask("it was hunter2hunter2hunter2", known=("hunter2hunter2hunter2",)) == "it was hunt...ter2"
    assert mask_secret("short") == "****"
