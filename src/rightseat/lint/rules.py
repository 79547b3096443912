"""The table of rules. Codes never change their meaning."""

from __future__ import annotations

from rightseat.lint.calls import blocking, clients_own_timeout, no_timeout, swallowed
from rightseat.lint.credentials import hard_coded
from rightseat.lint.finding import LintRule
from rightseat.lint.growth import no_window, unbounded
from rightseat.lint.happy import happy_only
from rightseat.lint.tools import generic_tools

RULES: tuple[LintRule, ...] = (
    LintRule("RS101", "unbounded accumulation", "A long answer takes all memory.", "streams.bounded(), streams.collect() or a limit of your own", unbounded),
    LintRule("RS102", "swallowed errors", "Failures go unnoticed and cannot be found.", "catch what you can handle, log the rest and raise", swallowed),
    LintRule("RS103", "blocking the event loop", "Every other conversation waits meanwhile.", "await the async client; asyncio.to_thread() for what blocks", blocking),
    LintRule("RS104", "hard-coded keys", "Keys leak with the source.", "read them from the environment or a secret store", hard_coded),
    LintRule("RS105", "no timeout", "A call that hangs holds its caller forever.", "timeout=..., or asyncio.timeout() around it", no_timeout, clients_own_timeout),
    LintRule("RS106", "history without a window", "The conversation outgrows the model's window and every call fails.", "ContextWindow, or a CopilotSDK session, which has one", no_window),
    LintRule("RS107", "over-generic tools", "The model has to guess, and its calls cannot be checked.", "one tool for one purpose, with described and constrained parameters", generic_tools),
    LintRule("RS108", "tests without failure cases", "Failures are first seen in production.", "test errors, time-outs and bad input too: rightseat.testing", happy_only),
)  # fmt: skip
