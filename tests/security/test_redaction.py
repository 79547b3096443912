"""What is found and taken out: every planted secret, at every split of a stream, and little else."""

import random
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rightseat.masking import finder
from rightseat.masking.checks import is_card, is_iban, is_ssn
from rightseat.masking.finder import Finder
from rightseat.masking.patterns import PATTERNS
from rightseat.security.redaction import StreamRedactor, find_sensitive, redact

sys.path.insert(0, str(Path(__file__).parent))
from planted import planted

ROOT = Path(__file__).parent.parent.parent
PLANTED = planted()


def core(text: str) -> str:
    """The part of a planted text that gives it away."""
    return max(re.split(r"[\s=\"':@/&?]+", text), key=len) if len(text) < 200 else text.splitlines()[3]


def test_at_least_two_hundred_secrets_of_thirty_kinds_are_all_found():
    assert len(PLANTED) >= 200
    assert {kind for kind, _ in PLANTED} == {pattern.kind for pattern in PATTERNS}
    missed = []
    for kind, text in PLANTED:
        for around in ("{}", "see {} there", "({})", 'x = "{}"\n', "a,{},b", "line one\n{}\nline two"):
            done = redact(around.format(text))
            if core(text) in done or kind not in {f.kind for f in find_sensitive(around.format(text))}:
                missed.append((kind, around, done[:80]))
    assert missed == []


def test_all_in_one_text_and_the_words_between_them_stay():
    words = [f"word{chr(97 + i % 26)}" for i in range(len(PLANTED))]
    text = "\n".join(f"{word} {secret} end" for word, (_, secret) in zip(words, PLANTED, strict=True))
    done = redact(text)
    assert not [secret for _, secret in PLANTED if core(secret) in done]
    assert done.count(" end") == len(PLANTED)
    assert all(word in done for word in words)


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in PLANTED}))
def test_each_kind_is_found_in_a_stream_at_every_split(kind):
    secret = next(text for k, text in PLANTED if k == kind)
    if len(secret) > 300:
        secret = secret[:150] + secret[-150:]
    text = f"Here it is: {secret} and that was all of it."
    whole = redact(text)
    assert core(secret) not in whole
    for cut in range(len(text) + 1):
        redactor = StreamRedactor()
        assert redactor.feed(text[:cut]) + redactor.feed(text[cut:]) + redactor.end() == whole, cut
    redactor = StreamRedactor()
    assert "".join(map(redactor.feed, text)) + redactor.end() == whole


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(PLANTED), min_size=1, max_size=6))
def test_streams_in_random_pieces_are_redacted_as_the_whole(chance, secrets):
    words = [
        "the",
        "quick",
        "brown",
        "fox",
        "42",
        "jumps",
        "=",
        "over:",
        "a",
        "lazy",
        "dog's",
        "back,",
        "3.14",
        "times\n",
    ]
    text = "".join(" ".join(chance.choices(words, k=chance.randint(0, 12))) + " " + s for _, s in secrets) + " end."
    whole, redactor, at, given_out = redact(text), StreamRedactor(), 0, []
    while at < len(text):
        step = chance.choice((1, 2, 5, 30, 200))
        given_out.append(redactor.feed(text[at : at + step]))
        at += step
    assert "".join(given_out) + redactor.end() == whole


def test_half_of_a_surrogate_pair_hides_nothing_and_breaks_nothing():
    text = "\ud83d see ann@example.com \udc00"
    assert redact(text) == "\ud83d see [REDACTED_EMAIL] \udc00"
    assert find_sensitive("\ud800") == []


@given(st.text(st.characters(), max_size=300), st.integers(1, 40))
def test_nothing_is_lost_of_texts_without_secrets(text, step):
    redactor = StreamRedactor()
    pieces = [redactor.feed(text[i : i + step]) for i in range(0, len(text), step)]
    assert "".join(pieces) + redactor.end() == redact(text)


def test_prose_is_hardly_held_back():
    redactor, behind = StreamRedactor(), []
    said = given_out = 0
    for word in ("Explain what a generator is and why it saves memory when lists are long. " * 20).split(" "):
        said += len(word) + 1
        given_out += len(redactor.feed(word + " "))
        behind.append(said - given_out)
    assert sorted(behind)[len(behind) // 2] <= 12
    assert max(behind) <= 80


def test_few_false_hits_in_our_own_source():
    sources = [p.read_text(encoding="utf-8") for p in (ROOT / "src").rglob("*.py")]
    size = sum(map(len, sources))
    hits = sum(len(find_sensitive(text)) for text in sources)
    assert size > 500_000
    assert hits / (size / 100_000) <= 1


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3 of 2026-11-21 at 12:34:56",
        "def get_token(self, token: str) -> str: return self.token",
        "password: str = field(default='')",
        "sha256 of it: " + "ab12" * 16,
        "order 1234 5678 9012 3456",
        "call f(1, 2, 3, 4) 1000 times",
        "uuid 123e4567-e89b-12d3-a456-426614174000",
        "api_key=os.environ['COPILOT_API_KEY']",
        "https://example.com:8080/path@v1",
        "secret = getpass()",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text):
    assert redact(text) == text


def test_sums_decide():
    assert is_card("4111 1111 1111 1111")
    assert not is_card("4111 1111 1111 1112")
    assert not is_card("9111 1111 1111 1111")
    assert is_iban("DE89 3704 0044 0532 0130 00")
    assert not is_iban("DE88 3704 0044 0532 0130 00")
    assert is_ssn("123-45-6789")
    assert not is_ssn("666-45-6789")


def test_a_card_does_not_hide_the_number_behind_it():
    done = redact("4111 1111 1111 1111 123-45-6789")
    assert "6789" not in done
    assert "1111" not in done


def test_kinds_may_be_chosen_and_unknown_ones_are_named():
    text = "ann@example.com 123-45-6789"
    assert redact(text, kinds=["email"]) == "[REDACTED_EMAIL] 123-45-6789"
    assert Finder(["ssn"]).find(text)[0].kind == "ssn"
    with pytest.raises(ValueError, match="there is no 'moon'"):
        Finder(["moon"])


def test_without_re2_it_finds_the_same(monkeypatch):
    monkeypatch.setitem(sys.modules, "re2", None)
    finder._gate.cache_clear()
    try:
        plain = Finder()
        chance = random.Random(3)
        for _, text in chance.sample(PLANTED, 60):
            assert plain.find(f"see {text} there") == find_sensitive(f"see {text} there")
    finally:
        finder._gate.cache_clear()


def test_long_odd_texts_take_no_time():
    for text in (
        "1 " * 50_000,
        "a" * 200_000,
        "password" * 20_000,
        "-----BEGIN " * 10_000,
        "eyJ" * 50_000,
        "x@" * 50_000,
    ):
        redact(text)
        redactor = StreamRedactor()
        for i in range(0, len(text), 10_000):
            redactor.feed(text[i : i + 10_000])
        redactor.end()
