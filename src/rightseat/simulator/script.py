"""Exact behaviour by script: a TOML file of rules, or a Python file with a function.

TOML, tried from the top; the first rule that fits and is not used up decides:

    [[reply]]
    when = "weather"            # text that the user's prompt must contain, or a regular expression between slashes
    times = 1                   # how often the rule holds; without it, always
    delay = 0.2                 # seconds before the answer begins
    text = "It rains."          # the answer; or chunks = ["It ", "rains."] to say how it is cut
    reasoning = "Clouds ..."    # comes before the text
    tool = { name = "bash", arguments = { command = "date" } }
    error = { status = 429, message = "slow down", retry_after = 3 }

A rule with `tool` answers the prompt itself; once the tool's result is there, the next rule that fits, or the model, goes on.
Python: a file that defines `reply(request)`, which is any function that can be a model; None leaves the request to the model.
"""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from rightseat.chat import ChatRequest
from rightseat.errors import InvalidOptionError
from rightseat.json_types import JsonObject
from rightseat.simulator.faults import Fault


class ScriptedError(Struct, frozen=True, forbid_unknown_fields=True):
    """An HTTP error instead of an answer."""

    status: int = 500
    message: str = "scripted error"
    code: str | None = None
    retry_after: float | str | None = None  # seconds, or a date as HTTP writes it


class ScriptedTool(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call instead of an answer."""

    name: str
    arguments: JsonObject = field(default_factory=dict)


class Rule(Struct, forbid_unknown_fields=True):
    """One `[[reply]]` of a script. `times` counts down as the rule is used."""

    when: str | None = None
    times: int | None = None
    delay: float = 0.0
    text: str | None = None
    chunks: list[str] | None = None
    reasoning: str | None = None
    tool: ScriptedTool | None = None
    error: ScriptedError | None = None
    fault: Fault | None = None

    def fits(self, request: ChatRequest) -> bool:
        """Whether the rule holds for a request now."""
        if self.times is not None and self.times <= 0:
            return False
        if self.tool is not None and request.tool_results:
            return False
        if self.when is None:
            return True
        prompt = request.prompt
        if len(self.when) > 2 and self.when.startswith("/") and self.when.endswith("/"):
            return re.search(self.when[1:-1], prompt) is not None
        return self.when.lower() in prompt.lower()


class Script(Struct, forbid_unknown_fields=True):
    """Rules, tried from the top."""

    reply: list[Rule] = field(default_factory=list)

    def next(self, request: ChatRequest) -> Rule | None:
        """The rule for a request, counted as used; None: the model decides."""
        for rule in self.reply:
            if rule.fits(request):
                if rule.times is not None:
                    rule.times -= 1
                return rule
        return None


def load_script(path: str | Path) -> Script | Callable[..., Any]:
    """A script from a `.toml` or `.py` file.

    Raises:
        InvalidOptionError: naming the file and what is wrong in it.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidOptionError(f"script {str(path)!r}: there is no such file")
    return _load_python(path) if path.suffix == ".py" else _load_toml(path)


def _load_toml(path: Path) -> Script:
    try:
        script = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Script)
        for rule in script.reply:
            if rule.when and rule.when.startswith("/") and rule.when.endswith("/"):
                re.compile(rule.when[1:-1])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError, re.error) as e:
        raise InvalidOptionError(f"script {str(path)!r}: {e}") from e
    return script


def _load_python(path: Path) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as e:
        raise InvalidOptionError(f"script {str(path)!r} failed: {type(e).__name__}: {e}") from e
    reply = getattr(module, "reply", None)
    if not callable(reply):
        raise InvalidOptionError(f"script {str(path)!r} defines no function reply(request)")
    return reply  # type: ignore[no-any-return]
