"""Write scripts/session_events.json: the names and plain types of the CLI's session events.

Run by a maintainer when a newer official SDK is out, in an environment that has it:

    pip install github-copilot-sdk && python scripts/update_catalogue.py

It looks at the MIT-licensed SDK's classes from outside and keeps facts only: which event types exist, which fields each
carries on the wire, and whether a field is text, number, flag, list or object. No code and no prose is taken.
"""

import dataclasses
import enum
import inspect
import json
import re
import types
import typing
from importlib.metadata import version
from pathlib import Path

from copilot.generated import session_events as official

TARGET = Path(__file__).with_name("session_events.json")

# Sent by CLI 1.0.102 and unknown to the official enum (seen on the wire; their payload is kept as it comes).
SEEN_ON_THE_WIRE = [
    "model.compaction_completed", "model.compaction_started", "model.compaction_static_context_blocked", "model.log",
    "model.message", "model.messages_snapshot", "model.model_call_failure", "model.model_call_started",
    "model.model_call_success", "model.response", "model.telemetry", "model.tool_execution", "model.turn_ended",
    "model.turn_failed", "model.turn_retry", "model.turn_started",
]  # fmt: skip

PLAIN = {str: "str", int: "int", float: "float", bool: "bool"}


def wire_names(cls) -> dict[str, str]:
    """Python field name -> name on the wire, read off the class's own decoder."""
    source = inspect.getsource(cls.from_dict)
    return {name: wire for name, wire in re.findall(r'^\s*(\w+) = .*?obj\.get\("([^"]+)"', source, re.MULTILINE)}


def plain_type(hint) -> str:
    """The name of a type in the catalogue: str, int, float, bool, any, object, a class name, or list[...] of these."""
    origin, args = typing.get_origin(hint), [a for a in typing.get_args(hint) if a is not type(None)]
    if origin in (typing.Union, types.UnionType):
        kinds = {plain_type(a) for a in args}
        if len(kinds) == 1:
            return kinds.pop()
        return "object" if all(k == "object" or k[0].isupper() for k in kinds) else "any"
    if origin is list:
        return f"list[{plain_type(args[0])}]"
    if origin is dict:
        return "object"
    if hint in PLAIN:
        return PLAIN[hint]
    if isinstance(hint, type):
        if issubclass(hint, enum.Enum):
            return "str"
        if dataclasses.is_dataclass(hint) and hint.__name__.startswith("_"):
            return "object"
        if dataclasses.is_dataclass(hint) and hasattr(hint, "from_dict"):
            return hint.__name__
        if hint.__name__ in ("UUID", "datetime", "date"):
            return "str"
        if hint.__name__ == "timedelta":  # milliseconds on the wire
            return "float"
    return "any"


def describe(cls, classes: dict) -> None:
    """Add `cls` and every class its fields mention to `classes`."""
    if cls.__name__ in classes:
        return
    hints, names = typing.get_type_hints(cls), wire_names(cls)
    fields: dict[str, str] = {}
    classes[cls.__name__] = fields
    for field in dataclasses.fields(cls):
        kind = plain_type(hints[field.name])
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        fields[names.get(field.name, field.name)] = kind if required else f"{kind}?"
        inner = kind.removeprefix("list[").rstrip("]")
        if inner[0].isupper():
            describe(getattr(official, inner), classes)


def main() -> None:
    source = inspect.getsource(official.SessionEvent.from_dict)
    data_class = dict(re.findall(r"SessionEventType\.(\w+): data = (\w+)\.from_dict", source))
    classes: dict[str, dict[str, str]] = {}
    events = {}
    for member in official.SessionEventType:
        name = data_class.get(member.name)
        if member.value == "unknown":
            continue
        if name and hasattr(official, name) and name != "RawSessionEventData":
            describe(getattr(official, name), classes)
        else:
            name = None
        events[member.value] = name
    events |= {name: None for name in SEEN_ON_THE_WIRE if name not in events}
    catalogue = {
        "source": f"github-copilot-sdk {version('github-copilot-sdk')} (field names), Copilot CLI 1.0.102 (frames seen)",
        "events": dict(sorted(events.items())),
        "classes": dict(sorted(classes.items())),
    }
    TARGET.write_text(json.dumps(catalogue, indent=1) + "\n", encoding="utf-8")
    print(f"{len(events)} event types, {len(classes)} classes -> {TARGET.name}")


if __name__ == "__main__":
    main()
