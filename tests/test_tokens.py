"""Token counts offline: the same as tiktoken's, whose ranks come from a pinned package and never from the network."""

import base64
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import tiktoken
from tests.amounts import amount

from rightseat import tokens

RANKS = Path(__file__).parent.parent / "node_modules" / "js-tiktoken" / "dist" / "ranks" / "o200k_base.js"
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz ",
    "The quick brown fox's 12345 lines;\n\tdef f(x): return x ** 2  # comment\r\n",
    "0123456789.,:;-_=+()[]{}<>/\\|'\"`~!@#$%^&* \n",
    "äöüßéèêçñøåłžőţ ÀÉÎÕÜ",
    "日本語の文章と漢字かなカナ、。",
    "русский текст ЗАГЛАВНЫЕ буквы",
    "العربية עברית हिन्दी ไทย 한국어",
    "😀🎉👩‍👩‍👧‍👦🇩🇪\u200d\ufe0f\u0301\u00a0\u2003",
    "<|endoftext|><|endofprompt|> \x00\x01\x7f",
)


@pytest.fixture(scope="module")
def oracle() -> tiktoken.Encoding:
    """Tiktoken's own code on ranks out of the npm package js-tiktoken."""
    if not RANKS.exists():
        pytest.fail("run `make setup-dev`: the ranks of js-tiktoken are missing")
    text = RANKS.read_text(encoding="utf-8")
    value = json.loads(text[text.index("{") : text.rindex("}") + 1])
    ranks = {}
    for line in value["bpe_ranks"].splitlines():
        _, start, *encoded = line.split(" ")
        ranks |= {base64.b64decode(token): int(start) + i for i, token in enumerate(encoded)}
    return tiktoken.Encoding(
        "o200k", pat_str=value["pat_str"], mergeable_ranks=ranks, special_tokens=value["special_tokens"]
    )


def test_random_strings(oracle):
    chance = random.Random(1)
    pools = ["".join(chance.choices(alphabet, k=200_000)) for alphabet in (*ALPHABETS, "".join(ALPHABETS))]
    count = tokens.exact()
    assert count is not None
    total, batches = 0, amount(8, 100)
    for _ in range(batches):
        texts = []
        for _ in range(10_000):
            pool = pools[chance.getrandbits(16) % len(pools)]
            start = chance.getrandbits(17)
            texts.append(pool[start : start + chance.getrandbits(4)])
        theirs = [len(ids) for ids in oracle.encode_ordinary_batch(texts, num_threads=2)]
        assert [count(text) for text in texts] == theirs
        total += len(texts)
    assert total == batches * 10_000


@pytest.mark.parametrize("text", ["a" * 50_000, " " * 20_000, "ab" * 20_000, "0" * 30_000, "🎉" * 5000, "\n" * 10_000, "a b" * 9999, "<|endoftext|>" * 100], ids=lambda t: t[:8])  # fmt: skip
def test_long_and_repeating_texts(oracle, text):
    assert tokens.count(text) == len(oracle.encode_ordinary(text))


def test_half_of_a_surrogate_pair_and_nothing_at_all():
    assert tokens.count("\ud83d x") > 0
    assert tokens.count("") == 0


def test_the_estimate_is_near_for_words_and_never_too_few_for_others(oracle):
    for alphabet in ALPHABETS[:2]:
        text = " ".join("".join(random.Random(i).choices(alphabet, k=7)) for i in range(500))
        assert 0.4 < tokens.estimate(text) / len(oracle.encode_ordinary(text)) < 2.5
    for text in ("日本語の文章です。", "русский текст", "😀" * 10):
        assert tokens.estimate(text) >= len(oracle.encode_ordinary(text)) / 3


def test_without_the_tokeniser_it_is_an_estimate():
    code = "import sys; sys.modules['splintr'] = None\nfrom rightseat import tokens\nprint(tokens.exact(), tokens.count('abcdefgh'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "None 2\n"
