"""Your own Python function as the model: a full agent turn of the real CLI, without network, account or HTTP server."""

import asyncio

from rightseat import CopilotClient, define_tool


@define_tool
def stock(item: str) -> str:
    """How many of an item are in stock."""
    return f"{len(item) * 7} pieces"


async def model(request):
    """Takes a ChatRequest; yields text and tool calls. Put any model behind it: local, remote, or a table of rules."""
    if not request.tool_results:
        yield "Let me look. "
        yield {"name": "stock", "arguments": {"item": "screws"}}
    else:
        for word in f"There are {request.tool_results[-1].content} left.".split(" "):
            yield word + " "


async def main():
    async with CopilotClient() as client:
        session = await client.create_session(model=model, streaming=True, tools=[stock])
        async for text in session.stream("How many screws do we have?", timeout=30):
            print(text, end="", flush=True)
        print()


asyncio.run(main())
