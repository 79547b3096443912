"""Which models there are: a seed list before anybody has logged in, an account's own list after.

Names that clients use are mapped to the ids of the live list: exact ids first, then configured aliases, then names without the provider
in front (`openai/gpt-5`) and without a date behind (`claude-sonnet-4-5-20250929` is `claude-sonnet-4.5`). Pure; fetching is for `copilot`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from rightseat.errors import UpstreamError
from rightseat.json_types import JsonObject
from rightseat.wire.abilities import Abilities, abilities_of

PROVIDER = "copilot"  # of all models here
SEED = ("gpt-5-mini", "gpt-5", "gpt-4.1", "gpt-4", "gpt-4o-mini", "gpt-3.5-turbo")

_DATE = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2}|latest)$")
# What routers and clients write in front of a model's name.
_PROVIDERS = frozenset({
    "anthropic", "azure", "copilot", "gemini", "github", "github-copilot", "github_copilot", "google", "openai", "openrouter/anthropic",
    "openrouter/google", "openrouter/openai", "rightseat", "xai", "x-ai",
})  # fmt: skip
_VERSION = re.compile(r"(\d)-(\d)(?=-|$)")
_SUFFIX = re.compile(r"\[[^\[\]]{0,40}\]$")  # Claude Code writes a wish for a long context behind the name: [1m]


class Model(Struct, frozen=True):
    """A model.

    Attributes:
        id: what requests name.
        name: for people.
        vendor: who made it, where that is known. Who serves it is `PROVIDER`.
        endpoints: the API paths that serve it.
        streaming: whether it streams; None: unknown.
        vision: whether it sees.
        max_prompt_tokens, max_output_tokens, context_window: its limits, where known.
        efforts: the reasoning efforts that it offers, where known.
        kind: "chat", "embeddings" or "completion".
        structured: whether it keeps its answers to a JSON Schema; None: unknown.
        abilities: what it takes of a request's options.
        raw: the entry as it came.
    """

    id: str
    name: str = ""
    vendor: str = ""
    endpoints: tuple[str, ...] = ("/chat/completions",)
    streaming: bool | None = None
    vision: bool = False
    max_prompt_tokens: int | None = None
    max_output_tokens: int | None = None
    context_window: int | None = None
    efforts: tuple[str, ...] = ()
    kind: str = "chat"
    structured: bool | None = None
    abilities: Abilities = Abilities()
    raw: JsonObject = field(default_factory=dict)

    @property
    def prompt_limit(self) -> int | None:
        """Tokens of a prompt at most, where that is known: what is longer is refused."""
        limits = [limit for limit in (self.max_prompt_tokens, self.context_window) if limit is not None]
        return min(limits, default=None)


class Registry(Struct, frozen=True):
    """The models that can be asked for.

    Attributes:
        models: by id, in the server's order.
        aliases: name -> id, configured.
        seed: not logged in yet; the list is a placeholder.
    """

    models: dict[str, Model] = field(default_factory=lambda: {name: Model(name, name) for name in SEED})
    aliases: dict[str, str] = field(default_factory=dict)
    seed: bool = True

    def resolve(self, name: str) -> Model | None:
        """The model that a client means, or None."""
        if name in self.models and name == name.strip() and not name.endswith("]"):
            return self.models[name]
        plain = _SUFFIX.sub("", name.strip())
        provider, _, bare = plain.rpartition("/")
        names = [plain, bare] if provider in _PROVIDERS else [plain]
        candidates = [c for one in (*names, *map(_undated, names)) for c in (one, self.aliases.get(one, ""))]
        return next((self.models[c] for c in candidates if c in self.models), None)

    def require(self, name: str) -> Model | None:
        """The model that a client means; None only while the list is a placeholder. Raises UpstreamError: there is none (404)."""
        model = self.resolve(name)
        if model is None and not self.seed:
            text = f"the model {name[:200]!r} does not exist or is not enabled for this account"
            raise UpstreamError(404, text, code="model_not_found")
        return model


def registry_of(body: bytes, aliases: Mapping[str, str]) -> Registry:
    """The registry that a body of `GET /models` makes. Entries that cannot be read, repeat or are disabled are left out.

    Raises:
        ValueError: it is no model list at all.
    """
    value = msgspec.json.decode(body)
    entries = value.get("data") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        raise ValueError("no model list")  # noqa: TRY004 - the value is wrong, not its type
    models: dict[str, Model] = {}
    for model in models_of(entries):
        models.setdefault(model.id, model)
    return Registry(models, dict(aliases), seed=False)


def models_of(entries: Iterable[object]) -> Iterable[Model]:
    """The models of a list's entries, as the API has them and as the CLI gives them. Those that cannot be read or are disabled are left out."""
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not entry["id"]:
            continue
        if _get(entry, "policy", "state") == "disabled":
            continue
        limits, supports = _get(entry, "capabilities", "limits"), _get(entry, "capabilities", "supports")
        limits, supports = (
            (limits if isinstance(limits, dict) else {}),
            (supports if isinstance(supports, dict) else {}),
        )
        endpoints = entry.get("supported_endpoints")
        streaming, structured = supports.get("streaming"), supports.get("structured_outputs")
        efforts = supports.get("reasoning_effort") or entry.get("supportedReasoningEfforts")
        yield Model(
            id=entry["id"],
            name=str(entry.get("name") or entry["id"]),
            vendor=str(entry.get("vendor") or ""),
            endpoints=tuple(e for e in endpoints if isinstance(e, str))
            if isinstance(endpoints, list)
            else ("/chat/completions",),
            streaming=streaming if isinstance(streaming, bool) else None,
            vision=bool(supports.get("vision")),
            max_prompt_tokens=_number(limits.get("max_prompt_tokens")),
            max_output_tokens=_number(limits.get("max_output_tokens")),
            context_window=_number(limits.get("max_context_window_tokens")),
            efforts=tuple(e for e in efforts if isinstance(e, str)) if isinstance(efforts, list) else (),
            kind=str(_get(entry, "capabilities", "type") or "chat"),
            structured=structured if isinstance(structured, bool) else None,
            abilities=abilities_of(entry["id"], supports, efforts),
            raw=entry,
        )


def _undated(name: str) -> str:
    """`claude-sonnet-4-5-20250929` -> `claude-sonnet-4.5`, `gpt-5-2025-08-07` -> `gpt-5`."""
    bare = _DATE.sub("", name)
    return _VERSION.sub(r"\1.\2", bare) if bare.startswith("claude") else bare


def _get(value: object, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else None
