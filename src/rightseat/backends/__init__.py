"""Who answers: the Copilot API over HTTP, any server that speaks OpenAI's dialect, and doubles for tests. Refuses to know who asks."""
