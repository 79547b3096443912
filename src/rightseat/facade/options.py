"""What `CopilotSDK`, `create_session`, `chat` and `stream` can be asked for: the types that checkers read, and the check at run time.

A wrong name is refused with the nearest known one, a value of the wrong kind by its name. What one kind of backend cannot do is refused,
too, so that nothing that was asked for is dropped. Does not know how an option is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from rightseat.errors import InvalidOptionError, UnknownOptionError
from rightseat.errors.nearest import did_you_mean
from rightseat.layers.checks import number
from rightseat.sdk.options import SessionOptions, SharedSessionOptions

if TYPE_CHECKING:
    from os import PathLike

    from rightseat.chat import Image
    from rightseat.handler import Layer
    from rightseat.layers import Backoff, BreakerPolicy, CachePolicy, Limit, QueuePolicy
    from rightseat.layers.functions import On
    from rightseat.layers.window import Summariser

    ImageSource: TypeAlias = str | PathLike[str] | bytes | bytearray | memoryview | Image

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ResilienceOptions(TypedDict, total=False):
    """What surrounds every call. None, or False, turns a layer off; True is its default. See `rightseat.layers.presets.Resilience`."""

    timeout: float | None  # seconds for a whole call, tries included; 300
    silence: float | None  # seconds without a piece of the answer; 120
    retry: Backoff | bool | None  # on
    retry_on: On  # for which errors another try may help: types, or a function
    breaker: BreakerPolicy | bool | None  # on
    concurrency: int | QueuePolicy | None  # answers at once; 64
    requests_per_minute: float | Limit | None  # off
    tokens_per_minute: float | Limit | None  # off
    cache: CachePolicy | bool | None  # off
    fallbacks: Mapping[str, Sequence[str]]  # model -> models to ask instead
    window: int | Callable[[str], int] | None  # tokens of a prompt; 100,000
    summarise: Summariser | None
    extra: Sequence[Layer]  # layers within all of these, next to the backend


class RequestOptions(TypedDict, total=False):
    """What a model can be asked for with a question. None counts as left out.

    Where a model, or the dialect that it is asked in, has no such thing, `ChatResponse.warnings` names it.
    """

    temperature: float | None
    top_p: float | None
    max_tokens: int | None  # of the answer
    stop: str | Sequence[str] | None
    seed: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    reasoning_effort: Effort | None
    thinking_budget: int | None  # tokens; for models with an effort, the effort that is nearest
    verbosity: Literal["low", "medium", "high"] | None
    tool_choice: str | Mapping[str, object] | None  # "auto", "none", "required", or a tool as OpenAI names it
    parallel_tool_calls: bool | None
    prompt_cache_key: str | None
    user: str | None
    extra_body: Mapping[str, object] | None  # anything else, under OpenAI's name for it


class ChatOptions(RequestOptions, total=False):
    """Options of one question."""

    timeout: float | None  # seconds, for this question alone
    priority: int  # more is more urgent; 0 is usual
    images: Sequence[ImageSource]  # paths, bytes, URLs; PNG, JPEG, GIF and WebP, 20 MiB each at most
    max_answer_chars: int | None  # of the answer, reasoning and all steps included; 4,194,304; None: any number


class SessionKeywords(RequestOptions, SharedSessionOptions, total=False):
    """Options of `CopilotSDK.create_session`: sent with each request; with a CLI, what `CopilotClient.create_session` takes."""


class PooledOptions(SessionKeywords, total=False):
    """All options of `CopilotSDK.create_session`."""

    model: str | None
    system: str | None
    tools: Sequence[object]
    max_steps: int | None


class OneShotOptions(PooledOptions, ChatOptions, total=False):
    """Options of `CopilotSDK.chat`: those of a session, and those of its one question."""


SESSION = frozenset({"model", "system", "tools", "max_steps", "response_format"})
REQUEST = frozenset(RequestOptions.__annotations__)
QUESTION = frozenset(ChatOptions.__annotations__) - REQUEST | {"response_format"}
CLI = frozenset(SessionOptions.__annotations__)
RESILIENCE = frozenset(ResilienceOptions.__annotations__)

# What cannot surround a session of the CLI, and why.
_NOT_WITH_A_CLI: Mapping[str, str] = {
    "retry": "a turn that has begun may have done things, so it is not asked twice; the CLI tries again by itself",
    "retry_on": "a turn that has begun may have done things, so it is not asked twice; the CLI tries again by itself",
    "cache": "an answer that is kept would be missing in the CLI's conversation",
    "fallbacks": "the CLI keeps the conversation with its model; catch the error and create_session(model=...) another",
    "window": "the CLI keeps the conversation and compacts it; see infinite_sessions of create_session",
    "summarise": "the CLI keeps the conversation and compacts it; see infinite_sessions of create_session",
}
OFF_WITH_A_CLI: Mapping[str, Any] = {"retry": None, "cache": None, "window": None, "concurrency": None}

_KINDS: Mapping[str, tuple[type, ...]] = {
    "stop": (str, list, tuple),
    "reasoning_effort": (str,),
    "verbosity": (str,),
    "tool_choice": (str, Mapping),
    "parallel_tool_calls": (bool,),
    "prompt_cache_key": (str,),
    "user": (str,),
    "extra_body": (Mapping,),
}
_NUMBERS = frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty"})
_WHOLE: Mapping[str, int | None] = {"max_tokens": 1, "thinking_budget": 1, "seed": None}  # and the least


def refuse_unknown(given: Iterable[str], known: Collection[str], what: str) -> None:
    """Refuse a name that is not known.

    Raises:
        UnknownOptionError: naming it, and the nearest known one.
    """
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known) or f"; there is {', '.join(sorted(known))}"
            raise UnknownOptionError(f"{name}: no such option of {what}{hint}")


def resilience_options(given: Mapping[str, Any], *, cli: bool, known: Collection[str]) -> dict[str, Any]:
    """Options of the layers, checked by name.

    Args:
        given: the options.
        cli: answers come from the Copilot CLI.
        known: further names that could have been meant.

    Raises:
        UnknownOptionError: there is no such option.
        InvalidOptionError: with a CLI: it cannot be done.
    """
    refuse_unknown(given, {*RESILIENCE, *known}, "CopilotSDK")
    if not cli:
        return {name: value for name, value in given.items() if name in RESILIENCE}
    for name, value in given.items():
        if value and name in _NOT_WITH_A_CLI:
            raise InvalidOptionError(f"{name}: not with client=: {_NOT_WITH_A_CLI[name]}")
    return {**OFF_WITH_A_CLI, **given}


def request_options(given: Mapping[str, Any], what: str, *, also: Collection[str] = ()) -> dict[str, Any]:
    """What is sent with a request: without those that are None, and with the content of `extra_body`.

    Args:
        given: the options.
        what: whose they are, for errors.
        also: further names that are known there.

    Raises:
        UnknownOptionError: there is no such option.
        InvalidOptionError: a value of the wrong kind, or an option that only the Copilot CLI has.
    """
    for name, value in given.items():
        if name in CLI and name not in REQUEST and name not in also and value is not None:
            where = f"CopilotSDK(client=CopilotClient()).create_session({name}=...)"
            raise InvalidOptionError(f"{name}: an option of a session of the Copilot CLI: {where}")
    refuse_unknown(given, {*REQUEST, *also}, what)
    options = {name: value for name, value in given.items() if value is not None}
    for name, value in options.items():
        check_value(name, value)
    extra = options.pop("extra_body", {})
    twice = next((name for name in extra if name in options or name in REQUEST), None)
    if twice is not None:
        raise InvalidOptionError(f"extra_body: {twice} has an option of its own; give it there")
    return {**options, **extra}


def cli_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a session of the CLI, by name; their values are checked by `CopilotClient.create_session`.

    Raises:
        UnknownOptionError: there is no such option.
        InvalidOptionError: the Copilot CLI cannot do that.
    """
    for name, value in given.items():
        if (name in REQUEST or name in SESSION) and name not in CLI and value is not None:
            raise InvalidOptionError(f"{name}: the Copilot CLI has no such option")
    refuse_unknown(given, {*CLI, *REQUEST, *SESSION}, "create_session")
    return {name: value for name, value in given.items() if value is not None}


