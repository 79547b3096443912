"""Copilot over HTTP: log in, keep a token fresh, know the models, ask.

`device_flow` and the decisions of `tokens` are pure; `store` keeps accounts in files; `headers` is the one place where headers are
made; `copilot` asks. This package refuses to know who asks it, and never takes a host from a request.
"""
