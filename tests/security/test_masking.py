"""Secrets are masked wherever text is shown."""

import random
import re

import pytest

from rightseat.errors import RightseatError
from rightseat.log import logger
from rightseat.masking import cut, mask, mask_secret, mask_short
from rightseat.masking import text as masking_text
from rightseat.masking.finder import unescaped


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


def test_of_short_texts_only_clean_ones_are_known_and_not_for_ever():
    secret = "gpt-5 ghp_" + "a1B2" * 9
    for _ in range(2):
        assert mask_short("gpt-5") == "gpt-5"
        assert mask_short(secret) == mask(secret) != secret
        assert mask_short("x" * 300) == mask("x" * 300, limit=200)
    for i in range(1000):
        assert mask_short(f"model-{i}") == f"model-{i}"
    assert len(masking_text._clean) <= 256
    assert not any("ghp_" in text or len(text) > 200 for text in masking_text._clean)


def test_named_secrets_are_masked():
    assert mask("it was hunter2hunter2hunter2", known=("hunter2hunter2hunter2",)) == "it was hunt...ter2"
    assert mask_secret("short") == "****"


def test_what_is_too_long_is_cut_and_says_so():
    text = "GET /" + "a" * 63_000 + " 404 not found"
    shown = mask(text)
    assert len(shown) <= 2200
    assert shown.startswith("GET /aaa")
    assert shown.endswith(" 404 not found")
    assert "characters left out" in shown
    assert mask(text, limit=None) == text
    assert cut("/" + "a" * 5000, 100) == "/" + "a" * 99 + "...(4901 more characters)"
    assert cut("short") == "short"


@pytest.mark.parametrize("at", [*range(1400, 2200, 37), 20_000, *range(59_000, 60_500, 37)])
@pytest.mark.parametrize(
    "secret",
    [
        "gho_abcdefghijklmnopqrstuvwxyz0123456789",
        "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0" * 20 + ".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJVadQssw5c",
        "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n" * 50 + "-----END PRIVATE KEY-----",
        "postgres://user:correct0horse0battery0staple@db",
        '"client_secret": "' + "qwertzuiop" * 100 + '"',
    ],
)
def test_a_cut_leaves_no_part_of_a_secret(secret, at):
    shown = mask("word " * (at // 5) + secret + " word" * ((60_000 - at) // 5))
    pieces = [secret[i : i + 12] for i in range(30, len(secret) - 30, 7)]
    assert not [piece for piece in pieces if piece in shown]


def test_a_known_secret_is_masked_before_the_cut():
    secret = "correct-horse-battery-staple"
    for at in range(1500, 1560):
        assert secret[8:-8] not in mask("x" * at + secret + "y" * 60_000, known=(secret,))


def test_a_private_key_without_an_end_is_masked():
    assert "MIIEvQ" not in mask("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nMIIEvQIBADANB")


def test_errors_and_logs_show_no_more_than_is_useful(caplog):
    error = RightseatError("/" + "a" * 60_000, public="b" * 60_000)
    assert len(str(error)) < 2200
    assert len(error.public) < 2200
    logger.warning("%s", "c" * 60_000)
    try:
        raise ValueError("d" * 60_000 + " the end")
    except ValueError:
        logger.exception("failed")
    assert all(len(record.getMessage()) < 2200 for record in caplog.records)
    assert len(caplog.records[-1].exc_text) < 17_000
    assert caplog.records[-1].exc_text.endswith(" the end")


def test_an_error_names_no_secret_as_its_field():
    # Seen as `"param": "ghp_..."`: a client had put its key where a member's name belongs.
    error = RightseatError("unknown field", field="gho_abcdefghijklmnopqrstuvwxyz0123456789")
    assert error.field == "gho_...6789"
    assert len(RightseatError("x", field="a" * 60_000).field) < 400
    assert RightseatError("x", field="messages[0].role").field == "messages[0].role"


def test_escapes_become_blanks_and_nothing_else_does():
    """By a run of backslashes and what follows it, read one by one."""

    def slowly(text: str) -> str:
        done, at = "", 0
        while at < len(text):
            run = len(text[at:]) - len(text[at:].lstrip("\\"))
            end = at + run
            if run and text[end : end + 1] in tuple("nrtbf/"):
                done, at = done + " " * (run + 1), end + 1
            elif run and text[end : end + 1] in ("'", '"'):
                done, at = done + " " * run + text[end], end + 1
            elif run and re.fullmatch("u[0-9a-fA-F]{4}", text[end : end + 5]):
                done, at = done + " " * (run + 5), end + 5
            else:
                done, at = done + text[at : end + 1], end + 1
        return done

    chance = random.Random(14)
    parts = ["\\", "\\\\", "n", "u", "00", "e9", "'", '"', "/", "x", " ", "u0041"]
    for _ in range(5000):
        text = "".join(chance.choices(parts, k=chance.randint(0, 12)))
        assert unescaped(text) == slowly(text)
