"""Finds, in Python code that talks to models, what goes wrong in production: eight anti-patterns, by the syntax tree.

Reads code and never runs it. A finding is a likely fault and no proof; `# rightseat: ignore[RS104]` on its line says that it is meant.
"""

from rightseat.lint.check import check_source
from rightseat.lint.finding import Finding, LintRule
from rightseat.lint.rules import RULES
from rightseat.lint.run import check_paths

__all__ = ["RULES", "Finding", "LintRule", "check_paths", "check_source"]
