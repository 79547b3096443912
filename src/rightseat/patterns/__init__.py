"""The names of the guide "Production patterns for the GitHub Copilot SDK", each a thin face over a part of this package.

For code that was written after that guide: `github_copilot_sdk` exports them. New code is shorter with the parts themselves; `docs/seeds.md` says
which is which, and where a face deviates from the guide.
"""
