"""The gateway: OpenAI and Anthropic clients talk to Copilot over HTTP and WebSocket.

A request goes through the folders in this order: `http` (the exchange), `access` (key, scope, limits), `endpoints`, `pipeline` (plan and
response). `routes` lists the endpoints, `router` dispatches to them, `config` reads the settings, and `app` builds everything.
"""
