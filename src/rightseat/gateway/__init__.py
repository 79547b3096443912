"""The front door: HTTP for clients that speak OpenAI's dialect, Copilot behind it.

`config` reads settings, `app` puts everything together, `asgi` is the little of HTTP that is needed, `chat` and `models` are the
faces, `errors` says no in the client's dialect.
"""
