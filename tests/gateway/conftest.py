"""Fixtures of the tests of the gateway."""

import anthropic
import pytest


@pytest.fixture
async def claude():
    """Unmodified Anthropic clients of a gateway: `claude(served)`."""
    made = []

    def make(served, **options) -> anthropic.AsyncAnthropic:
        made.append(anthropic.AsyncAnthropic(**{"base_url": served.url, "api_key": "any", "max_retries": 0, **options}))
        return made[-1]

    yield make
    for one in made:
        await one.close()
