"""Errors, one by one, and what to do about each. `python stream_robust.py` ends with status 1 when there is no answer."""

import asyncio
import sys

from rightseat import (
    CliNotFoundError,
    ConnectionLostError,
    CopilotClient,
    RightseatError,
    SessionError,
    TurnAbortedError,
    TurnTimeoutError,
)


async def ask(session, prompt):
    """The answer, or None: each kind of failure is handled on its own."""
    try:
        # An agent may take minutes; what matters is that something happens.
        reply = await session.send_and_wait(prompt, timeout=None, inactivity_timeout=30)
    except TurnTimeoutError as e:  # says the last event, its age, and which tools or permissions are pending
        print(f"gave up: {e}", file=sys.stderr)
        await session.abort()
    except TurnAbortedError:
        print("it was stopped", file=sys.stderr)
    except SessionError as e:  # the model's API said no
        print(f"the session failed ({e.error_type}, HTTP {e.status_code}): {e}", file=sys.stderr)
    except ConnectionLostError as e:  # the CLI died; the error holds its exit status and its last words
        print(f"the CLI is gone (status {e.exit_status}): {e}", file=sys.stderr)
    else:
        return reply.data.content if reply else None
    return None


async def main():
    try:
        async with CopilotClient() as client, await client.create_session() as session:
            answer = await ask(session, "Explain API design principles")
    except CliNotFoundError as e:
        sys.exit(f"cannot begin: {e}")
    except RightseatError as e:  # everything else this package raises on purpose
        sys.exit(f"{type(e).__name__}: {e}")
    if answer is None:
        sys.exit(1)
    print(answer)
    print(f"({len(answer)} characters)")


asyncio.run(main())