_KINDS_OF_OWN: dict[str, tuple[type, ...]] = {
    "base_url": (str,), "host": (str,), "account": (str,), "home": (str, Path), "system": (str,), "model": (str,),
}  # fmt: skip
_WORDS = {
    "reasoning_effort": ("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "verbosity": ("low", "medium", "high"),
}


def check_own(given: Mapping[str, Any]) -> None:
    """Check the kinds of arguments that are options of no request. Those that are None were not given.

    Raises:
        InvalidOptionError: naming the option.
    """
    for name, value in given.items():
        kinds = _KINDS_OF_OWN.get(name)
        if value is None or kinds is None:
            continue
        if not isinstance(value, kinds):
            raise InvalidOptionError(f"{name}: must be a string, not {type(value).__name__}")
        if value == "" and name != "system":
            raise InvalidOptionError(f"{name}: is empty")


def check_several(name: str, value: object) -> None:
    """Check that an argument is a list or a tuple. Raises InvalidOptionError: naming the option."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise InvalidOptionError(f"{name}: must be a list, not {type(value).__name__}")


def check_value(name: str, value: Any) -> None:
    """Check the kind of a value. Raises InvalidOptionError: naming the option."""
    if name in _NUMBERS:
        number(name, value, least=float("-inf"))
    elif name in _WHOLE:
        least = _WHOLE[name]
        number(name, value, least=float("-inf") if least is None else least, whole=True)
    elif name == "response_format" and not isinstance(value, Mapping):
        raise InvalidOptionError(
            "response_format: a type is given with each question: session.chat(..., response_format=City)"
        )
    elif name in _WORDS and value not in _WORDS[name]:
        raise InvalidOptionError(f"{name}: must be one of {', '.join(_WORDS[name])}, not {value!r}")
    elif name in _KINDS and not isinstance(value, _KINDS[name]):
        kinds = " or ".join(
            {"str": "a string", "Mapping": "dict"}.get(kind.__name__, kind.__name__) for kind in _KINDS[name]
        )
        raise InvalidOptionError(f"{name}: must be {kinds}, not {type(value).__name__}")
