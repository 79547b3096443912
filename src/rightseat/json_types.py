"""The types of decoded JSON whose shape is not known: input from outside, or data that is passed on unchanged."""

from __future__ import annotations

from typing import Any, TypeAlias

Json: TypeAlias = Any  # any value: members are looked up before they are checked
JsonObject: TypeAlias = dict[str, Any]
