"""Options of a session, read: what goes to the CLI in `session.create` and `session.resume`, and what stays here to answer it.

This module knows which options are functions and how the rest is spelled on the wire. It does not know when they are called.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from rightseat.errors import InvalidOptionError
from rightseat.sdk import hooks as asks
from rightseat.sdk.options import SessionOptions, camelize, wire_options
from rightseat.sdk.permissions import DefaultPolicy
from rightseat.sdk.tool_definition import as_tool
from rightseat.sdk.tools import Tool

Function: TypeAlias = Callable[..., object]


@dataclasses.dataclass(frozen=True, slots=True)
class SessionSetup:
    """The options of one session, checked. Made by `read`.

    Attributes:
        options: as they were given.
        tools: by name.
        decide: answers permission requests.
        hooks: hook type on the wire -> function.
        commands: by name.
        system_message: the option, without its functions.
        transforms: section of the system message -> the function that changes it.
        token_providers: provider name -> the function that gives its bearer token; "" for the unnamed `provider`.
    """

    options: SessionOptions
    tools: Mapping[str, Tool]
    decide: Function
    hooks: Mapping[str, Function]
    commands: Mapping[str, Function]
    system_message: Mapping[str, object]
    transforms: Mapping[str, Function]
    token_providers: Mapping[str, Function]

    @classmethod
    def read(cls, options: SessionOptions) -> SessionSetup:
        """Check what `session_options` cannot.

        Raises:
            InvalidOptionError, UnknownOptionError, InvalidToolError: naming what is wrong.
        """
        tools = _by_name(options.get("tools") or ())
        system_message, transforms = asks.split_system_message(options.get("system_message") or {})
        return cls(
            options=options,
            tools=tools,
            decide=options.get("on_permission_request") or DefaultPolicy(tools),
            hooks=asks.check_hooks(options.get("hooks") or {}),
            commands=_commands(options),
            system_message=system_message,
            transforms=transforms,
            token_providers=_token_providers(options),
        )

    def params(self, session_id: str) -> dict[str, object]:
        """The parameters of session.create and session.resume."""
        options = self.options
        params: dict[str, object] = {
            "requestPermission": True,
            "requestElicitation": "on_elicitation_request" in options,
            "requestExitPlanMode": "on_exit_plan_mode_request" in options,
            "requestAutoModeSwitch": "on_auto_mode_switch_request" in options,
            "requestUserInput": "on_user_input_request" in options,
            "includeSubAgentStreamingEvents": True,
            "envValueMode": "direct",
            "toolFilterPrecedence": "excluded",
            **wire_options(options),
            "sessionId": session_id,
        }
        if isinstance(options.get("model"), str):
            params["model"] = options["model"]
        if self.hooks:
            params["hooks"] = True
        if self.system_message:
            params["systemMessage"] = self.system_message
        return {**params, **self._lists(), **options.get("extra", {})}

    def _lists(self) -> dict[str, object]:
        options, lists = self.options, dict[str, object]()
        if self.tools:
            lists["tools"] = [tool.to_wire() for tool in self.tools.values()]
        if options.get("commands"):
            lists["commands"] = [
                {"name": _field(c, "name"), "description": _field(c, "description") or ""} for c in options["commands"]
            ]
        if "provider" in options:
            lists["provider"] = _wire_provider(options["provider"])
        if "providers" in options:
            lists["providers"] = [_wire_provider(provider) for provider in options["providers"]]
        return lists


def _by_name(given: Iterable[object]) -> dict[str, Tool]:
    tools: dict[str, Tool] = {}
    for value in given:
        tool = as_tool(value)
        if tool.name in tools:
            raise InvalidOptionError(f"two tools are named {tool.name!r}")
        tools[tool.name] = tool
    return tools


def _commands(options: SessionOptions) -> dict[str, Function]:
    commands: dict[str, Function] = {}
    for command in options.get("commands") or ():
        name, handler = _field(command, "name"), _field(command, "handler")
        if not isinstance(name, str) or not (handler is None or callable(handler)):
            raise InvalidOptionError(f"commands: needs a name and a handler, which is a function; not {command!r}")
        if handler is not None:
            commands[name] = handler
    return commands


def _field(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _wire_provider(provider: Mapping[str, object]) -> dict[str, object]:
    wire = {name: value for name, value in provider.items() if name != "bearer_token_provider"}
    if provider.get("bearer_token_provider") is not None:
        wire["has_bearer_token_provider"] = True
    return dict(camelize(wire))


def _token_providers(options: SessionOptions) -> dict[str, Function]:
    found: dict[str, Function] = {}
    for provider in [options.get("provider") or {}, *(options.get("providers") or ())]:
        function = provider.get("bearer_token_provider")
        if function is not None:
            if not callable(function):
                raise InvalidOptionError("bearer_token_provider must be a function that returns a token")
            found[str(provider.get("name") or "")] = function
    return found
