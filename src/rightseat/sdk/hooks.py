"""Questions the CLI puts to the application: hooks, user input, plan and mode decisions, elicitation, system-message parts.

Every question gets an answer: the handler's, or a safe one when the handler fails. This module knows the forms of questions
and answers, and does not know how they travel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rightseat.errors import InvalidOptionError, UnknownOptionError
from rightseat.errors.nearest import did_you_mean
from rightseat.log import logger
from rightseat.sdk.calling import call
from rightseat.sdk.failures import Failures
from rightseat.wire.record import Record, to_camel, to_snake

_HOOKS = (
    "agent_stop", "error_occurred", "notification", "permission_request", "post_result", "post_tool_use",
    "post_tool_use_failure", "pre_compact", "pre_mcp_tool_call", "pre_pr_description", "pre_tool_use", "session_end",
    "session_start", "subagent_start", "subagent_stop", "user_prompt_submitted", "user_prompt_transformed",
)  # fmt: skip

# A guard that fails must not open the door.
_WHEN_A_GUARD_FAILS = {
    name: {"permissionDecision": "deny", "permissionDecisionReason": "The application's hook failed."}
    for name in ("preToolUse", "preMcpToolCall")
}


def check_hooks(hooks: Mapping[str, object]) -> dict[str, Callable[..., object]]:
    """The option `hooks` as {hook type on the wire: function}. Names are `on_pre_tool_use`, `pre_tool_use` or `preToolUse`.

    Raises:
        UnknownOptionError: an unknown hook.
        InvalidOptionError: a value that is no function.
    """
    checked: dict[str, Callable[..., object]] = {}
    for name, function in hooks.items():
        if function is None:
            continue
        plain = to_snake(name).removeprefix("on_")
        if plain not in _HOOKS:
            hint = did_you_mean(plain, _HOOKS, "on_", quote=True) or f"; known: {', '.join('on_' + h for h in _HOOKS)}"
            raise UnknownOptionError(f"unknown hook {name!r}{hint}")
        if not callable(function):
            raise InvalidOptionError(f"hook {name!r} must be a function, not {type(function).__name__}")
        checked["prePRDescription" if plain == "pre_pr_description" else to_camel(plain)] = function
    return checked


async def run_hook(
    hooks: Mapping[str, Callable[..., object]],
    hook_type: str,
    given: Record,
    context: Mapping[str, object],
    failures: Failures,
) -> Mapping[str, object] | None:
    """The output of one hook: a dict in the wire's spelling, or None for "go on"."""
    function = hooks.get(hook_type)
    if function is None:
        return None
    try:
        output = await call(function, given, context)
    except Exception:
        failures.note(function, f"hook {hook_type}")
        return _WHEN_A_GUARD_FAILS.get(hook_type)
    if output is None:
        return None
    if not isinstance(output, Mapping):
        logger.error("hook %s returned %s, not a dict or None", hook_type, type(output).__name__)
        return _WHEN_A_GUARD_FAILS.get(hook_type)
    return {to_camel(key): value for key, value in output.items()}


def user_input_answer(answer: object, request: Record) -> dict[str, object]:
    """What a user-input handler returned, as `{answer, wasFreeform}`. Text alone will do."""
    if isinstance(answer, str):
        return {"answer": answer, "wasFreeform": answer not in (request.get("choices") or ())}
    if isinstance(answer, Mapping) and "answer" in answer:
        freeform = answer.get("wasFreeform", answer.get("was_freeform"))
        given = str(answer["answer"])
        return {
            "answer": given,
            "wasFreeform": given not in (request.get("choices") or ()) if freeform is None else bool(freeform),
        }
    raise InvalidOptionError(f"on_user_input_request must return text or {{'answer': text}}, not {answer!r}")


def exit_plan_answer(answer: object, _: Record) -> dict[str, object]:
    """What an exit-plan-mode handler returned: True, False, or a dict with `approved`."""
    if isinstance(answer, bool):
        return {"approved": answer}
    if isinstance(answer, Mapping):
        return {to_camel(key): value for key, value in answer.items()}
    raise InvalidOptionError(f"on_exit_plan_mode_request must return True, False or a dict, not {answer!r}")


def auto_mode_answer(answer: object, _: Record) -> dict[str, object]:
    """What an auto-mode-switch handler returned: True, False, or "yes", "yes_always", "no"."""
    if isinstance(answer, Mapping):
        answer = answer.get("response")
    text = ("yes" if answer else "no") if answer is None or isinstance(answer, bool) else answer
    if text not in ("yes", "yes_always", "no"):
        raise InvalidOptionError(f"on_auto_mode_switch_request must return 'yes', 'yes_always' or 'no', not {answer!r}")
    return {"response": text}


def elicitation_answer(answer: object) -> dict[str, object]:
    """What an elicitation handler returned: `{"action": "accept" | "decline" | "cancel", "content": {...}}`, or None to cancel."""
    if answer is None:
        return {"action": "cancel"}
    if isinstance(answer, Mapping) and answer.get("action") in ("accept", "decline", "cancel"):
        return dict(answer)
    raise InvalidOptionError(f"on_elicitation_request must return a dict with 'action', not {answer!r}")


# request method -> (the option that answers it, how its return value is read)
QUESTIONS: dict[str, tuple[str, Callable[[object, Record], dict[str, object]]]] = {
    "userInput.request": ("on_user_input_request", user_input_answer),
    "exitPlanMode.request": ("on_exit_plan_mode_request", exit_plan_answer),
    "autoModeSwitch.request": ("on_auto_mode_switch_request", auto_mode_answer),
}


def split_system_message(message: Mapping[str, object]) -> tuple[dict[str, object], dict[str, Callable[..., object]]]:
    """The option `system_message` for the wire, and the functions among its sections.

    A section is `{"action": "replace" | "remove" | "append" | "prepend", "content": ...}`; where `action` is a function, the
    CLI sends the section's text to it and takes what it returns.
    """
    wire: dict[str, object] = dict(message)
    transforms: dict[str, Callable[..., object]] = {}
    sections = message.get("sections")
    if isinstance(sections, Mapping):
        kept: dict[str, object] = {}
        wire["sections"] = kept
        for name, section in sections.items():
            action = section.get("action") if isinstance(section, Mapping) else section
            if callable(action):
                transforms[name] = action
                kept[name] = {"action": "transform"}
            else:
                kept[name] = section
    return wire, transforms


async def transform_sections(
    transforms: Mapping[str, Callable[..., object]], sections: Mapping[str, object], failures: Failures
) -> dict[str, object]:
    """Each section through its function. A section whose function fails keeps its text."""
    done: dict[str, object] = {}
    for name, section in sections.items():
        content = section.get("content", "") if isinstance(section, Mapping) else ""
        function = transforms.get(name)
        if function is not None:
            try:
                content = str(await call(function, content))
            except Exception:
                failures.note(function, f"system-message section {name!r}, whose text is kept,")
        done[name] = {"content": content}
    return done
