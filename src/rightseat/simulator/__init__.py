"""A simulator: enough of GitHub and of the Copilot API that the real Copilot CLI works offline, as if logged in.

`prose` and `instructions` decide what the simulated model says; `model` says it at a pace; `script` gives exact behaviour;
`cloud` is GitHub's side of logins and tokens; `app` is the HTTP side, `server` runs it, `environment` points the CLI at it. `peer` is a scripted
CLI, for where the real one cannot be exact. This package imports wire, transport and chat,
never what it tests.
"""
