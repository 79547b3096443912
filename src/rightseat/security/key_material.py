"""What kind of key a text is, by its form, so that a wrong one can be named without being shown. Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias

KeyKind: TypeAlias = Literal[
    "empty", "gateway", "github", "github_app", "copilot", "anthropic", "openai", "openrouter", "google", "aws", "other"
]

# Tokens that the token exchange takes; Copilot's own; and keys of other services. The first prefix that fits counts.
_PREFIXES: tuple[tuple[str, KeyKind], ...] = (
    ("gho_", "github"),
    ("ghu_", "github"),
    ("ghp_", "github"),
    ("github_pat_", "github"),
    ("ghs_", "github_app"),
    ("ghr_", "github_app"),
    ("tid=", "copilot"),
    ("rsk_", "gateway"),
    ("sk-ant-", "anthropic"),
    ("sk-or-", "openrouter"),
    ("sk-", "openai"),
    ("AIza", "google"),
    ("AKIA", "aws"),
    ("ASIA", "aws"),
)
_SAID: dict[KeyKind, str] = {
    "empty": "it is empty",
    "gateway": "this is a Rightseat gateway key (rsk_...)",
    "github": "this is a GitHub token",
    "github_app": "this is a token of a GitHub App (ghs_..., ghr_...), which has no access to Copilot",
    "copilot": "this is a Copilot token (tid=...)",
    "anthropic": "this is an Anthropic API key (sk-ant-...)",
    "openrouter": "this is an OpenRouter API key (sk-or-...)",
    "openai": "this is an OpenAI API key, or one of a proxy with the same format (sk-...)",
    "google": "this is a Google API key (AIza...)",
    "aws": "this is an AWS access key",
    "other": "it has no known token format",
}


def kind_of(key: str) -> KeyKind:
    """The kind of a key."""
    if not key.strip():
        return "empty"
    return next((kind for prefix, kind in _PREFIXES if key.strip().startswith(prefix)), "other")


def said_of(key: str) -> str:
    """The kind of a key in words. Never any of the key itself."""
    return _SAID[kind_of(key)]
