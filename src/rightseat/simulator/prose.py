"""Plausible prose about anything, always the same for the same seed and prompt. Pure."""

from __future__ import annotations

import random
import re

_STOP = frozenset(
    [
        "a",
        "about",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "between",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "explain",
        "for",
        "from",
        "give",
        "had",
        "has",
        "have",
        "how",
        "i",
        "in",
        "into",
        "is",
        "it",
        "its",
        "let",
        "me",
        "my",
        "now",
        "of",
        "on",
        "or",
        "our",
        "please",
        "should",
        "some",
        "tell",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "two",
        "us",
        "use",
        "using",
        "was",
        "we",
        "were",
        "what",
        "what's",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "write",
        "you",
        "your",
        "sentence",
        "sentences",
        "top",
        "short",
    ]
)
_OPENINGS = (
    "{T} is easiest to understand by looking at what it has to do.",
    "At its core, {t} is a way to turn a large problem into smaller ones.",
    "The short answer is that {t} depends on what you want to optimise for.",
    "There are several good ways to think about {t}.",
    "{T} has a simple idea behind it, even where the details are many.",
)
_SENTENCES = (
    "In practice, {t} works best when each step has one clear purpose.",
    "A common mistake is to treat {t} as something separate from {u}.",
    "Most teams start small, measure the result, and only then widen the scope.",
    "The trade-off is between speed and care: {t} rewards both, but seldom at once.",
    "Good defaults matter more than many options, and {u} is no exception.",
    "When {t} grows, the boundaries between its parts become more important than the parts.",
    "It helps to write down what must never happen before deciding what should.",
    "Tests that state a promise make {u} far easier to change later.",
    "The same pattern appears in {u}, where small pieces are combined into larger ones.",
    "What looks complicated from outside is often a few simple rules applied many times.",
    "Errors should say what happened, where, and what to do next.",
    "Over time, {t} becomes a habit rather than a technique.",
    "Measure first; intuition about {u} is wrong surprisingly often.",
    "A useful exercise is to explain {t} to somebody who has never seen it.",
)
_CLOSINGS = (
    "That is the essence of {t}.",
    "From here, the best next step is to try it on something small.",
    "With that in mind, the rest of {t} follows naturally.",
)
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]+")


def prose(prompt: str, seed: int, words: int) -> str:
    """Some `words` words (at least one sentence) that stay near the topic of `prompt`."""
    chance = random.Random(f"{seed}:{prompt}")  # noqa: S311 - repeatable, not secret
    topics = _topics(prompt)
    said = [_fill(chance.choice(_OPENINGS), topics, chance)]
    count = len(said[0].split())
    closing = _fill(chance.choice(_CLOSINGS), topics, chance)
    pool: list[str] = []
    while count + len(closing.split()) < words:
        if not pool:
            pool = list(_SENTENCES)
            chance.shuffle(pool)
        sentence = _fill(pool.pop(), topics, chance)
        said.append(sentence)
        count += len(sentence.split())
    if count < words:
        said.append(closing)
    return " ".join(said)


def _topics(prompt: str) -> list[str]:
    found: list[str] = []
    for word in _WORD.findall(prompt[:2000]):
        if word.lower() not in _STOP and word not in found:
            found.append(word)
    return found[:6] or ["the subject", "the work around it"]


def _fill(sentence: str, topics: list[str], chance: random.Random) -> str:
    topic = chance.choice(topics)
    other = chance.choice([t for t in topics if t != topic] or [topic])
    return sentence.format(t=topic, T=topic[:1].upper() + topic[1:], u=other)


def tokens(text: str) -> list[str]:
    """`text` cut into pieces of about a token each; joined they give `text` again."""
    return re.findall(r"\s*[^\s]{1,6}|\s+$", text)


def count_tokens(text: str) -> int:
    """An estimate: four characters a token."""
    return (len(text) + 3) // 4
