"""From a function's signature to a JSON Schema, and from a model's arguments back to its parameters.

Understands Pydantic models where the program has loaded Pydantic, dataclasses, TypedDicts, msgspec Structs and plain hints. It
does not know what a tool is.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rightseat.errors import InvalidToolError
from rightseat.json_types import Json, JsonObject


@dataclasses.dataclass(slots=True)
class Shape:
    """How to get from the model's arguments to the function's parameters."""

    schema: JsonObject | None
    parse: Callable[[Json], object] | None  # arguments -> one value, or a dict of keywords when `spread`
    spread: bool
    params_name: str | None
    invocation_name: str | None

    @classmethod
    def of(cls, function: Callable[..., object], tool: str, params_type: object, invocation_type: type) -> Shape:
        """Read a function's signature.

        Raises:
            InvalidToolError: no JSON Schema can be made of it.
        """
        parameters = [
            p
            for p in inspect.signature(function).parameters.values()
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
        hints = _hints(function)
        invocation_name = next((p.name for p in parameters if _is_invocation(p, hints, invocation_type)), None)
        others = [p for p in parameters if p.name != invocation_name]
        if params_type is None and len(others) == 1 and _is_model(hints.get(others[0].name)):
            params_type = hints[others[0].name]
        if params_type is not None:
            schema, parse = _model_codec(tool, params_type)
            return cls(schema, parse, False, others[0].name if others else None, invocation_name)
        if not others:
            return cls(None, None, True, None, invocation_name)
        schema, parse = _plain_codec(tool, others, hints)
        return cls(schema, parse, True, None, invocation_name)


def _hints(function: Callable[..., object]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return dict(getattr(function, "__annotations__", {}))


def _is_invocation(parameter: inspect.Parameter, hints: Mapping[str, object], invocation_type: type) -> bool:
    hint = hints.get(parameter.name, parameter.annotation)
    if hint is invocation_type or hint == invocation_type.__name__:
        return True
    return hint is parameter.empty and parameter.name == "invocation"


def _pydantic() -> Any:
    """The pydantic module, if the user has loaded it: a hint can only name a model of a module that is loaded."""
    return sys.modules.get("pydantic")


def _is_pydantic(hint: object) -> bool:
    pydantic = _pydantic()
    return pydantic is not None and isinstance(hint, type) and issubclass(hint, pydantic.BaseModel)


def _is_model(hint: object) -> bool:
    return isinstance(hint, type) and (
        _is_pydantic(hint)
        or dataclasses.is_dataclass(hint)
        or issubclass(hint, msgspec.Struct)
        or typing.is_typeddict(hint)
    )


def _model_codec(tool: str, model: Any) -> tuple[JsonObject, Callable[[Json], object]]:
    if _is_pydantic(model):
        return model.model_json_schema(), model.model_validate
    return _schema_of(tool, model), lambda arguments: msgspec.convert(arguments, model, strict=False)


def _plain_codec(
    tool: str, parameters: list[inspect.Parameter], hints: Mapping[str, Any]
) -> tuple[JsonObject, Callable[[Json], dict[str, object]]]:
    fields: list[Any] = []
    for p in parameters:
        hint = hints.get(p.name, Any)
        if typing.get_origin(hint) is typing.Annotated:
            kind, *notes = typing.get_args(hint)
            text = " ".join(note for note in notes if isinstance(note, str))
            notes = [note for note in notes if not isinstance(note, str)]
            for note in [*notes, *([msgspec.Meta(description=text)] if text else [])]:
                kind = typing.Annotated[kind, note]
            hint = kind
        fields.append((p.name, hint) if p.default is p.empty else (p.name, hint, p.default))
    fields.sort(key=len)  # a Struct wants its required fields first
    try:
        model = msgspec.defstruct(tool.replace("-", "_"), fields, kw_only=True)
        schema = _schema_of(tool, model)
    except (TypeError, InvalidToolError):
        if _pydantic() is None:
            raise
        return _pydantic_codec(tool, parameters, hints)
    names = [p.name for p in parameters]

    def parse(arguments: object) -> dict[str, object]:
        value = msgspec.convert(arguments, model, strict=False)
        return {name: getattr(value, name) for name in names}

    return schema, parse


def _pydantic_codec(
    tool: str, parameters: list[inspect.Parameter], hints: Mapping[str, Any]
) -> tuple[JsonObject, Callable[[Json], dict[str, object]]]:
    """For plain parameters whose hints only Pydantic understands, such as Field(...) or nested models."""
    fields = {p.name: (hints.get(p.name, Any), ... if p.default is p.empty else p.default) for p in parameters}
    model = _pydantic().create_model(tool, **fields)

    def parse(arguments: object) -> dict[str, object]:
        value = model.model_validate(arguments)
        return {name: getattr(value, name) for name in fields}

    return model.model_json_schema(), parse


def _schema_of(tool: str, model: object) -> JsonObject:
    """The JSON Schema of a type, with the object itself on top, as model APIs want it."""
    try:
        (schema,), definitions = msgspec.json.schema_components([model], ref_template="#/$defs/{name}")
    except TypeError as e:
        raise InvalidToolError(f"tool {tool!r}: no JSON Schema can be made of its parameters: {e}") from e
    if "$ref" in schema:
        schema = definitions.pop(schema["$ref"].rsplit("/", 1)[1])
    if definitions:
        schema = {**schema, "$defs": definitions}
    schema.pop("title", None)
    return schema
