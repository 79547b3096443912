"""A cloud to fly in: enough of GitHub and of the Copilot API that the real Copilot CLI works offline, as if logged in.

`prose` and `instructions` decide what the simulated model says; `model` says it at a pace; `script` gives exact behaviour;
`app` is the HTTP side, `server` runs it, `environment` points the CLI at it. This package imports wire, transport and chat,
never what it tests.
"""
