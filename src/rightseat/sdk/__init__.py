"""A client for the Copilot CLI: start it or reach it, open sessions, converse, answer what it asks.

Read from the outside in: `client` has the sessions of one CLI, `link` reaches and closes it, `pump` joins the protocol core to a
stream. `session` is one conversation: `creation` reads its options, `turns` waits for answers, `responder` answers the CLI with
the help of `tools`, `permissions` and `hooks`, `subscriptions` tells listeners. `model_provider` lets a Python function be the model.
"""
