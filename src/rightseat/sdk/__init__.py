"""A client for the Copilot CLI: start it or reach it, open sessions, converse, answer what it asks.

`pump` joins the protocol core to a stream; `client` owns the process and routes; `session` is one conversation; `options`
says what may be asked for; `tools`, `permissions`, `hooks` and `asks` answer the CLI; `model_provider` lets a Python
function be the model.
"""
