"""Who answers: the Copilot API over HTTP, any server that speaks OpenAI's dialect, and doubles for tests. Does not know who asks.

`base` is the seam: a `Backend` lists models, relays bodies, answers chat requests and knows whether it is ready. `copilot`, `compatible`
and `doubles` are the ones there are, `factory.open_backend` makes the two for real use. One more, such as the Copilot CLI through
`rightseat.sdk`, is a module beside them with a class of the same five methods, and a case in the factory; the callers do not
change.
"""
