"""A tool with one purpose, described and constrained parameters, and results that say whether they are any good."""

import asyncio
import re
from typing import Annotated

from msgspec import Meta

from rightseat import CopilotSDK, define_tool

FILES = {"app.py": "import re\nprint('25 * 4 + 10')\n", "notes.txt": "nothing here\n"}


@define_tool(timeout=5, rules="error")
def search_codebase(pattern: str, max_results: Annotated[int, Meta(ge=1, le=500)] = 50) -> dict:
    """Search for code patterns in repository files. Returns matching files with line numbers.

    Args:
        pattern: Regex pattern to search (Python re syntax).
        max_results: Maximum number of results to return.
    """
    try:
        wanted = re.compile(pattern)
    except re.error as e:
        return {"success": False, "error": f"Invalid regex pattern: {e}", "error_type": "invalid_pattern"}
    lines = [(f, i, line) for f, text in FILES.items() for i, line in enumerate(text.splitlines(), 1)]
    found = [f"{file}:{number}" for file, number, line in lines if wanted.search(line)][:max_results]
    return {"success": True, "results": found, "count": len(found)}


async def main():
    async with CopilotSDK() as sdk:
        session = await sdk.create_session(tools=[search_codebase], max_steps=5)
        response = await session.chat('Use the search_codebase tool with {"pattern": "print"}')
        print(f"{response.steps} steps:", [m.content for m in session.history if m.role == "tool"])
        await session.chat('Use the search_codebase tool with {"pattern": "("}')
        print("a failure that programs can tell:", [m.content for m in session.history if m.role == "tool"][-1])


asyncio.run(main())
